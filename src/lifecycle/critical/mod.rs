//! Critical results: from the flag to the acknowledgement.
//!
//! Comes in: events of a result (its flag, calls, acknowledgements) in the order of work, as for every
//! machine. Goes out: moves of the machine, a judgement of each result, and deadlines as they run.
//!
//! Beside the machine the facts are kept: when it was flagged, when somebody was reached, when it was
//! acknowledged. Calls often come before the flag, and records come late: the machine is asked in the order
//! of the facts' own times, so that nothing that was done is refused (`apply`). `due` has what time brings
//! about, `stage` the results of all partitions.

mod apply;
mod due;
mod rows;
mod rules;
mod stage;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use rows::{
    CriticalChanges, CriticalDeadlineRow, CriticalHead, CriticalOutcome, CriticalRow, CriticalStage,
};
pub use rules::{CriticalRules, CriticalSettings};
pub use stage::CriticalResults;
pub use step::{CriticalStep, columns, critical_steps};

use super::cut::{BatchRises, Brought, RowCut, RowCuts};
use super::entity::Key;
use super::keys::KeyTable;
use super::machine::MachineState;
use super::slab::Slab;
use super::test::change::ReleasedStep;
use super::waiting::Waiting;
use super::wheel::Wheel;
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
struct PartitionResults {
    rules: Arc<CriticalRules>,
    keys: KeyTable,
    records: Slab<CriticalRecord>,
    leaving: BTreeMap<i64, Vec<(u32, u128)>>,
    wheel: Wheel,
    waiting: Waiting<CriticalStep>,
    /// The watermark up to which steps and timers have been released.
    reached: i64,
    /// Timers earlier than this have gone off.
    passed: i64,
    /// What made the rows of the last step.
    last: Brought,
    /// The offset of the last record.
    last_offset: i64,
}

/// How fine the leaving of results is looked at.
const HOUR: i64 = 3_600_000_000;

impl PartitionResults {
    /// Nothing has been seen.
    fn new(rules: Arc<CriticalRules>) -> PartitionResults {
        PartitionResults {
            rules,
            keys: KeyTable::default(),
            records: Slab::default(),
            leaving: BTreeMap::new(),
            wheel: Wheel::default(),
            waiting: Waiting::default(),
            reached: i64::MIN,
            passed: i64::MIN,
            last: Brought { by: -1, cut: RowCut { offset: 0, watermark: i64::MIN } },
            last_offset: -1,
        }
    }

    /// Takes in a batch's steps and does what is due by `watermark`.
    fn batch(
        &mut self,
        steps: Vec<CriticalStep>,
        rises: &BatchRises,
        watermark: i64,
    ) -> CriticalChanges {
        let first = steps.first().map_or(i64::MAX, |step| step.entity.offset);
        let cuts = RowCuts::of(rises, self.last_offset, self.reached, watermark);
        self.last_offset = rises.last().unwrap_or(self.last_offset);
        self.waiting.add(steps);
        self.release(watermark, (first, watermark), &cuts)
    }

    /// Does what is due by a watermark that moved without a record.
    fn advance(&mut self, watermark: i64) -> CriticalChanges {
        let cuts = self.no_records(watermark);
        self.release(watermark, (i64::MAX, watermark), &cuts)
    }

    /// The input has ended: what waits is applied, and timers go off up to `end`.
    fn finish(&mut self, end: i64) -> CriticalChanges {
        let until = end.saturating_add(1).max(self.reached);
        let last = self.waiting.last().map_or(until, |last| last.saturating_add(1).max(until));
        let cuts = self.no_records(until);
        self.release(last, (i64::MAX, until), &cuts)
    }

    /// No record comes any more: what waits is applied, and timers go off up to the last of it.
    fn end(&mut self) -> CriticalChanges {
        let last = self.waiting.last().unwrap_or(self.reached);
        self.finish(last)
    }

    fn no_records(&self, watermark: i64) -> RowCuts {
        RowCuts::of(&BatchRises::default(), self.last_offset, self.reached, watermark)
    }

    fn release(
        &mut self,
        watermark: i64,
        (first, timers_until): (i64, i64),
        cuts: &RowCuts,
    ) -> CriticalChanges {
        let mut changes = CriticalChanges::default();
        let released = self.waiting.release(watermark);
        for (turn, step) in released.iter() {
            self.timers(turn.min(timers_until), cuts, &mut changes);
            self.forget(turn);
            let entity = &step.entity;
            self.last = cuts.of_step(turn, (entity.offset, entity.watermark_before), entity.at);
            changes.moves.by_step(self.last);
            let fate = self.apply(step, &mut changes);
            let row = (entity.offset >= first).then_some(entity.batch_row);
            changes.moves.became(ReleasedStep { row, is_counted: entity.is_counted, fate });
        }
        self.timers(timers_until, cuts, &mut changes);
        self.reached = self.reached.max(watermark);
        self.forget(self.reached);
        changes
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

    /// Bytes of memory that are held, about.
    fn bytes(&self) -> usize {
        let table = self.keys.bytes() + self.records.bytes();
        table + self.wheel.bytes() + self.waiting.bytes()
    }
}
