//! Decoded events as an Arrow batch.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::coded::coded_type;
use super::{Partition, Timestamp, Window};

/// What a column of an event holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An identifier or a free text, of at most so many bytes.
    Text(usize),
    /// One of few texts of at most so many bytes: a place, a code, a state.
    Code(usize),
    /// An instant, RFC 3339 on the wire, microseconds in UTC within.
    Time,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
}

/// The event's fields in the order of the columns (`docs/events.md`), all nullable.
pub const EVENT_FIELDS: &[(&str, FieldKind)] = {
    use FieldKind::{Bool, Code, Float, Int, Text, Time};
    &[
        ("event_id", Text(64)),
        ("schema_version", Int),
        ("event_type", Code(64)),
        ("lab_id", Code(64)),
        ("event_time", Time),
        ("specimen_id", Text(64)),
        ("order_id", Text(64)),
        ("patient_ref", Text(64)),
        ("assay", Code(64)),
        ("loinc", Code(64)),
        ("priority", Code(16)),
        ("patient_class", Code(64)),
        ("location", Code(256)),
        ("specimen_type", Code(64)),
        ("profile_tat_min", Float),
        ("to_state", Code(32)),
        ("from_state", Code(32)),
        ("status", Code(32)),
        ("ordered_at", Time),
        ("collected_at", Time),
        ("received_at", Time),
        ("processed_at", Time),
        ("machine_id", Code(64)),
        ("operator_id", Code(64)),
        ("error_code", Code(64)),
        ("reject_reason", Code(16)),
        ("recollect_of", Text(64)),
        ("referred_to", Code(64)),
        ("referred_from", Code(64)),
        ("critical_id", Text(64)),
        ("analyte", Code(64)),
        ("value", Float),
        ("unit", Code(32)),
        ("flag", Code(16)),
        ("notified_to_role", Code(64)),
        ("read_back", Bool),
        ("instrument_state", Code(32)),
        ("planned", Bool),
        ("reason", Text(256)),
        ("auto_verified", Bool),
        ("delta_flag", Bool),
        ("repeat_no", Int),
        ("seq", Int),
        ("outcome", Code(32)),
        ("channel", Code(32)),
        ("center_event", Code(32)),
        ("user", Code(64)),
        ("version", Int),
        ("settings", Text(4096)),
    ]
};

/// The Arrow type of every instant in the product: microseconds, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of events as SQL and the lake see them: [`EVENT_FIELDS`], in order.
pub static EVENT_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema(&DataType::Utf8));

/// The schema of [`EventBatch::rows`]: [`EVENT_SCHEMA`] with the texts of [`FieldKind::Code`] coded.
pub static DECODED_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema(&coded_type()));

fn schema(of_codes: &DataType) -> SchemaRef {
    let fields: Vec<Field> = EVENT_FIELDS
        .iter()
        .map(|(name, kind)| {
            let data_type = match kind {
                FieldKind::Text(_) => DataType::Utf8,
                FieldKind::Code(_) => of_codes.clone(),
                FieldKind::Time => timestamp_type(),
                FieldKind::Int => DataType::Int64,
                FieldKind::Float => DataType::Float64,
                FieldKind::Bool => DataType::Boolean,
            };
            Field::new(*name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Decoded events of one partition, in the order of their offsets.
///
/// `rows` has the schema [`DECODED_SCHEMA`]; `event_time` and `lab_id` are never null, `event_type`
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
    /// Whether that is when the broker took the record in, of each row; empty where of none.
    pub appended: Vec<bool>,
}

impl EventBatch {
    /// The event time of each row, in microseconds.
    ///
    /// # Errors
    /// Where the rows do not tell it, which is a fault of ours: without times they would be judged by
    /// none, or lost.
    pub fn times(&self) -> Result<&[i64], ArrowError> {
        let column = self.rows.column_by_name("event_time");
        match column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>()) {
            Some(times) => Ok(times.values()),
            None if self.rows.num_rows() == 0 => Ok(&[]),
            None => {
                let text = format!(
                    "events of partition {} have no column `event_time` of instants",
                    self.partition
                );
                Err(ArrowError::SchemaError(text))
            }
        }
    }
}

/// An event that came too late for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateEvent {
    /// Its place in the batch.
    pub event: u32,
    /// From the start of the first window that it missed to the end of the last; none for sessions,
    /// whose bounds depend on what else comes.
    pub missed: Option<Window>,
}
