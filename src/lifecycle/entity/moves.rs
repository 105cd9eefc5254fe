//! What comes out of entities.

use std::sync::Arc;

use super::step::{Key, StepSaid};
use crate::lifecycle::cut::Brought;
use crate::lifecycle::machine::{EventWord, MachineState};
use crate::lifecycle::test::change::{Cause, RefusalReason, ReleasedStep};
use crate::reference::Target;

/// An entity moved on.
#[derive(Clone, Debug)]
pub struct Move {
    /// When, in event time.
    pub at: i64,
    /// The partition's watermark before the record that it comes from; of a timer, its own time.
    pub watermark_before: i64,
    /// Which of the causes brought it about.
    pub cause: u32,
    /// Which entity.
    pub key: Key,
    /// The state before; none of a new one.
    pub from: MachineState,
    /// The state after.
    pub to: MachineState,
    /// What the transition or timer is called.
    pub name: Arc<str>,
    /// Microseconds since it came to the state before.
    pub stayed: Option<i64>,
    /// Its version after it: of most machines, how many transitions it has made.
    pub version: i64,
    /// Who holds it from then on.
    pub holder: Option<Arc<str>>,
    /// The settings that count from then on.
    pub in_force: Option<Arc<[Target]>>,
    /// What the event said beside its word; nothing where time moved it.
    pub said: StepSaid,
}

/// An event that an entity did not allow.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The later of its time and the watermark before it.
    pub noticed_at: i64,
    /// The partition's watermark before it.
    pub watermark_before: i64,
    /// Which of the causes it is.
    pub cause: u32,
    /// Which entity.
    pub key: Key,
    /// Why.
    pub reason: RefusalReason,
    /// The state that it met.
    pub state: MachineState,
    /// What it asked for.
    pub word: EventWord,
}

/// What steps and timers made, in the order in which they did.
#[derive(Debug, Default)]
pub struct Moves {
    /// What brought them about, in the order of work.
    pub causes: Vec<Cause>,
    /// Entities that moved.
    pub moved: Vec<Move>,
    /// Events that were refused.
    pub refused: Vec<Refused>,
}

impl Moves {
    /// The cause in hand.
    pub(in crate::lifecycle) fn cause(&self) -> u32 {
        self.causes.len().saturating_sub(1) as u32
    }

    /// What comes next is brought about by a step.
    pub(in crate::lifecycle) fn by_step(&mut self, brought: Brought) {
        self.causes.push(Cause { brought, step: None });
    }

    /// What comes next is brought about by time; timers that one record brings about are one cause.
    pub(in crate::lifecycle) fn by_time(&mut self, brought: Brought) {
        let is_it = |last: &Cause| last.step.is_none() && last.brought == brought;
        if !self.causes.last().is_some_and(is_it) {
            self.causes.push(Cause { brought, step: None });
        }
    }

    /// Notes what became of the step that is the cause in hand.
    pub(in crate::lifecycle) fn became(&mut self, step: ReleasedStep) {
        if let Some(cause) = self.causes.last_mut() {
            cause.step = Some(step);
        }
    }
}
