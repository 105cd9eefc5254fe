//! What comes out: one value per row of a relation, texts still as codes.

// long because each relation of changes is one plain struct here.

use super::record::{Time, Urgency};
use super::step::{TestStep, Told};
use super::target::TargetOrigin;
use crate::lifecycle::cut::Brought;
use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::{EventWord, MachineState};
use crate::lifecycle::texts::NO_TEXT;

/// What every row has.
#[derive(Clone, Debug)]
pub struct ChangeHead {
    /// The row's event time.
    pub at: i64,
    /// The partition's watermark before the record that it comes from; of a timer, its own time.
    pub watermark_before: i64,
    /// Which of the causes brought it about.
    pub cause: u32,
    /// The tube.
    pub specimen: EntityId,
    /// The laboratory's code.
    pub lab: u32,
    /// The assay's code.
    pub assay: u32,
    /// The patient class's code.
    pub class: u32,
    /// The location's code.
    pub location: u32,
    /// The priority.
    pub priority: Urgency,
}

/// A row of `transitions`.
#[derive(Clone, Debug)]
pub struct TransitionRow {
    /// What every row has.
    pub head: ChangeHead,
    /// The state before; none of a new test.
    pub from: MachineState,
    /// The state after.
    pub to: MachineState,
    /// Microseconds in the state before.
    pub stayed: Option<i64>,
    /// The machine's code.
    pub machine: u32,
    /// The operator's code.
    pub operator: u32,
    /// The error code's code.
    pub error: u32,
    /// Why, as a code or a word.
    pub reason: u32,
    /// A row form implied it: it is on time or backdated, never a revision.
    pub implied: bool,
}

impl TransitionRow {
    /// A transition that a step asked for.
    pub(super) fn told(
        head: ChangeHead,
        (from, to): (MachineState, MachineState),
        stayed: Option<i64>,
        step: &TestStep,
    ) -> TransitionRow {
        TransitionRow {
            head,
            from,
            to,
            stayed,
            machine: step.machine,
            operator: step.operator,
            error: step.error,
            reason: step.reason,
            implied: false,
        }
    }

    /// A transition of which no event tells anything beside it: implied by a row, or made by a timer.
    pub(super) fn untold(
        head: ChangeHead,
        (from, to): (MachineState, MachineState),
        stayed: Option<i64>,
        implied: bool,
    ) -> TransitionRow {
        TransitionRow {
            head,
            from,
            to,
            stayed,
            machine: NO_TEXT,
            operator: NO_TEXT,
            error: NO_TEXT,
            reason: NO_TEXT,
            implied,
        }
    }
}

/// A row of `completions`.
#[derive(Clone, Debug)]
pub struct CompletionRow {
    /// What every row has.
    pub head: ChangeHead,
    /// When it was ordered.
    pub ordered: Time,
    /// When it was collected.
    pub collected: Time,
    /// When it was received.
    pub received: Time,
    /// When its last result was there.
    pub resulted: Time,
    /// When its clock started.
    pub clock_start: Time,
    /// When it is due.
    pub due: Time,
    /// Its target, microseconds.
    pub target: Time,
    /// The number of where its target comes from; beyond the last where none was asked for.
    pub origin: u32,
    /// Working time from the clock's start, microseconds.
    pub working: Option<i64>,
    /// The machine's code.
    pub machine: u32,
    /// The operator's code.
    pub operator: u32,
    /// How often it was repeated.
    pub repeats: u16,
    /// Whether no person verified it.
    pub auto_verified: Told,
    /// Whether it differs much from the patient's last one.
    pub delta_flag: Told,
}

/// Whether a test was done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueOutcome {
    /// Done by then.
    OnTime,
    /// Not done by then.
    Breached,
}

impl DueOutcome {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            DueOutcome::OnTime => "on_time",
            DueOutcome::Breached => "breached",
        }
    }
}

/// Where a test that is not done in time stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrunPhase {
    /// For the analysis to begin.
    Waiting,
    /// For a result.
    Analytical,
    /// For somebody to verify the result.
    Verification,
    /// For a tube that is lost.
    Lost,
}

impl OverrunPhase {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            OverrunPhase::Waiting => "waiting",
            OverrunPhase::Analytical => "analytical",
            OverrunPhase::Verification => "verification",
            OverrunPhase::Lost => "lost",
        }
    }
}

/// A row of `due`.
#[derive(Clone, Debug)]
pub struct DueRow {
    /// What every row has.
    pub head: ChangeHead,
    /// When it was due, microseconds.
    pub due_at: i64,
    /// Its target, microseconds.
    pub target: Time,
    /// The number of where its target comes from.
    pub origin: u32,
    /// What came of it.
    pub outcome: DueOutcome,
    /// The state that it stood in.
    pub state: MachineState,
    /// What it was waiting for.
    pub phase: Option<OverrunPhase>,
}

/// What a deadline came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineStage {
    /// A share of the target has run.
    AtRisk,
    /// Not done by then.
    Breached,
    /// The test is finished, late or not.
    Ended,
}

impl DeadlineStage {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            DeadlineStage::AtRisk => "at_risk",
            DeadlineStage::Breached => "breached",
            DeadlineStage::Ended => "ended",
        }
    }
}

/// What a deadline is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineKind {
    /// The test: to be verified.
    Test,
    /// The specimen: to be analysed before it expires.
    Hold,
}

impl DeadlineKind {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            DeadlineKind::Test => "test",
            DeadlineKind::Hold => "hold",
        }
    }
}

/// A row of `deadlines`.
#[derive(Clone, Debug)]
pub struct DeadlineRow {
    /// What every row has.
    pub head: ChangeHead,
    /// What it is of.
    pub kind: DeadlineKind,
    /// What the deadline came to.
    pub stage: DeadlineStage,
    /// When it was due, microseconds.
    pub due_at: Time,
    /// Its target, microseconds.
    pub target: Time,
    /// The state that it stood in.
    pub state: MachineState,
    /// The machine's code.
    pub machine: u32,
}

/// A row of `rejections`.
#[derive(Clone, Debug)]
pub struct RejectionRow {
    /// What every row has.
    pub head: ChangeHead,
    /// Why, as a code or a word.
    pub reason: u32,
    /// The machine's code.
    pub machine: u32,
    /// Whether one of the tests was being analysed.
    pub is_analytical: bool,
    /// How many tests.
    pub tests: u32,
}

/// A row of `errors`.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    /// What every row has.
    pub head: ChangeHead,
    /// The machine's code.
    pub machine: u32,
    /// The operator's code.
    pub operator: u32,
    /// The error code's code.
    pub error: u32,
    /// When it was received.
    pub received: Time,
}

/// What became of a finished test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restated {
    /// The result was taken back.
    Invalidated,
    /// It is worked on again.
    Reissued,
    /// The result was corrected.
    Corrected,
    /// It was done in time after all.
    DueOverturned,
}

impl Restated {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            Restated::Invalidated => "invalidated",
            Restated::Reissued => "reissued",
            Restated::Corrected => "corrected",
            Restated::DueOverturned => "due_overturned",
        }
    }
}

/// A row of `restatements`.
#[derive(Clone, Debug)]
pub struct RestatementRow {
    /// What every row has.
    pub head: ChangeHead,
    /// What kind of change.
    pub kind: Restated,
    /// What was told before.
    pub was: String,
    /// What is told now.
    pub is: String,
}

/// Why a step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// It is older than the last one that was applied.
    Overtaken,
    /// The state does not allow it.
    NotAllowed,
    /// Another came first: it carries a version that is no longer the entity's, or another holds it.
    Conflict,
    /// The settings that it brings along cannot be read.
    Settings,
}

impl RefusalReason {
    /// As it stands in the table.
    pub fn text(self) -> &'static str {
        match self {
            RefusalReason::Overtaken => "overtaken",
            RefusalReason::NotAllowed => "not_allowed",
            RefusalReason::Conflict => "conflict",
            RefusalReason::Settings => "settings",
        }
    }
}

/// A row of `refused`.
#[derive(Clone, Debug)]
pub struct RefusedRow {
    /// What every row has.
    pub head: ChangeHead,
    /// Why, as a code or a word.
    pub reason: RefusalReason,
    /// The state that it stood in.
    pub state: MachineState,
    /// What was asked for.
    pub word: EventWord,
    /// The row form's ERROR: nothing is allowed.
    pub is_final: bool,
}

/// A row of `backdated`.
#[derive(Clone, Debug)]
pub struct BackdatedRow {
    /// What every row has.
    pub head: ChangeHead,
    /// The time that it is about.
    pub happened: i64,
    /// The state after.
    pub to: MachineState,
}

/// What became of a released step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A transition of at least one of the tests that it addressed.
    Moved,
    /// It told of what was known.
    Repeated,
    /// None of the tests allowed it.
    Refused,
}

/// What brings rows about: a step, or time.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// The record that did, and where the rows stand.
    pub brought: Brought,
    /// The step; none for timers.
    pub step: Option<ReleasedStep>,
}

/// A step that was released.
#[derive(Clone, Copy, Debug)]
pub struct ReleasedStep {
    /// Its row in the batch in hand, where it came in that.
    pub row: Option<u32>,
    /// Whether a table has counted its event by itself.
    pub is_counted: bool,
    /// What became of it.
    pub fate: Fate,
}

/// All rows that steps and timers made, in the order in which they were.
#[derive(Debug, Default)]
pub struct Changes {
    /// Where targets come from, by number.
    pub origins: Vec<TargetOrigin>,
    /// What brought them about, in the order of work.
    pub causes: Vec<Cause>,
    /// Rows of `transitions`.
    pub transitions: Vec<TransitionRow>,
    /// Rows of `completions`.
    pub completions: Vec<CompletionRow>,
    /// When it is due.
    pub due: Vec<DueRow>,
    /// Rows of `deadlines`.
    pub deadlines: Vec<DeadlineRow>,
    /// Rows of `rejections`.
    pub rejections: Vec<RejectionRow>,
    /// Rows of `errors`.
    pub errors: Vec<ErrorRow>,
    /// Rows of `restatements`.
    pub restatements: Vec<RestatementRow>,
    /// Rows of `refused`.
    pub refused: Vec<RefusedRow>,
    /// Rows of `backdated`.
    pub backdated: Vec<BackdatedRow>,
}
