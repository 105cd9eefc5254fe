//! Which events make rows of a relation, and their columns.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::flow::event::{EVENT_SCHEMA, timestamp_type};

use super::schema::Relation;

/// The form of an event that moves a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `specimen.snapshot`.
    Row,
    /// `specimen.transition`.
    Transition,
}

/// The events that make rows of one relation.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    events: &'a RecordBatch,
    /// `None` when every event does.
    filter: Option<FilterPredicate>,
    /// The index of the event that each row comes from.
    pub(super) source_row: Vec<u32>,
    /// The form of each row's event. Empty for `events`, where it does not matter.
    pub(super) forms: Vec<Form>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(events: &'a RecordBatch, relation: Relation) -> Selection<'a> {
        let count = events.num_rows();
        let all = |source_row| Selection { events, filter: None, source_row, forms: Vec::new() };
        if relation == Relation::Events {
            return all((0..count as u32).collect());
        }
        let texts = |name| events.column_by_name(name).and_then(|column| column.as_string_opt());
        let (types, states, statuses) = (texts("event_type"), texts("to_state"), texts("status"));
        let mut source_row = Vec::with_capacity(count);
        let mut forms = Vec::with_capacity(count);
        for row in 0..count {
            let form = form(types, row);
            let reached = match form {
                Some(Form::Row) => text(statuses, row).map(state_of_status),
                Some(Form::Transition) => text(states, row),
                None => None,
            };
            if let (Some(form), Some(state)) = (form, reached)
                && makes_row(relation, state)
            {
                source_row.push(row as u32);
                forms.push(form);
            }
        }
        if source_row.len() == count {
            return Selection { events, filter: None, source_row, forms };
        }
        let mut kept = source_row.iter().copied().peekable();
        let mask =
            BooleanBuffer::collect_bool(count, |row| kept.next_if_eq(&(row as u32)).is_some());
        let filter = FilterBuilder::new(&BooleanArray::new(mask, None)).optimize().build();
        Selection { events, filter: Some(filter), source_row, forms }
    }

    pub(super) fn len(&self) -> usize {
        self.source_row.len()
    }

    /// The rows' values of an event's field; all null when the batch does not hold the column.
    pub(super) fn field(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        match (self.events.column_by_name(name), &self.filter) {
            (Some(column), Some(filter)) => filter.filter(column),
            (Some(column), None) => Ok(column.clone()),
            (None, _) => {
                let data_type = EVENT_SCHEMA.field_with_name(name)?.data_type();
                Ok(new_null_array(data_type, self.len()))
            }
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<StringArray, ArrowError> {
        Ok(self.field(name)?.as_string::<i32>().clone())
    }

    pub(super) fn instants(&self, name: &str) -> Result<TimestampMicrosecondArray, ArrowError> {
        debug_assert_eq!(EVENT_SCHEMA.field_with_name(name)?.data_type(), &timestamp_type());
        Ok(self.field(name)?.as_primitive::<TimestampMicrosecondType>().clone())
    }
}

#[inline(always)]
fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// The form of an event; `None` for events that do not move a test. An absent column is the
/// default type, as in decode.
#[inline(always)]
fn form(types: Option<&StringArray>, row: usize) -> Option<Form> {
    match text(types, row) {
        None | Some("specimen.snapshot") => Some(Form::Row),
        Some("specimen.transition") => Some(Form::Transition),
        Some(_) => None,
    }
}

/// The state that the row form's status means.
#[inline(always)]
pub(super) fn state_of_status(status: &str) -> &str {
    if status == "COMPLETED" { "VERIFIED" } else { status }
}

#[inline(always)]
fn makes_row(relation: Relation, state: &str) -> bool {
    match relation {
        Relation::Events | Relation::Transitions => true,
        Relation::Completions => state == "VERIFIED",
        Relation::Rejections => state == "REJECTED",
        Relation::Errors => state == "ERROR",
    }
}
