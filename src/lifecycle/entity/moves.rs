//! What comes out of entities.

use super::step::{EntityStep, Key};
use crate::lifecycle::cut::RowCut;
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::test::change::RefusalReason;

/// What moved an entity.
#[derive(Clone, Debug)]
pub enum MoveSource {
    /// An event; `in_hand` when it came in the batch in hand.
    Event {
        /// The event.
        step: EntityStep,
        /// Whether it came in the batch in hand.
        in_hand: bool,
    },
    /// Time.
    Timer,
}

/// An entity moved on.
#[derive(Clone, Debug)]
pub struct Move {
    /// When, in event time.
    pub at: i64,
    /// Which entity.
    pub key: Key,
    /// The state before; none of a new one.
    pub from: MachineState,
    /// The state after.
    pub to: MachineState,
    /// What the transition or timer is called.
    pub name: String,
    /// Microseconds since it came to the state before.
    pub stayed: Option<i64>,
    /// How many transitions it has made with this one.
    pub version: i64,
    /// What moved it.
    pub source: MoveSource,
    /// When, in the order of records, it was made.
    pub cut: RowCut,
}

/// An event that an entity did not allow.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The event.
    pub step: EntityStep,
    /// The later of its time and the watermark before it.
    pub noticed_at: i64,
    /// Why.
    pub reason: RefusalReason,
    /// The state that it met.
    pub state: MachineState,
    /// When, in the order of records, it was noticed.
    pub cut: RowCut,
}

/// What steps and timers made, in the order in which they did.
#[derive(Debug, Default)]
pub struct Moves {
    /// Entities that moved.
    pub moved: Vec<Move>,
    /// Events that were refused.
    pub refused: Vec<Refused>,
}
