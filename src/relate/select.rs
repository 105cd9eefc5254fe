//! Which events make rows of a relation, and their columns.

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::flow::coded::Codes;
use crate::flow::event::{DECODED_SCHEMA, timestamp_type};

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
    pub(super) fn new(
        events: &'a RecordBatch,
        relation: Relation,
    ) -> Result<Selection<'a>, ArrowError> {
        let count = events.num_rows();
        let all = |source_row| Selection { events, filter: None, source_row, forms: Vec::new() };
        if relation == Relation::Events {
            return Ok(all((0..count as u32).collect()));
        }
        let (types, states, statuses) =
            (codes(events, "event_type")?, codes(events, "to_state")?, codes(events, "status")?);
        // What a text means is asked once for each that there is, not for each row.
        let forms_of = types.as_ref().map(|types| types.each(form));
        let makes = |state: &str| makes_row(relation, state);
        let of_state = states.as_ref().map_or(Vec::new(), |states| states.each(makes));
        let of_status = statuses
            .as_ref()
            .map_or(Vec::new(), |statuses| statuses.each(|status| makes(state_of_status(status))));
        // An absent type is the default, as in decode.
        let form_of = |row| match (code(types.as_ref(), row), &forms_of) {
            (Some(code), Some(forms)) => forms[code],
            (_, _) => Some(Form::Row),
        };
        let mask = BooleanBuffer::collect_bool(count, |row| {
            let reached = match form_of(row) {
                Some(Form::Row) => code(statuses.as_ref(), row).map(|code| of_status[code]),
                Some(Form::Transition) => code(states.as_ref(), row).map(|code| of_state[code]),
                None => None,
            };
            reached == Some(true)
        });
        let source_row: Vec<u32> = mask.set_indices_u32().collect();
        let forms = match only_form(types.as_ref(), forms_of.as_deref()) {
            Some(form) => vec![form; source_row.len()],
            None => source_row.iter().filter_map(|row| form_of(*row as usize)).collect(),
        };
        if source_row.len() == count {
            return Ok(Selection { events, filter: None, source_row, forms });
        }
        let filter = FilterBuilder::new(&BooleanArray::new(mask, None)).optimize().build();
        Ok(Selection { events, filter: Some(filter), source_row, forms })
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
                let data_type = DECODED_SCHEMA.field_with_name(name)?.data_type();
                Ok(new_null_array(data_type, self.len()))
            }
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Codes, ArrowError> {
        Codes::of(&self.field(name)?)
    }

    pub(super) fn instants(&self, name: &str) -> Result<TimestampMicrosecondArray, ArrowError> {
        debug_assert_eq!(DECODED_SCHEMA.field_with_name(name)?.data_type(), &timestamp_type());
        Ok(self.field(name)?.as_primitive::<TimestampMicrosecondType>().clone())
    }
}

/// A column of texts, if the batch holds it.
fn codes(events: &RecordBatch, name: &str) -> Result<Option<Codes>, ArrowError> {
    events.column_by_name(name).map(Codes::of).transpose()
}

#[inline(always)]
fn code(column: Option<&Codes>, row: usize) -> Option<usize> {
    column?.code(row)
}

/// The form of all events that move a test, where these are of one, as they nearly always are.
fn only_form(types: Option<&Codes>, forms: Option<&[Option<Form>]>) -> Option<Form> {
    let mut forms = forms?.iter().flatten();
    let first = *forms.next()?;
    (!types?.has_nulls() && forms.all(|form| *form == first)).then_some(first)
}

/// The form of an event of a type; `None` for events that do not move a test.
fn form(event_type: &str) -> Option<Form> {
    match event_type {
        "specimen.snapshot" => Some(Form::Row),
        "specimen.transition" => Some(Form::Transition),
        _ => None,
    }
}

/// The state that the row form's status means.
pub(super) fn state_of_status(status: &str) -> &str {
    if status == "COMPLETED" { "VERIFIED" } else { status }
}

fn makes_row(relation: Relation, state: &str) -> bool {
    match relation {
        Relation::Events | Relation::Transitions => true,
        Relation::Completions => state == "VERIFIED",
        Relation::Rejections => state == "REJECTED",
        Relation::Errors => state == "ERROR",
    }
}
