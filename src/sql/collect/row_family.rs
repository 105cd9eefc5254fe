//! Rows that belong to no window: each passes by itself, under the UTC day of its event time, and is
//! late once that day has settled by its partition's watermark.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::batch_input::BatchInput;
use super::collected::Partial;
use super::fates::Fates;
use super::parting::{Parting, RowPlace};
use super::slice_key::SliceKey;
use super::sourced_rows::SourcedRows;
use super::window_family::{TableForm, WindowFamily};
use crate::flow::{Span, TimedRows, Timestamp, Window, epoch_day};
use crate::sql::plan::query::{RowWise, Way};
use crate::sql::plan::relation_rows::RelationRows;

/// A row-level table's columns: the query's, and the date.
pub fn with_date(query: &Schema) -> SchemaRef {
    let mut fields: Vec<Field> =
        query.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("date", DataType::Date32, false));
    Arc::new(Schema::new(fields))
}

/// Rows one by one.
#[derive(Clone, Debug)]
pub struct RowFamily {
    lateness: Span,
}

impl RowFamily {
    /// Whose days settle so long after their end.
    pub fn new(lateness: Span) -> RowFamily {
        RowFamily { lateness }
    }

    /// The result rows of a batch, each with the row of a relation that it came from.
    fn rows_of(batch: &BatchInput<'_>) -> Result<Vec<SourcedRows>> {
        let inputs = batch.inputs;
        match &batch.query.way {
            Way::RowLevel(RowWise::Branches(branches)) => {
                let rows = branches.iter().map(|branch| SourcedRows::of_branch(branch, inputs));
                rows.filter_map(Result::transpose).collect()
            }
            // Not a chain, as a join with a reference table: run once over the batch.
            Way::RowLevel(RowWise::Plan(numbered)) => {
                let rows = numbered.run(batch.executor, inputs)?.into_iter();
                rows.map(|rows| SourcedRows::of_numbered(rows, inputs)).collect()
            }
            Way::Incremental(_) | Way::Recompute(_) => {
                internal_err!("a query that is not row by row was planned for a row-level table")
            }
        }
    }
}

impl WindowFamily for RowFamily {
    fn partial(&self, batch: &BatchInput<'_>) -> Result<Partial> {
        let sources = batch.sources.checked()?;
        let mut fates = Fates::new(1, sources.len());
        let mut parting = Parting::new(with_date(&batch.query.schema), batch.live);
        let mut days = UtcDays::new(self.lateness);
        let mut judged = Vec::new();
        for sourced in RowFamily::rows_of(batch)? {
            let SourcedRows { rows, time, watermark_before, source_row, .. } = sourced;
            let mut places = Vec::with_capacity(rows.num_rows());
            for row in 0..rows.num_rows() {
                let (stood, source) = (watermark_before.value(row), source_row.value(row) as usize);
                let day = days.of(time.value(row));
                let on_time = stood < day.settles_at;
                if on_time {
                    fates.counts(0, source);
                    fates.contributes(SliceKey::Day(day.date), source);
                } else {
                    fates.misses(0, source, Some(day.window()));
                }
                let cut = sources.cut_of(source, stood);
                places.push(on_time.then_some(RowPlace { day: day.number, cut }));
            }
            parting.add(&rows, |row| places[row])?;
            if let Some(added) = parting.added().filter(|_| batch.judged) {
                judged.push(on_time(added, &time, &places)?);
            }
        }
        let mut out = Partial { passed: parting.finish()?, judged, ..Partial::default() };
        fates.settle(sources, &mut out);
        Ok(out)
    }

    /// Barred rows count while their day is open, and are not late when it is not.
    fn admitted(&self, input: &RelationRows) -> Result<RelationRows> {
        let Some(barred) = &input.barred else { return Ok(input.clone()) };
        let mut days = UtcDays::new(self.lateness);
        let (time, stood) = (input.time.values(), input.watermark_before.values());
        let mut keeps =
            |row: usize| !barred.value(row) || stood[row] < days.of(time[row]).settles_at;
        let keep: BooleanArray = (0..barred.len()).map(|row| Some(keeps(row))).collect();
        Ok(RelationRows { barred: None, ..input.filtered(&keep)? })
    }

    fn longest(&self) -> Span {
        Span::DAY
    }

    fn forms(&self) -> Vec<TableForm> {
        vec![TableForm::Rows]
    }
}

/// The rows that have a place, with their times.
fn on_time(
    rows: &RecordBatch,
    time: &Int64Array,
    places: &[Option<RowPlace>],
) -> Result<TimedRows> {
    let keep: BooleanArray = places.iter().map(|place| Some(place.is_some())).collect();
    let times = filter(time, &keep)?;
    let times = times.as_primitive::<Int64Type>().values().to_vec();
    Ok(TimedRows { rows: filter_record_batch(rows, &keep)?, times })
}

/// A UTC day.
#[derive(Clone)]
struct UtcDay {
    date: NaiveDate,
    /// In days since 1970.
    number: i32,
    /// The instants within, microseconds.
    range: Range<i64>,
    /// The watermark at which nothing more counts in it.
    settles_at: i64,
}

impl UtcDay {
    fn window(&self) -> Window {
        let next = self.date.succ_opt().unwrap_or(self.date);
        Window { start: Timestamp::midnight(self.date), end: Timestamp::midnight(next) }
    }
}

/// Finds the days of rows; remembers the last, since neighbours in a feed share it.
struct UtcDays {
    lateness: Span,
    last: UtcDay,
}

impl UtcDays {
    fn new(lateness: Span) -> UtcDays {
        let none = UtcDay { date: NaiveDate::MIN, number: 0, range: 0..0, settles_at: 0 };
        UtcDays { lateness, last: none }
    }

    fn of(&mut self, time: i64) -> &UtcDay {
        if !self.last.range.contains(&time) {
            let date = Timestamp(time).date();
            let number = epoch_day(date);
            let start = i64::from(number).saturating_mul(Span::DAY.0);
            let end = Timestamp((i64::from(number) + 1).saturating_mul(Span::DAY.0));
            let settles_at = end.plus(self.lateness).0;
            self.last = UtcDay { date, number, range: start..end.0, settles_at };
        }
        &self.last
    }
}
