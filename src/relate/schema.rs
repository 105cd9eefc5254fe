//! What SQL can read: the relations' names, columns and meanings (`docs/pipelines.md#what-sql-reads`).

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::changed::ChangeRelation;
use super::column::{ColumnHolds, RelationColumn, column};
use super::critical::CriticalRelation;
use crate::flow::event::{EVENT_FIELDS, EVENT_SCHEMA};

/// What SQL can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// Every event that passed decode.
    Events,
    /// What the lifecycle stage tells of tests.
    Changed(ChangeRelation),
    /// What it tells of critical results.
    Critical(CriticalRelation),
}

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

static EVENT_COLUMNS: [RelationColumn; EVENT_FIELDS.len()] = {
    let mut columns = [column("", ColumnHolds::Text, ""); EVENT_FIELDS.len()];
    let mut field = 0;
    while field < columns.len() {
        let (name, kind) = EVENT_FIELDS[field];
        columns[field] = column(name, ColumnHolds::of_field(kind), EVENT_DOCS[field]);
        field += 1;
    }
    columns
};

impl Relation {
    /// All relations.
    pub fn all() -> impl Iterator<Item = Relation> {
        let changed = ChangeRelation::ALL.into_iter().map(Relation::Changed);
        let critical = CriticalRelation::ALL.into_iter().map(Relation::Critical);
        std::iter::once(Relation::Events).chain(changed).chain(critical)
    }

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Events => "events",
            Relation::Changed(relation) => relation.name(),
            Relation::Critical(relation) => relation.name(),
        }
    }

    /// The relation of this name.
    pub fn named(name: &str) -> Option<Relation> {
        Relation::all().find(|relation| relation.name() == name)
    }

    /// The column that holds the event time.
    pub fn event_time_column(self) -> &'static str {
        match self {
            Relation::Events => "event_time",
            Relation::Changed(relation) => relation.event_time_column(),
            Relation::Critical(relation) => relation.event_time_column(),
        }
    }

    /// The columns in order, with what they mean.
    pub fn columns(self) -> Vec<&'static RelationColumn> {
        match self {
            Relation::Events => EVENT_COLUMNS.iter().collect(),
            Relation::Changed(relation) => relation.columns().collect(),
            Relation::Critical(relation) => relation.columns().collect(),
        }
    }
}

static CHANGED: LazyLock<[SchemaRef; ChangeRelation::ALL.len()]> =
    LazyLock::new(|| ChangeRelation::ALL.map(|relation| schema_of(relation.columns())));

static CRITICAL: LazyLock<[SchemaRef; CriticalRelation::ALL.len()]> =
    LazyLock::new(|| CriticalRelation::ALL.map(|relation| schema_of(relation.columns())));

fn schema_of(columns: impl Iterator<Item = &'static RelationColumn>) -> SchemaRef {
    let field = |column: &RelationColumn| Field::new(column.name, column.data_type(), true);
    Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
}

/// The schema of a relation; all columns nullable.
pub fn relation_schema(relation: Relation) -> SchemaRef {
    match relation {
        Relation::Events => EVENT_SCHEMA.clone(),
        Relation::Changed(relation) => CHANGED[relation as usize].clone(),
        Relation::Critical(relation) => CRITICAL[relation as usize].clone(),
    }
}
