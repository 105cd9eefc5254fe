//! Critical results: from the flag to the acknowledgement.
//!
//! Comes in: events of a result (its flag, calls, acknowledgements) in the order of work, as for every
//! machine. Goes out: moves of the machine, a judgement of each result, and deadlines as they run.
//!
//! Beside the machine the facts are kept: when it was flagged, when somebody was reached, when it was
//! acknowledged. Calls often come before the flag, and records come late: the machine is asked in the order
//! of the facts' own times, so that nothing that was done is refused (`apply`). `due` has what time brings
//! about.

mod apply;
mod due;
mod rows;
mod rules;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use rows::{
    CriticalChanges, CriticalDeadlineRow, CriticalHead, CriticalOutcome, CriticalRow, CriticalStage,
};
pub use rules::{CriticalRules, CriticalSettings};
pub use step::{CriticalStep, columns, critical_steps};

use super::cut::Brought;
use super::entity::Key;
use super::follows::{Follows, WorkOrder};
use super::keys::KeyTable;
use super::machine::MachineState;
use super::slab::Slab;
use super::test::change::ReleasedStep;
use super::wheel::WheelTimer;
use step::CriticalSaid;

/// The machine that critical results are followed by.
pub const CRITICAL_MACHINE: &str = "critical";

/// A critical result.
#[derive(Clone, Debug, Default)]
struct CriticalRecord {
    hash: u128,
    key: Key,
    state: MachineState,
    /// Since when it stands in its state.
    since: i64,
    /// The offset of its first event.
    born: i64,
    /// How many transitions it has made.
    version: i64,
    timer: Option<i64>,
    flagged: Option<i64>,
    /// When somebody was reached first.
    called: Option<i64>,
    /// When it was acknowledged first, and not without reading back.
    acknowledged: Option<i64>,
    /// Calls that reached nobody.
    attempts: u32,
    /// What the flag said; of calls and acknowledgements how, to whom and whether it was read back.
    said: CriticalSaid,
    limit: CriticalClock,
    is_reminded: bool,
    is_breached: bool,
    /// It was handled, or nobody had to be called.
    is_over: bool,
}

/// How long there is, and from when: fixed when the flag was applied.
#[derive(Clone, Debug, Default)]
struct CriticalClock {
    start: i64,
    /// The longest allowable time, microseconds; none without a deadline.
    target: Option<i64>,
    source: &'static str,
    version: Arc<str>,
}

impl CriticalClock {
    /// When all of the time has run.
    fn due(&self) -> Option<i64> {
        self.start.checked_add(self.target?)
    }
}

/// The critical results of one partition.
#[derive(Debug)]
pub struct CriticalResults {
    rules: Arc<CriticalRules>,
    keys: KeyTable,
    records: Slab<CriticalRecord>,
    leaving: BTreeMap<i64, Vec<(u32, u128)>>,
    order: WorkOrder<CriticalStep>,
}

/// How fine the leaving of results is looked at.
const HOUR: i64 = 3_600_000_000;

impl CriticalResults {
    /// Nothing has been seen.
    pub fn new(rules: Arc<CriticalRules>) -> CriticalResults {
        CriticalResults {
            rules,
            keys: KeyTable::default(),
            records: Slab::default(),
            leaving: BTreeMap::new(),
            order: WorkOrder::default(),
        }
    }

    /// The record of a step's result, made where there is none.
    fn record(&mut self, step: &CriticalStep) -> u32 {
        let entity = &step.entity;
        let records = &self.records;
        let is_it = |number| records[number].hash == entity.hash;
        if let Some(number) = self.keys.find(entity.hash as u64, is_it) {
            return number;
        }
        let number = self.records.insert(CriticalRecord {
            hash: entity.hash,
            key: entity.key.clone(),
            since: entity.at,
            born: entity.offset,
            ..CriticalRecord::default()
        });
        self.keys.insert(entity.hash as u64, number);
        number
    }

    fn remove(&mut self, at: u32) {
        let hash = self.records[at].hash as u64;
        self.keys.remove(hash, at);
        self.records.remove(at);
    }

    /// The hour after which a result leaves that nothing more is waited for.
    fn leaves(&self, at: u32) -> i64 {
        let keep = self.rules.settings.keep_finished.0;
        self.records[at].since.saturating_add(keep).div_euclid(HOUR)
    }

    /// Notes that nothing more may come of a result.
    fn may_leave(&mut self, at: u32) {
        let (leaves, hash) = (self.leaves(at), self.records[at].hash);
        self.leaving.entry(leaves).or_default().push((at, hash));
    }
}

impl Follows for CriticalResults {
    type Step = CriticalStep;
    type Changes = CriticalChanges;

    fn order(&mut self) -> &mut WorkOrder<CriticalStep> {
        &mut self.order
    }

    fn apply_step(
        &mut self,
        step: &CriticalStep,
        brought: Brought,
        in_hand: bool,
        changes: &mut CriticalChanges,
    ) {
        changes.moves.by_step(brought);
        let fate = self.apply(step, changes);
        let row = in_hand.then_some(step.entity.batch_row);
        changes.moves.became(ReleasedStep { row, is_counted: step.entity.is_counted, fate });
    }

    fn next_timer(&mut self, until: i64) -> Option<WheelTimer> {
        let records = &self.records;
        let time_of = |at: u32| records[at].timer.map(|time| (time, records[at].born));
        let wheel = &mut self.order.wheel;
        wheel.may_be_due(until).then(|| wheel.next(until, time_of)).flatten()
    }

    fn went_off(&mut self, timer: WheelTimer, brought: Brought, changes: &mut CriticalChanges) {
        self.timer_went_off(timer, brought, changes);
    }

    /// Forgets results that ended long enough before `now`, and calls that reached nobody and were
    /// followed by nothing: by whole hours, so that it does not matter how often it is asked.
    fn forget(&mut self, now: i64) {
        let hour = now.div_euclid(HOUR);
        while let Some(entry) = self.leaving.first_entry()
            && *entry.key() < hour
        {
            for (at, hash) in entry.remove() {
                let record = &self.records[at];
                let is_over = record.state == MachineState::NONE
                    || self.rules.machine.is_finished(record.state);
                if record.hash == hash && is_over && self.leaves(at) < hour {
                    self.remove(at);
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.records.bytes() + self.order.bytes()
    }
}
