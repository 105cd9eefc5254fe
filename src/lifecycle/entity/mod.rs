//! Entities of any machine that is declared: events and timers in their order in, moves out.
//!
//! The general engine beside the tests' own (`super::test`): critical results, instruments, centres and
//! what a project declares for itself. An entity is found by a 128-bit key and keeps its state, since
//! when, and its next timer. `lengths` is what timers ask of reference data.

#[cfg(test)]
mod center_tests;
mod lengths;
mod moves;
mod step;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use lengths::ReferenceLengths;
pub use moves::{Move, Moves, Refused};
pub use step::{EntityStep, Key, SettingsSaid, StepSaid, columns, steps};
pub use timers::{Lengths, NoLengths};

use super::cut::Brought;
use super::follows::{Follows, WorkOrder};
use super::keys::KeyTable;
use super::machine::{MachineState, SettingsDeed, StateMachine};
use super::slab::Slab;
use super::test::change::{Fate, RefusalReason, ReleasedStep};
use super::test::tally::TestCounts;
use super::wheel::WheelTimer;
use crate::reference::Target;

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
    /// How many transitions it has made, or what else the machine counts.
    version: i64,
    /// Who holds it.
    holder: Option<Arc<str>>,
    /// Settings that do not count yet.
    settings: Option<Arc<[Target]>>,
    timer: Option<i64>,
}

impl EntityRecord {
    /// Takes settings along that a transition brings, or gives those that it puts in force.
    fn publish(&mut self, deed: SettingsDeed, said: &StepSaid) -> Option<Arc<[Target]>> {
        match (deed, &said.settings) {
            (SettingsDeed::Nothing, _) => None,
            (SettingsDeed::Carries, SettingsSaid::Targets(targets)) => {
                self.settings = Some(Arc::clone(targets));
                None
            }
            (SettingsDeed::Carries, SettingsSaid::Nothing | SettingsSaid::Unreadable) => {
                self.settings = None;
                None
            }
            (SettingsDeed::PutsInForce, _) => self.settings.take(),
        }
    }
}

/// What moves an entity on.
struct GoneBy {
    name: Arc<str>,
    said: StepSaid,
    watermark_before: i64,
    takes_lease: bool,
    raises: bool,
    settings: SettingsDeed,
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
    order: WorkOrder<EntityStep>,
    counts: TestCounts,
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
            order: WorkOrder::default(),
            counts: TestCounts::default(),
        }
    }

    fn apply(&mut self, step: &EntityStep, moves: &mut Moves) -> Fate {
        self.counts.addressed += 1;
        let at = self.entity(step);
        let entity = &mut self.entities[at];
        let is_new = entity.state == MachineState::NONE;
        if !is_new && step.at < entity.since {
            return self.refuse(at, step, RefusalReason::Overtaken, moves);
        }
        let way = self.machine.way(entity.state, step.word, step.guards);
        let is_stale = step.version.is_some_and(|version| version != entity.version);
        let Some(way) = way else {
            if is_stale && self.machine.compares(step.word) {
                return self.refuse(at, step, RefusalReason::Conflict, moves);
            }
            if !is_new && self.machine.asks_for(step.word, entity.state) {
                let is_others = entity.holder != step.said.user;
                if is_others && self.machine.leases(step.word) {
                    return self.refuse(at, step, RefusalReason::Conflict, moves);
                }
                entity.heard = entity.heard.max(step.at);
                self.counts.repeated += 1;
                self.wind(at);
                return Fate::Repeated;
            }
            return self.refuse(at, step, RefusalReason::NotAllowed, moves);
        };
        let is_held = entity.holder.is_some() && entity.holder != step.said.user;
        if way.compare_and_set && is_stale || way.by_holder && is_held {
            return self.refuse(at, step, RefusalReason::Conflict, moves);
        }
        let carries = way.settings == SettingsDeed::Carries;
        if carries && step.said.settings == SettingsSaid::Unreadable {
            return self.refuse(at, step, RefusalReason::Settings, moves);
        }
        let (to, name) = (way.to, way.name.as_str().into());
        self.counts.transitions += 1;
        let told = GoneBy {
            name,
            said: step.said.clone(),
            watermark_before: step.watermark_before,
            takes_lease: way.takes_lease,
            raises: way.raises,
            settings: way.settings,
        };
        self.go(at, (to, step.at), told, moves);
        self.entities[at].heard = self.entities[at].heard.max(step.at);
        self.wind(at);
        Fate::Moved
    }

    /// Moves an entity on, and says so.
    fn go(&mut self, at: u32, (to, time): (MachineState, i64), told: GoneBy, moves: &mut Moves) {
        let GoneBy { name, said, watermark_before, takes_lease, raises, settings } = told;
        let entity = &mut self.entities[at];
        let from = entity.state;
        let stayed =
            (from != MachineState::NONE && time >= entity.since).then(|| time - entity.since);
        // A stay that goes on keeps its beginning.
        if to != from {
            entity.since = time;
        }
        if takes_lease {
            entity.holder.clone_from(&said.user);
        } else if to != from {
            entity.holder = None;
        }
        let in_force = entity.publish(settings, &said);
        entity.state = to;
        entity.version += i64::from(raises);
        let (key, version, holder) = (entity.key.clone(), entity.version, entity.holder.clone());
        moves.moved.push(Move {
            at: time,
            watermark_before,
            cause: moves.cause(),
            key,
            from,
            to,
            name,
            stayed,
            version,
            holder,
            in_force,
            said,
        });
        if self.machine.is_finished(to) {
            let (leaves, hash) = (self.leaves(at), self.entities[at].hash);
            self.leaving.entry(leaves).or_default().push((at, hash));
        }
    }

    fn refuse(
        &mut self,
        at: u32,
        step: &EntityStep,
        reason: RefusalReason,
        moves: &mut Moves,
    ) -> Fate {
        self.counts.refused += 1;
        // A word that is refused is a sign of life all the same.
        let entity = &mut self.entities[at];
        entity.heard = entity.heard.max(step.at);
        let state = entity.state;
        moves.refused.push(Refused {
            noticed_at: step.at.max(step.watermark_before),
            watermark_before: step.watermark_before,
            cause: moves.cause(),
            key: step.key.clone(),
            reason,
            state,
            word: step.word,
        });
        if state == MachineState::NONE {
            self.remove(at);
        }
        Fate::Refused
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
            version: self.machine.first_version(),
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

    /// The hour after which a finished entity leaves.
    fn leaves(&self, at: u32) -> i64 {
        self.entities[at].since.saturating_add(self.keep).div_euclid(HOUR)
    }

    /// How many came to what.
    pub fn counts(&self) -> TestCounts {
        self.counts
    }

    /// Entities that are held.
    pub fn held(&self) -> usize {
        self.entities.len()
    }
}

impl Follows for Entities {
    type Step = EntityStep;
    type Changes = Moves;

    fn order(&mut self) -> &mut WorkOrder<EntityStep> {
        &mut self.order
    }

    fn apply_step(
        &mut self,
        step: &EntityStep,
        brought: Brought,
        in_hand: bool,
        moves: &mut Moves,
    ) {
        moves.by_step(brought);
        let fate = self.apply(step, moves);
        let row = in_hand.then_some(step.batch_row);
        moves.became(ReleasedStep { row, is_counted: step.is_counted, fate });
    }

    fn next_timer(&mut self, until: i64) -> Option<WheelTimer> {
        let entities = &self.entities;
        let time_of = |at: u32| entities[at].timer.map(|time| (time, entities[at].born));
        let wheel = &mut self.order.wheel;
        wheel.may_be_due(until).then(|| wheel.next(until, time_of)).flatten()
    }

    fn went_off(
        &mut self,
        WheelTimer { at: time, born, entity: at }: WheelTimer,
        brought: Brought,
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
            let (to, name) = (timer.to, timer.name.as_str().into());
            self.counts.timed += 1;
            moves.by_time(brought);
            // Time is on time, unless a late event let it begin in the past.
            let watermark_before = time.max(self.order.passed);
            let told = GoneBy {
                raises: self.machine.raises(&timer.name),
                name,
                said: StepSaid::default(),
                watermark_before,
                takes_lease: false,
                settings: SettingsDeed::Nothing,
            };
            self.go(at, (to, time), told, moves);
        }
        self.wind(at);
    }

    /// By whole hours, so that it does not matter how often it is asked.
    fn forget(&mut self, now: i64) {
        let hour = now.div_euclid(HOUR);
        while let Some(entry) = self.leaving.first_entry()
            && *entry.key() < hour
        {
            for (at, hash) in entry.remove() {
                let entity = &self.entities[at];
                let is_over = entity.hash == hash && self.machine.is_finished(entity.state);
                if is_over && self.leaves(at) < hour {
                    self.remove(at);
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.entities.bytes() + self.order.bytes()
    }
}
