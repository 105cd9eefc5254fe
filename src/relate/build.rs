//! A relation's columns from the selected events, one column at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, NullBufferBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::Float64Type;
use arrow::error::ArrowError;

use crate::flow::coded::{Codes, with_columns};
use crate::flow::event::EVENT_FIELDS;
use crate::flow::{EventBatch, Span, Timestamp};
use crate::reference::{DIMENSIONS, Properties, Targets, deadline, property};

use super::schema::{ColumnOrigin, Point, Relation, relation_schema};
use super::select::{Form, Selection, state_of_status};

/// Rows of one relation.
#[derive(Clone, Debug)]
pub struct Related {
    /// The rows, with the needed columns in the order of the relation's schema; texts may be coded.
    pub rows: RecordBatch,
    /// Each row's event time in microseconds, whether or not its column is needed.
    pub event_time: Int64Array,
    /// The index, within the batch, of the event that each row comes from; ascending.
    pub source_row: Vec<u32>,
}

/// Makes a relation's rows from events. `needed` are positions in the relation's schema; their
/// order does not matter. `events` must hold the columns of [`event_columns`]; any other column
/// that it lacks counts as null.
///
/// # Errors
/// Only when a column of `events` is not of its type in `DECODED_SCHEMA`.
pub fn relate(
    events: &EventBatch,
    relation: Relation,
    needed: &[usize],
    targets: &Targets,
) -> Result<Related, ArrowError> {
    let selection = Selection::new(&events.rows, relation)?;
    let mut builder =
        RelationBuilder { selection, relation, targets, event_time: None, target: None };
    let needed: Vec<usize> = needed.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let schema = Arc::new(relation_schema(relation).project(&needed)?);
    let columns = needed
        .iter()
        .map(|column| builder.column(relation.columns()[*column].origin, *column))
        .collect::<Result<Vec<_>, _>>()?;
    let times = builder.event_time()?;
    let event_time = Int64Array::new(times.values().clone(), None);
    let rows = with_columns(&schema, columns, builder.selection.len())?;
    Ok(Related { rows, event_time, source_row: builder.selection.source_row })
}

/// The events' columns that a relation's needed columns are made from, as positions in
/// [`EVENT_FIELDS`]; what decode has to keep for them.
pub fn event_columns(relation: Relation, needed: &[usize]) -> BTreeSet<usize> {
    let mut names = vec!["event_time"];
    match relation {
        Relation::Events => {}
        Relation::Transitions => {
            names.extend(["event_type", "status", "to_state", "received_at"]);
        }
        Relation::Completions | Relation::Rejections | Relation::Errors => {
            names.extend(["event_type", "status", "to_state"]);
        }
    }
    for column in needed {
        match relation.columns()[*column].origin {
            ColumnOrigin::Field(name) => names.push(name),
            ColumnOrigin::EventTime | ColumnOrigin::StateReached | ColumnOrigin::NotYetKnown => {}
            ColumnOrigin::Instant(point) => names.extend(point_columns(point)),
            ColumnOrigin::Micros(from, to) | ColumnOrigin::Minutes(from, to) => {
                names.extend(point_columns(from));
                names.extend(point_columns(to));
            }
            ColumnOrigin::Target => names.extend(TARGET_COLUMNS),
            ColumnOrigin::WithinTarget => {
                names.extend(TARGET_COLUMNS);
                names.extend(point_columns(Point::Ended));
            }
            ColumnOrigin::RejectionPhase => names.push("from_state"),
        }
    }
    let position = |name: &str| EVENT_FIELDS.iter().position(|(field, _)| *field == name);
    names.into_iter().filter_map(position).collect()
}

const TARGET_COLUMNS: [&str; 6] =
    ["profile_tat_min", "lab_id", "assay", "priority", "patient_class", "received_at"];

fn point_columns(point: Point) -> &'static [&'static str] {
    match point {
        Point::Ordered => &["ordered_at"],
        Point::Collected => &["collected_at"],
        Point::Received => &["received_at"],
        Point::Resulted => &["processed_at"],
        Point::Ended => &["processed_at", "event_time"],
    }
}

/// A column of texts, and by code the property that its text is.
type HashedTexts = (Codes, Vec<u128>);

struct RelationBuilder<'a> {
    selection: Selection<'a>,
    relation: Relation,
    targets: &'a Targets,
    /// Made once, by whoever needs it first.
    event_time: Option<TimestampMicrosecondArray>,
    target: Option<Float64Array>,
}

impl RelationBuilder<'_> {
    fn column(&mut self, origin: ColumnOrigin, position: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match origin {
            ColumnOrigin::Field(name) => self.selection.field(name)?,
            ColumnOrigin::EventTime => Arc::new(self.event_time()?.with_timezone("UTC")),
            ColumnOrigin::StateReached => self.state_reached()?,
            ColumnOrigin::Instant(point) => Arc::new(self.point(point)?.with_timezone("UTC")),
            ColumnOrigin::Micros(from, to) => Arc::new(self.micros(from, to)?),
            ColumnOrigin::Minutes(from, to) => Arc::new(self.minutes(from, to)?),
            ColumnOrigin::Target => Arc::new(self.target()?),
            ColumnOrigin::WithinTarget => Arc::new(self.within_target()?),
            ColumnOrigin::RejectionPhase => Arc::new(self.rejection_phase()?),
            ColumnOrigin::NotYetKnown => {
                let kind = self.relation.columns()[position].kind;
                new_null_array(&kind.data_type(), self.selection.len())
            }
        })
    }

    /// The event's own time, but for the row form's RECEIVED, which happened at `received_at`.
    fn event_time(&mut self) -> Result<TimestampMicrosecondArray, ArrowError> {
        if let Some(times) = &self.event_time {
            return Ok(times.clone());
        }
        let mut times = self.selection.instants("event_time")?;
        if self.relation == Relation::Transitions && self.selection.forms.contains(&Form::Row) {
            let received = self.selection.instants("received_at")?;
            let statuses = self.selection.texts("status")?;
            times = (0..times.len())
                .map(|row| {
                    let receipt = self.selection.forms[row] == Form::Row
                        && statuses.text(row) == Some("RECEIVED");
                    Some(if receipt { received.value(row) } else { times.value(row) })
                })
                .collect();
        }
        self.event_time = Some(times.clone());
        Ok(times)
    }

    fn state_reached(&self) -> Result<ArrayRef, ArrowError> {
        if !self.selection.forms.contains(&Form::Row) {
            return self.selection.field("to_state");
        }
        let states = self.selection.texts("to_state")?;
        let statuses = self.selection.texts("status")?;
        let mut reached = StringBuilder::with_capacity(states.len(), states.len() * 10);
        for (row, form) in self.selection.forms.iter().enumerate() {
            reached.append_option(match form {
                Form::Row => statuses.text(row).map(state_of_status),
                Form::Transition => states.text(row),
            });
        }
        Ok(Arc::new(reached.finish()))
    }

    fn point(&self, point: Point) -> Result<TimestampMicrosecondArray, ArrowError> {
        match point {
            Point::Ordered => self.selection.instants("ordered_at"),
            Point::Collected => self.selection.instants("collected_at"),
            Point::Received => self.selection.instants("received_at"),
            Point::Resulted => self.by_form(None, Some("processed_at")),
            Point::Ended => self.by_form(Some("processed_at"), Some("event_time")),
        }
    }

    /// One field for the row form and another one for the transition form; `None` is null.
    fn by_form(
        &self,
        row_form: Option<&str>,
        transition_form: Option<&str>,
    ) -> Result<TimestampMicrosecondArray, ArrowError> {
        let count = self.selection.len();
        let instants = |name: Option<&str>| match name {
            Some(name) => self.selection.instants(name),
            None => Ok(TimestampMicrosecondArray::new_null(count)),
        };
        let rows = self.selection.forms.iter().filter(|form| **form == Form::Row).count();
        if rows == count {
            return instants(row_form);
        }
        if rows == 0 {
            return instants(transition_form);
        }
        let (row_form, transition_form) = (instants(row_form)?, instants(transition_form)?);
        let of_row = |(row, form): (usize, &Form)| {
            let column = match form {
                Form::Row => &row_form,
                Form::Transition => &transition_form,
            };
            column.is_valid(row).then(|| column.value(row))
        };
        Ok(self.selection.forms.iter().enumerate().map(of_row).collect())
    }

    fn micros(&self, from: Point, to: Point) -> Result<Int64Array, ArrowError> {
        let (from, to) = (self.point(from)?, self.point(to)?);
        let ends = from.values().iter().zip(to.values());
        let values: Vec<i64> = ends.map(|(from, to)| to.wrapping_sub(*from)).collect();
        let nulls = known(&from, &to);
        Ok(Int64Array::new(ScalarBuffer::from(values), nulls))
    }

    fn minutes(&self, from: Point, to: Point) -> Result<Float64Array, ArrowError> {
        let (from, to) = (self.point(from)?, self.point(to)?);
        let minute = Span::MINUTE.0 as f64;
        let ends = from.values().iter().zip(to.values());
        let values: Vec<f64> =
            ends.map(|(from, to)| to.wrapping_sub(*from) as f64 / minute).collect();
        Ok(Float64Array::new(ScalarBuffer::from(values), known(&from, &to)))
    }

    /// The profile's own target, else the table's at receipt (at the event, where receipt is not
    /// known); null where there is no deadline.
    fn target(&mut self) -> Result<Float64Array, ArrowError> {
        if let Some(target) = &self.target {
            return Ok(target.clone());
        }
        let profile = self.selection.field("profile_tat_min")?;
        let profile = profile.as_primitive::<Float64Type>();
        let received = self.selection.instants("received_at")?;
        let times = self.event_time()?;
        let names = self.targets.named_properties();
        let columns = self.property_columns(names)?;
        let mut values = Vec::with_capacity(self.selection.len());
        let mut nulls = NullBufferBuilder::new(self.selection.len());
        let mut push = |minutes: Option<f64>| {
            values.push(minutes.unwrap_or_default());
            nulls.append(minutes.is_some());
        };
        for row in 0..self.selection.len() {
            if profile.is_valid(row) {
                push(deadline(profile.value(row)));
                continue;
            }
            let at = if received.is_valid(row) { received.value(row) } else { times.value(row) };
            let properties: Properties = std::array::from_fn(|i| {
                let (codes, properties) = columns[i].as_ref()?;
                codes.code(row).map(|code| properties[code])
            });
            push(self.targets.find(&properties, Timestamp(at)).minutes);
        }
        let target = Float64Array::new(ScalarBuffer::from(values), nulls.finish());
        self.target = Some(target.clone());
        Ok(target)
    }

    fn property_columns(
        &self,
        names: [bool; DIMENSIONS],
    ) -> Result<[Option<HashedTexts>; DIMENSIONS], ArrowError> {
        let texts = |i: usize, name| -> Result<_, ArrowError> {
            if !names[i] {
                return Ok(None);
            }
            let codes = self.selection.texts(name)?;
            let properties = codes.each(|text| property(text.as_bytes()));
            Ok(Some((codes, properties)))
        };
        Ok([
            texts(0, "lab_id")?,
            texts(1, "assay")?,
            texts(2, "priority")?,
            texts(3, "patient_class")?,
        ])
    }

    fn within_target(&mut self) -> Result<BooleanArray, ArrowError> {
        let tat = self.minutes(Point::Received, Point::Ended)?;
        let target = self.target()?;
        let within =
            BooleanBuffer::collect_bool(tat.len(), |row| tat.values()[row] <= target.values()[row]);
        Ok(BooleanArray::new(within, NullBuffer::union(tat.nulls(), target.nulls())))
    }

    fn rejection_phase(&self) -> Result<StringArray, ArrowError> {
        let states = self.selection.texts("from_state")?;
        let phase = |state: &str| match state {
            "ORDERED" | "COLLECTED" | "IN_TRANSIT" => "pre_analytical",
            _ => "analytical",
        };
        Ok((0..states.len()).map(|row| states.text(row).map(phase)).collect())
    }
}

/// Which spans are known: both ends are, and the span is not negative.
fn known(from: &TimestampMicrosecondArray, to: &TimestampMicrosecondArray) -> Option<NullBuffer> {
    let (starts, ends) = (from.values(), to.values());
    let forward = BooleanBuffer::collect_bool(starts.len(), |row| ends[row] >= starts[row]);
    let both = NullBuffer::union(from.nulls(), to.nulls());
    let known = NullBuffer::union(both.as_ref(), Some(&NullBuffer::new(forward)))?;
    (known.null_count() > 0).then_some(known)
}
