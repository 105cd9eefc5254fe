//! Events as the relation `events`: the columns that are asked for, as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::flow::EventBatch;
use crate::flow::coded::with_columns;
use crate::flow::event::{DECODED_SCHEMA, EVENT_FIELDS};

use super::schema::{Relation, relation_schema};

/// The event's columns that the relation's needed ones are, as positions in [`EVENT_FIELDS`]; what decode
/// has to keep for them.
pub fn event_columns(needed: &[usize]) -> BTreeSet<usize> {
    let time = EVENT_FIELDS.iter().position(|(name, _)| *name == "event_time");
    needed.iter().copied().chain(time).collect()
}

/// Rows of `events`, one for each event: the needed columns in the order of the relation's schema, texts
/// perhaps coded. A column that the events lack counts as null.
///
/// # Errors
/// Only when a column of `events` is not of its type in `DECODED_SCHEMA`.
pub fn event_rows(events: &EventBatch, needed: &[usize]) -> Result<RecordBatch, ArrowError> {
    let needed: Vec<usize> = needed.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let schema = Arc::new(relation_schema(Relation::Events).project(&needed)?);
    let count = events.rows.num_rows();
    let columns =
        schema.fields().iter().map(|field| match events.rows.column_by_name(field.name()) {
            Some(column) => Ok(Arc::clone(column)),
            None => {
                let data_type = DECODED_SCHEMA.field_with_name(field.name())?.data_type();
                Ok(new_null_array(data_type, count))
            }
        });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    with_columns(&schema, columns, count)
}

/// The event time of each event, microseconds.
///
/// # Errors
/// When the events have no such column, which is a fault of ours.
pub fn event_times(events: &EventBatch) -> Result<Int64Array, ArrowError> {
    let column = events.rows.column_by_name("event_time");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.ok_or_else(|| ArrowError::SchemaError("no event_time".to_owned()))?;
    Ok(Int64Array::new(times.values().clone(), None))
}
