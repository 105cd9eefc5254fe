//! The relations of changes, their columns and what these mean (docs/lifecycles.md).

use crate::relate::column::{ColumnHolds, RelationColumn, column};

/// What SQL can read of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeRelation {
    /// Accepted transitions of tests.
    Transitions,
    /// Tests that reached VERIFIED for the first time.
    Completions,
    /// Tests whose time to be done has come.
    Due,
    /// Deadlines as they run.
    Deadlines,
    /// Rejected tubes.
    Rejections,
    /// Errors.
    Errors,
    /// Changes to finished tests.
    Restatements,
    /// Events that the state of a test did not allow.
    Refused,
    /// Receipts told too late for the windows that they belong to.
    Backdated,
}

use ColumnHolds::{Bool, Float, Int, Text, Time};

/// What every relation has in front.
const HEAD: [RelationColumn; 6] = [
    column("lab_id", Text, "performing laboratory"),
    column("specimen_id", Text, "the tube"),
    column("assay", Text, "the test; null while none is known"),
    column("priority", Text, "S stat, A asap, R routine; the highest that was told"),
    column("patient_class", Text, "ED, inpatient, outpatient, GP"),
    column("location", Text, "ward or clinic"),
];

const MACHINE: RelationColumn = column("machine_id", Text, "the instrument");
const OPERATOR: RelationColumn = column("operator_id", Text, "who worked on it");
const ERROR_CODE: RelationColumn = column("error_code", Text, "the instrument's error code");
const REASON: RelationColumn =
    column("reject_reason", Text, "HL7 table 0490 or a local code (ref.reject_reasons)");
const TARGET: RelationColumn =
    column("target_minutes", Float, "allowable time; null without a deadline");
const TARGET_SOURCE: RelationColumn =
    column("target_source", Text, "what told the target: profile, centre, reference or default");
const TARGET_VERSION: RelationColumn =
    column("target_version", Text, "since when that is valid; empty where it is always");
const DUE_AT: RelationColumn = column("due_at", Time, "when it is to be done");

const TRANSITIONS: &[RelationColumn] = &[
    column("from_state", Text, "the state before; null of a new test"),
    column("to_state", Text, "the state after"),
    column("seconds_in_state", Float, "time in the state before; null when negative or unknown"),
    MACHINE,
    OPERATOR,
    ERROR_CODE,
    REASON,
    column("at", Time, "when it changed (event time)"),
    column("implied", Bool, "a row form told of it together with what came after"),
];

const COMPLETIONS: &[RelationColumn] = &[
    column("ordered_at", Time, "order placed"),
    column("collected_at", Time, "specimen collected"),
    column("received_at", Time, "receipt in the laboratory"),
    column("resulted_at", Time, "last result before the verification"),
    column("completed_at", Time, "first verification (event time)"),
    column("tat_us", Int, "clock start to verification in microseconds; null when negative"),
    column("tat_minutes", Float, "clock start to verification; null when negative or unknown"),
    column("order_to_collect_minutes", Float, "order to collection"),
    column("collect_to_receive_minutes", Float, "collection to receipt"),
    column("receive_to_result_minutes", Float, "receipt to result"),
    column("result_to_verify_minutes", Float, "result to verification"),
    column("total_minutes", Float, "order to verification"),
    TARGET,
    column("within_target", Bool, "completed not after due_at; null without a deadline"),
    MACHINE,
    OPERATOR,
    column("auto_verified", Bool, "verified without a person"),
    column("delta_flag", Bool, "differs much from the patient's last result"),
    column("repeats", Int, "how often it was repeated"),
    column("clock_start_at", Time, "the later of the receipt and the test's own order"),
    column("add_on", Bool, "the clock started after the receipt"),
    DUE_AT,
    column("tat_working_minutes", Float, "minutes of tat_minutes in which the laboratory was open"),
    TARGET_SOURCE,
    TARGET_VERSION,
    column("clock", Text, "which minutes count towards the target: wall or working"),
];

const DUE: &[RelationColumn] = &[
    column("kind", Text, "test"),
    DUE_AT,
    TARGET,
    column("outcome", Text, "on_time or breached"),
    column("state", Text, "the state that it stood in"),
    column("phase", Text, "what a test that is late waited for; null when it was done late"),
    column("at", Time, "the later of due_at and the event that told of it (event time)"),
    TARGET_SOURCE,
    TARGET_VERSION,
];

const DEADLINES: &[RelationColumn] = &[
    column("stage", Text, "at_risk, breached or ended"),
    DUE_AT,
    TARGET,
    column("state", Text, "the state that it stands in"),
    MACHINE,
    column("at", Time, "when it came to that (event time)"),
    column("kind", Text, "test (to be verified), or hold (a specimen to be analysed)"),
];

const REJECTIONS: &[RelationColumn] = &[
    REASON,
    column("phase", Text, "pre_analytical, or analytical where a test was being analysed"),
    MACHINE,
    column("tests", Int, "tests of the tube that were rejected"),
    column("rejected_at", Time, "when it was rejected (event time)"),
];

const ERRORS: &[RelationColumn] = &[
    MACHINE,
    OPERATOR,
    ERROR_CODE,
    column("received_at", Time, "receipt in the laboratory"),
    column("minutes_since_receipt", Float, "receipt to the error; null when negative or unknown"),
    column("at", Time, "when it failed (event time)"),
];

const RESTATEMENTS: &[RelationColumn] = &[
    column("kind", Text, "invalidated, reissued, corrected or due_overturned"),
    column("was", Text, "what was told before: a state, or an outcome"),
    column("is", Text, "what is told now"),
    column("at", Time, "when it changed (event time)"),
];

const REFUSED: &[RelationColumn] = &[
    column("reason", Text, "not_allowed, overtaken or conflict"),
    column("state", Text, "the state that it met"),
    column("word", Text, "what the event asked for"),
    column("allowed", Text, "what was allowed there, sorted, with commas"),
    column("noticed_at", Time, "the later of its time and the watermark before it (event time)"),
];

const BACKDATED: &[RelationColumn] = &[
    column("to_state", Text, "what happened"),
    column("at", Time, "when it happened"),
    column(
        "noticed_at",
        Time,
        "the later of its record's time and the watermark before it (event time)",
    ),
];

impl ChangeRelation {
    /// All relations of changes.
    pub const ALL: [ChangeRelation; 9] = [
        ChangeRelation::Transitions,
        ChangeRelation::Completions,
        ChangeRelation::Due,
        ChangeRelation::Deadlines,
        ChangeRelation::Rejections,
        ChangeRelation::Errors,
        ChangeRelation::Restatements,
        ChangeRelation::Refused,
        ChangeRelation::Backdated,
    ];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            ChangeRelation::Transitions => "transitions",
            ChangeRelation::Completions => "completions",
            ChangeRelation::Due => "due",
            ChangeRelation::Deadlines => "deadlines",
            ChangeRelation::Rejections => "rejections",
            ChangeRelation::Errors => "errors",
            ChangeRelation::Restatements => "restatements",
            ChangeRelation::Refused => "refused",
            ChangeRelation::Backdated => "backdated",
        }
    }

    /// The column that holds the event time.
    pub fn event_time_column(self) -> &'static str {
        match self {
            ChangeRelation::Completions => "completed_at",
            ChangeRelation::Rejections => "rejected_at",
            ChangeRelation::Refused | ChangeRelation::Backdated => "noticed_at",
            ChangeRelation::Transitions
            | ChangeRelation::Due
            | ChangeRelation::Deadlines
            | ChangeRelation::Errors
            | ChangeRelation::Restatements => "at",
        }
    }

    fn own(self) -> &'static [RelationColumn] {
        match self {
            ChangeRelation::Transitions => TRANSITIONS,
            ChangeRelation::Completions => COMPLETIONS,
            ChangeRelation::Due => DUE,
            ChangeRelation::Deadlines => DEADLINES,
            ChangeRelation::Rejections => REJECTIONS,
            ChangeRelation::Errors => ERRORS,
            ChangeRelation::Restatements => RESTATEMENTS,
            ChangeRelation::Refused => REFUSED,
            ChangeRelation::Backdated => BACKDATED,
        }
    }

    /// The columns in order.
    pub fn columns(self) -> impl Iterator<Item = &'static RelationColumn> {
        HEAD.iter().chain(self.own())
    }
}
