//! The relations' names, columns and meanings (`docs/pipelines.md#what-sql-reads`).

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::flow::event::{EVENT_FIELDS, EVENT_SCHEMA, timestamp_type};

/// What SQL can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// Every event that passed decode.
    Events,
    /// Every change of a test's state, as the feed claims it.
    Transitions,
    /// Every test that reached VERIFIED, or COMPLETED in the row form.
    Completions,
    /// Every rejected tube.
    Rejections,
    /// Every ERROR.
    Errors,
}

/// One column of a relation.
#[derive(Clone, Copy, Debug)]
pub struct RelationColumn {
    /// The column's name in SQL.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    pub(super) kind: ColumnKind,
    pub(super) origin: ColumnOrigin,
}

/// What a column is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnOrigin {
    /// The event's field of this name, as it is.
    Field(&'static str),
    /// The relation's event time.
    EventTime,
    /// The state reached, by whichever form.
    StateReached,
    /// An instant of a test's course.
    Instant(Point),
    /// From one point to a later one, in microseconds.
    Micros(Point, Point),
    /// From one point to a later one, in minutes.
    Minutes(Point, Point),
    /// The allowable time from receipt to verification.
    Target,
    /// Whether that time was kept.
    WithinTarget,
    /// The phase of the testing process in which a tube was rejected.
    RejectionPhase,
    /// Null while no state is kept.
    NotYetKnown,
}

/// A point in a test's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Ordered,
    Collected,
    Received,
    /// Transition form: `processed_at`. The row form does not tell.
    Resulted,
    /// Transition form: the event time. Row form: `processed_at`; null where it is missing, though
    /// the event time then is the receipt.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Text,
    Time,
    Int,
    Float,
    Bool,
}

use ColumnKind::{Bool, Float, Int, Text, Time};
use ColumnOrigin::{
    EventTime, Field as Of, Instant, Micros, Minutes, NotYetKnown, RejectionPhase, StateReached,
    Target, WithinTarget,
};
use Point::{Collected, Ended, Ordered, Received, Resulted};

/// A column that is the event's field of the same name.
const fn column(name: &'static str, kind: ColumnKind, doc: &'static str) -> RelationColumn {
    made(name, kind, Of(name), doc)
}

const fn made(
    name: &'static str,
    kind: ColumnKind,
    origin: ColumnOrigin,
    doc: &'static str,
) -> RelationColumn {
    RelationColumn { name, doc, kind, origin }
}

const LAB: RelationColumn = column("lab_id", Text, "performing laboratory");
const SPECIMEN: RelationColumn = column("specimen_id", Text, "the tube");
const ASSAY: RelationColumn = column("assay", Text, "the test; null for events of the tube");
const PRIORITY: RelationColumn = column("priority", Text, "S stat, A asap, R routine");
const CLASS: RelationColumn = column("patient_class", Text, "ED, inpatient, outpatient, GP");
const LOCATION: RelationColumn = column("location", Text, "ward or clinic");
const MACHINE: RelationColumn = column("machine_id", Text, "the instrument");
const OPERATOR: RelationColumn = column("operator_id", Text, "who worked on it");
const ERROR_CODE: RelationColumn = column("error_code", Text, "the instrument's error code");
const REJECT_REASON: RelationColumn =
    column("reject_reason", Text, "HL7 table 0490 or a local code (ref.reject_reasons)");
const RECEIVED: RelationColumn = column("received_at", Time, "receipt in the laboratory");

const TRANSITIONS: &[RelationColumn] = &[
    LAB,
    SPECIMEN,
    ASSAY,
    PRIORITY,
    CLASS,
    LOCATION,
    column("from_state", Text, "the state before, where the feed says it"),
    made("to_state", Text, StateReached, "the state after; COMPLETED of the row form is VERIFIED"),
    made(
        "seconds_in_state",
        Float,
        NotYetKnown,
        "time in the state before; null while it is not followed",
    ),
    MACHINE,
    OPERATOR,
    ERROR_CODE,
    REJECT_REASON,
    made("at", Time, EventTime, "when it changed (event time)"),
];

const COMPLETIONS: &[RelationColumn] = &[
    LAB,
    SPECIMEN,
    ASSAY,
    PRIORITY,
    CLASS,
    LOCATION,
    column("ordered_at", Time, "order placed"),
    column("collected_at", Time, "specimen collected"),
    RECEIVED,
    made(
        "resulted_at",
        Time,
        Instant(Resulted),
        "result available, before verification; null in the row form",
    ),
    made("completed_at", Time, EventTime, "verification (event time)"),
    made(
        "tat_us",
        Int,
        Micros(Received, Ended),
        "receipt to verification in microseconds; null when negative or unknown",
    ),
    made(
        "tat_minutes",
        Float,
        Minutes(Received, Ended),
        "receipt to verification; null when negative or unknown",
    ),
    made("order_to_collect_minutes", Float, Minutes(Ordered, Collected), "order to collection"),
    made(
        "collect_to_receive_minutes",
        Float,
        Minutes(Collected, Received),
        "collection to receipt",
    ),
    made("receive_to_result_minutes", Float, Minutes(Received, Resulted), "receipt to result"),
    made("result_to_verify_minutes", Float, Minutes(Resulted, Ended), "result to verification"),
    made("total_minutes", Float, Minutes(Ordered, Ended), "order to verification"),
    made(
        "target_minutes",
        Float,
        Target,
        "allowable receipt to verification, resolved at receipt; null without a deadline",
    ),
    made(
        "within_target",
        Bool,
        WithinTarget,
        "tat_minutes <= target_minutes; null when one of them is",
    ),
    MACHINE,
    OPERATOR,
    column("auto_verified", Bool, "verified without a person"),
    column("delta_flag", Bool, "differs much from the patient's last result"),
    made(
        "repeats",
        Int,
        Of("repeat_no"),
        "how often the test was repeated, where the feed says it",
    ),
];

const REJECTIONS: &[RelationColumn] = &[
    LAB,
    SPECIMEN,
    ASSAY,
    PRIORITY,
    CLASS,
    LOCATION,
    REJECT_REASON,
    made(
        "phase",
        Text,
        RejectionPhase,
        "pre_analytical or analytical by the state before; null when unknown",
    ),
    MACHINE,
    made("tests", Int, NotYetKnown, "tests of the tube; null while tests are not followed"),
    made("rejected_at", Time, EventTime, "when it was rejected (event time)"),
];

const ERRORS: &[RelationColumn] = &[
    LAB,
    SPECIMEN,
    ASSAY,
    PRIORITY,
    CLASS,
    LOCATION,
    MACHINE,
    OPERATOR,
    ERROR_CODE,
    RECEIVED,
    made(
        "minutes_since_receipt",
        Float,
        Minutes(Received, Ended),
        "receipt to the error; null when negative or unknown",
    ),
    made("at", Time, EventTime, "when it failed (event time)"),
];

/// What each of [`EVENT_FIELDS`] means, in that order.
const EVENT_DOCS: [&str; EVENT_FIELDS.len()] = [
    "idempotency key; a repeat is dropped and counted",
    "version of the event's form, 1 when absent",
    "what kind of event; specimen.snapshot when absent",
    "performing laboratory",
    "when it happened; processed_at, else received_at, in the row form",
    "the tube",
    "the order",
    "pseudonym of the patient",
    "the test",
    "the test's LOINC code",
    "S stat, A asap, R routine",
    "ED, inpatient, outpatient, GP",
    "ward or clinic",
    "tube or additive",
    "allowable turnaround time of the profile, minutes",
    "the state after, in the transition form",
    "the state before, in the transition form",
    "RECEIVED, IN_PROCESS, COMPLETED, ERROR, REJECTED or CANCELLED, in the row form",
    "order placed",
    "specimen collected",
    "receipt in the laboratory",
    "result available; in the row form the time of the status",
    "the instrument",
    "who worked on it",
    "the instrument's error code",
    "HL7 table 0490 or a local code (ref.reject_reasons)",
    "the specimen that this one replaces",
    "laboratory that a test was referred to",
    "laboratory that a test was referred from",
    "the critical result",
    "what was measured",
    "the measured value",
    "the value's unit",
    "HH, LL and AA are critical",
    "role that was notified",
    "whether the result was read back",
    "the instrument's state",
    "whether a stop was planned",
    "free text",
    "verified without a person",
    "differs much from the patient's last result",
    "which repetition it is",
    "the feed's own counter",
    "whether the one to be notified was reached: reached or unreachable",
    "how it was told: phone or electronic",
    "what happened to the centre's settings",
    "who did it; in SQL as \"user\"",
    "the version of the centre's settings",
    "the centre's new settings",
];

impl Relation {
    /// All relations.
    pub const ALL: [Relation; 5] = [
        Relation::Events,
        Relation::Transitions,
        Relation::Completions,
        Relation::Rejections,
        Relation::Errors,
    ];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Events => "events",
            Relation::Transitions => "transitions",
            Relation::Completions => "completions",
            Relation::Rejections => "rejections",
            Relation::Errors => "errors",
        }
    }

    /// The relation of this name.
    pub fn named(name: &str) -> Option<Relation> {
        Relation::ALL.into_iter().find(|relation| relation.name() == name)
    }

    /// What one row is.
    pub fn doc(self) -> &'static str {
        match self {
            Relation::Events => "event that passed decode",
            Relation::Transitions => "change of a test's state, as the feed claims it",
            Relation::Completions => "test reaching VERIFIED, or COMPLETED in the row form",
            Relation::Rejections => "rejected tube",
            Relation::Errors => "ERROR",
        }
    }

    /// The column that holds the event time.
    pub fn event_time_column(self) -> &'static str {
        match self {
            Relation::Events => "event_time",
            Relation::Transitions | Relation::Errors => "at",
            Relation::Completions => "completed_at",
            Relation::Rejections => "rejected_at",
        }
    }

    /// The columns in order, with what they mean.
    pub fn columns(self) -> &'static [RelationColumn] {
        match self {
            Relation::Events => &EVENT_COLUMNS,
            Relation::Transitions => TRANSITIONS,
            Relation::Completions => COMPLETIONS,
            Relation::Rejections => REJECTIONS,
            Relation::Errors => ERRORS,
        }
    }
}

static EVENT_COLUMNS: [RelationColumn; EVENT_FIELDS.len()] = {
    use crate::flow::event::FieldKind;
    let mut columns = [LAB; EVENT_FIELDS.len()];
    let mut field = 0;
    while field < columns.len() {
        let (name, kind) = EVENT_FIELDS[field];
        let kind = match kind {
            FieldKind::Text(_) | FieldKind::Code(_) => Text,
            FieldKind::Time => Time,
            FieldKind::Int => Int,
            FieldKind::Float => Float,
            FieldKind::Bool => Bool,
        };
        columns[field] = column(name, kind, EVENT_DOCS[field]);
        field += 1;
    }
    columns
};

impl ColumnKind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Text => DataType::Utf8,
            Time => timestamp_type(),
            Int => DataType::Int64,
            Float => DataType::Float64,
            Bool => DataType::Boolean,
        }
    }
}

static SCHEMAS: LazyLock<[SchemaRef; 4]> = LazyLock::new(|| {
    [TRANSITIONS, COMPLETIONS, REJECTIONS, ERRORS].map(|columns| {
        let field =
            |column: &RelationColumn| Field::new(column.name, column.kind.data_type(), true);
        Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
    })
});

/// The schema of a relation; all columns nullable.
pub fn relation_schema(relation: Relation) -> SchemaRef {
    match relation {
        Relation::Events => EVENT_SCHEMA.clone(),
        Relation::Transitions => SCHEMAS[0].clone(),
        Relation::Completions => SCHEMAS[1].clone(),
        Relation::Rejections => SCHEMAS[2].clone(),
        Relation::Errors => SCHEMAS[3].clone(),
    }
}
