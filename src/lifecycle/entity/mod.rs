//! Entities of any machine that is declared: events and timers in their order in, moves out.
//!
//! The general engine beside the tests' own (`super::test`): critical results, instruments, centres and
//! what a project declares for itself. An entity is found by a 128-bit key and keeps its state, since
//! when, and its next timer. What an event says beside its word stays in its row (`step`), of which
//! whoever makes a relation takes what is asked for.

mod moves;
mod step;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use moves::{Move, MoveSource, Moves, Refused};
pub use step::{EntityStep, Key, MOST_KEYS, steps};
pub use timers::{Lengths, NoLengths};

use super::cut::{BatchRises, RowCut, RowCuts};
use super::keys::KeyTable;
use super::machine::{MachineState, StateMachine};
use super::slab::Slab;
use super::test::change::RefusalReason;
use super::test::tally::TestCounts;
use super::waiting::Waiting;
use super::wheel::{Wheel, WheelTimer};

/// An entity.
#[derive(Clone, Debug, Default)]
struct EntityRecord {
    hash: u128,
    key: Key,
    state: MachineState,
    /// Since when it stands in its state.
    since: i64,
    /// When it was last heard of, repeats included.
    heard: i64,
    /// The offset of its first event.
    born: i64,
    /// How many transitions it has made.
    version: i64,
    timer: Option<i64>,
}

/// The entities of one partition.
#[derive(Debug)]
pub struct Entities {
    machine: Arc<StateMachine>,
    lengths: Arc<dyn Lengths>,
    /// How long a finished entity is kept.
    keep: i64,
    keys: KeyTable,
    entities: Slab<EntityRecord>,
    leaving: BTreeMap<i64, Vec<(u32, u128)>>,
    wheel: Wheel,
    waiting: Waiting<EntityStep>,
    counts: TestCounts,
    reached: i64,
    last_offset: i64,
}

/// How fine the leaving of finished entities is looked at.
const HOUR: i64 = 3_600_000_000;

impl Entities {
    /// Nothing has been seen.
    pub fn new(machine: Arc<StateMachine>, lengths: Arc<dyn Lengths>, keep: i64) -> Entities {
        Entities {
            machine,
            lengths,
            keep,
            keys: KeyTable::default(),
            entities: Slab::default(),
            leaving: BTreeMap::new(),
            wheel: Wheel::default(),
            waiting: Waiting::default(),
            counts: TestCounts::default(),
            reached: i64::MIN,
            last_offset: -1,
        }
    }

    /// Takes in a batch's steps and does what is due by `watermark`.
    pub fn batch(&mut self, steps: Vec<EntityStep>, rises: &BatchRises, watermark: i64) -> Moves {
        let first = steps.first().map_or(i64::MAX, |step| step.offset);
        let cuts = RowCuts::of(rises, self.last_offset, self.reached, watermark);
        self.last_offset = rises.last().unwrap_or(self.last_offset);
        self.waiting.add(steps);
        self.release(watermark, (first, watermark), &cuts)
    }

    /// Does what is due by a watermark that moved without a record.
    pub fn advance(&mut self, watermark: i64) -> Moves {
        let cuts = self.no_records(watermark);
        self.release(watermark, (i64::MAX, watermark), &cuts)
    }

    /// The input has ended: what waits is applied, and timers go off up to `end`.
    pub fn finish(&mut self, end: i64) -> Moves {
        let until = end.saturating_add(1).max(self.reached);
        let last = self.waiting.last().map_or(until, |last| last.saturating_add(1).max(until));
        let cuts = self.no_records(until);
        self.release(last, (i64::MAX, until), &cuts)
    }

    fn no_records(&self, watermark: i64) -> RowCuts {
        RowCuts::of(&BatchRises::default(), self.last_offset, self.reached, watermark)
    }

    fn release(
        &mut self,
        watermark: i64,
        (first, timers_until): (i64, i64),
        cuts: &RowCuts,
    ) -> Moves {
        let mut moves = Moves::default();
        let released = self.waiting.release(watermark);
        for (turn, step) in released.iter() {
            self.timers(turn.min(timers_until), cuts, &mut moves);
            self.forget(turn.saturating_sub(self.keep));
            let stood = (step.offset, step.watermark_before);
            let cut = cuts.of_step(turn, stood, step.at).cut;
            self.apply(step, step.offset >= first, cut, &mut moves);
        }
        self.timers(timers_until, cuts, &mut moves);
        self.reached = self.reached.max(watermark);
        self.forget(self.reached.saturating_sub(self.keep));
        moves
    }

    fn apply(&mut self, step: &EntityStep, in_hand: bool, cut: RowCut, moves: &mut Moves) {
        self.counts.addressed += 1;
        let at = self.entity(step);
        let entity = &mut self.entities[at];
        let is_new = entity.state == MachineState::NONE;
        if !is_new && step.at < entity.since {
            return self.refuse(at, step, RefusalReason::Overtaken, cut, moves);
        }
        let way = self.machine.way(entity.state, step.word, step.guards);
        let is_stale = step.version.is_some_and(|version| version != entity.version);
        let Some(way) = way else {
            if is_stale && self.machine.compares(step.word) {
                return self.refuse(at, step, RefusalReason::Conflict, cut, moves);
            }
            if !is_new && self.machine.asks_for(step.word, entity.state) {
                entity.heard = entity.heard.max(step.at);
                self.counts.repeated += 1;
                return self.wind(at);
            }
            return self.refuse(at, step, RefusalReason::NotAllowed, cut, moves);
        };
        if way.compare_and_set && is_stale {
            return self.refuse(at, step, RefusalReason::Conflict, cut, moves);
        }
        let (to, name) = (way.to, way.name.clone());
        self.counts.transitions += 1;
        let source = MoveSource::Event { step: step.clone(), in_hand };
        self.go(at, (to, step.at), (name, source, cut), moves);
        self.entities[at].heard = self.entities[at].heard.max(step.at);
        self.wind(at);
    }

    /// Moves an entity on, and says so.
    fn go(
        &mut self,
        at: u32,
        (to, time): (MachineState, i64),
        (name, source, cut): (String, MoveSource, RowCut),
        moves: &mut Moves,
    ) {
        let entity = &mut self.entities[at];
        let from = entity.state;
        let stayed =
            (from != MachineState::NONE && time >= entity.since).then(|| time - entity.since);
        // A stay that goes on keeps its beginning.
        if to != from {
            entity.since = time;
        }
        entity.state = to;
        entity.version += 1;
        let (key, version) = (entity.key.clone(), entity.version);
        moves.moved.push(Move { at: time, key, from, to, name, stayed, version, source, cut });
        if self.machine.is_finished(to) {
            let leaves = time.saturating_add(self.keep).div_euclid(HOUR);
            let hash = self.entities[at].hash;
            self.leaving.entry(leaves).or_default().push((at, hash));
        }
    }

    fn refuse(
        &mut self,
        at: u32,
        step: &EntityStep,
        reason: RefusalReason,
        cut: RowCut,
        moves: &mut Moves,
    ) {
        self.counts.refused += 1;
        let state = self.entities[at].state;
        let noticed_at = step.at.max(step.watermark_before);
        moves.refused.push(Refused { step: step.clone(), noticed_at, reason, state, cut });
        if state == MachineState::NONE {
            self.remove(at);
        }
    }

    fn entity(&mut self, step: &EntityStep) -> u32 {
        let entities = &self.entities;
        let is_it = |number| entities[number].hash == step.hash;
        if let Some(number) = self.keys.find(step.hash as u64, is_it) {
            return number;
        }
        let number = self.entities.insert(EntityRecord {
            hash: step.hash,
            key: step.key.clone(),
            since: step.at,
            heard: step.at,
            born: step.offset,
            ..EntityRecord::default()
        });
        self.keys.insert(step.hash as u64, number);
        number
    }

    fn remove(&mut self, at: u32) {
        let hash = self.entities[at].hash as u64;
        self.keys.remove(hash, at);
        self.entities.remove(at);
    }

    /// Timers before `until`.
    fn timers(&mut self, until: i64, cuts: &RowCuts, moves: &mut Moves) {
        while self.wheel.may_be_due(until) {
            let entities = &self.entities;
            let time_of = |at: u32| entities[at].timer.map(|time| (time, entities[at].born));
            let Some(timer) = self.wheel.next(until, time_of) else { return };
            self.went_off(timer, cuts.of_time(timer.at).cut, moves);
        }
    }

    fn went_off(
        &mut self,
        WheelTimer { at: time, born, entity: at }: WheelTimer,
        cut: RowCut,
        moves: &mut Moves,
    ) {
        let entity = &self.entities[at];
        if entity.timer != Some(time) || entity.born != born {
            return;
        }
        let due = self.due(at).filter(|(at, _)| *at == time);
        self.entities[at].timer = None;
        if let Some((_, number)) = due {
            let timer = &self.machine.timers[number];
            let (to, name) = (timer.to, timer.name.clone());
            self.counts.timed += 1;
            self.go(at, (to, time), (name, MoveSource::Timer, cut), moves);
        }
        self.wind(at);
    }

    /// Forgets entities that were finished so long ago.
    fn forget(&mut self, until: i64) {
        let now = until.saturating_add(self.keep).div_euclid(HOUR);
        while let Some(entry) = self.leaving.first_entry()
            && *entry.key() < now
        {
            for (at, hash) in entry.remove() {
                let entity = &self.entities[at];
                let is_over = entity.hash == hash && self.machine.is_finished(entity.state);
                if is_over && entity.since <= until {
                    self.remove(at);
                }
            }
        }
    }

    /// How many came to what.
    pub fn counts(&self) -> TestCounts {
        self.counts
    }

    /// Entities that are held.
    pub fn held(&self) -> usize {
        self.entities.len()
    }

    /// Bytes of memory that are held, about.
    pub fn bytes(&self) -> usize {
        let table = self.keys.bytes() + self.entities.bytes();
        table + self.wheel.bytes() + self.waiting.bytes()
    }
}
