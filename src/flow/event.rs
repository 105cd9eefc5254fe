//! Decoded events as an Arrow batch.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{Partition, Timestamp};

/// What a column of an event holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An identifier or code of at most so many bytes.
    Text(usize),
    /// An instant, RFC 3339 on the wire, microseconds in UTC within.
    Time,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
}

/// The event's fields in the order of the columns (EVENTS.md section 1), all nullable.
pub const EVENT_FIELDS: &[(&str, FieldKind)] = {
    use FieldKind::{Bool, Float, Int, Text, Time};
    &[
        ("event_id", Text(64)),
        ("schema_version", Int),
        ("event_type", Text(64)),
        ("lab_id", Text(64)),
        ("event_time", Time),
        ("specimen_id", Text(64)),
        ("order_id", Text(64)),
        ("patient_ref", Text(64)),
        ("assay", Text(64)),
        ("loinc", Text(64)),
        ("priority", Text(16)),
        ("patient_class", Text(64)),
        ("location", Text(256)),
        ("specimen_type", Text(64)),
        ("profile_tat_min", Float),
        ("to_state", Text(32)),
        ("from_state", Text(32)),
        ("status", Text(32)),
        ("ordered_at", Time),
        ("collected_at", Time),
        ("received_at", Time),
        ("processed_at", Time),
        ("machine_id", Text(64)),
        ("operator_id", Text(64)),
        ("error_code", Text(64)),
        ("reject_reason", Text(16)),
        ("recollect_of", Text(64)),
        ("referred_to", Text(64)),
        ("referred_from", Text(64)),
        ("critical_id", Text(64)),
        ("analyte", Text(64)),
        ("value", Float),
        ("unit", Text(32)),
        ("flag", Text(16)),
        ("notified_to_role", Text(64)),
        ("read_back", Bool),
        ("instrument_state", Text(32)),
        ("planned", Bool),
        ("reason", Text(256)),
        ("auto_verified", Bool),
        ("delta_flag", Bool),
        ("repeat_no", Int),
        ("seq", Int),
    ]
};

/// The Arrow type of every instant in the product: microseconds, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of [`EventBatch::rows`]: [`EVENT_FIELDS`], in order.
pub static EVENT_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields: Vec<Field> = EVENT_FIELDS
        .iter()
        .map(|(name, kind)| {
            let data_type = match kind {
                FieldKind::Text(_) => DataType::Utf8,
                FieldKind::Time => timestamp_type(),
                FieldKind::Int => DataType::Int64,
                FieldKind::Float => DataType::Float64,
                FieldKind::Bool => DataType::Boolean,
            };
            Field::new(*name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
});

/// Decoded events of one partition, in the order of their offsets.
///
/// `rows` has the schema [`EVENT_SCHEMA`]; `event_time` and `lab_id` are never null, `event_type`
/// and `priority` have their defaults filled in (`specimen.snapshot`, `R`).
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// The partition the events came on.
    pub partition: Arc<Partition>,
    /// One row per event.
    pub rows: RecordBatch,
    /// The offset of each row.
    pub offsets: Vec<i64>,
    /// The record's own Kafka timestamp of each row (files: the run's `--as-of`).
    pub record_times: Vec<Timestamp>,
}
