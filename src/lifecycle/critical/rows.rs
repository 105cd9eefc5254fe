//! What comes out of critical results: moves, judgements, deadlines.

use std::sync::Arc;

use crate::lifecycle::entity::{Key, Moves};
use crate::lifecycle::machine::MachineState;

/// What every row has.
#[derive(Clone, Debug)]
pub struct CriticalHead {
    /// The row's event time.
    pub at: i64,
    /// The partition's watermark before the record that it comes from; of a timer, its own time.
    pub watermark_before: i64,
    /// Which of the causes brought it about.
    pub cause: u32,
    /// Which result.
    pub key: Key,
    /// The priority, the patient's class and the location, as the flag says them.
    pub priority: Option<Arc<str>>,
    /// The patient class.
    pub patient_class: Option<Arc<str>>,
    /// The location.
    pub location: Option<Arc<str>>,
    /// When it has to be acknowledged; none without a target.
    pub due: Option<i64>,
    /// The longest allowable time, microseconds.
    pub target: Option<i64>,
}

/// What was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CriticalOutcome {
    /// It was acknowledged in time.
    Handled,
    /// It was not when its time was over.
    Overdue,
    /// An overdue one was acknowledged.
    HandledLate,
    /// One that was told to be overdue had been acknowledged in time: a late event told of it.
    Overturned,
    /// Nobody had to be called.
    Exempt,
    /// Given up without a deadline having been missed.
    Abandoned,
}

impl CriticalOutcome {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            CriticalOutcome::Handled => "handled",
            CriticalOutcome::Overdue => "overdue",
            CriticalOutcome::HandledLate => "handled_late",
            CriticalOutcome::Overturned => "overturned",
            CriticalOutcome::Exempt => "exempt",
            CriticalOutcome::Abandoned => "abandoned",
        }
    }
}

/// A row of `critical_results`.
#[derive(Clone, Debug)]
pub struct CriticalRow {
    /// What every row has.
    pub head: CriticalHead,
    /// What was judged.
    pub outcome: CriticalOutcome,
    /// Why nobody had to be called: the name of the transition.
    pub exempt: Option<Arc<str>>,
    /// HH, LL or AA.
    pub flag: Option<Arc<str>>,
    /// When it was flagged.
    pub flagged: i64,
    /// From when its time runs.
    pub start: i64,
    /// Where its target comes from.
    pub source: &'static str,
    /// Since when that is valid.
    pub version: Arc<str>,
    /// When somebody was reached.
    pub notified: Option<i64>,
    /// When it was acknowledged.
    pub acknowledged: Option<i64>,
    /// Somebody was reached, or had acknowledged, before the flag.
    pub before_flag: bool,
    /// Calls that reached nobody.
    pub attempts: u32,
    /// Whether it was read back; none where nobody says.
    pub read_back: Option<bool>,
    /// How it was told.
    pub channel: Option<Arc<str>>,
    /// Who was told.
    pub role: Option<Arc<str>>,
}

/// What a deadline says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CriticalStage {
    /// Half of its time has run.
    Reminder,
    /// All of it has.
    Breached,
    /// It is over, after one of these was said.
    Ended,
}

impl CriticalStage {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            CriticalStage::Reminder => "reminder",
            CriticalStage::Breached => "breached",
            CriticalStage::Ended => "ended",
        }
    }
}

/// A row of `critical_deadlines`.
#[derive(Clone, Debug)]
pub struct CriticalDeadlineRow {
    /// What every row has.
    pub head: CriticalHead,
    /// What it came to.
    pub stage: CriticalStage,
    /// The state that it stands in.
    pub state: MachineState,
}

/// What steps and timers made, in the order in which they did.
#[derive(Debug, Default)]
pub struct CriticalChanges {
    /// What brought it about, the results that moved, and what was refused.
    pub moves: Moves,
    /// Results that were judged.
    pub results: Vec<CriticalRow>,
    /// Deadlines as they ran.
    pub deadlines: Vec<CriticalDeadlineRow>,
}
