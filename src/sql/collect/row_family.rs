//! Rows that belong to no window: each passes by itself, under the UTC day of its event time, and is
//! late once that day has settled by its partition's watermark.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::batch_input::BatchInput;
use super::collected::Partial;
use super::fates::Fates;
use super::parting::{Parting, RowPlace};
use super::slice_key::SliceKey;
use super::sourced_rows::SourcedRows;
use super::window_family::{TableForm, WindowFamily};
use crate::flow::{Span, Timestamp, Window, epoch_day};
use crate::sql::plan::query::{RowWise, Way};

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
        }
        let mut out = Partial { passed: parting.finish()?, ..Partial::default() };
        fates.settle(sources, &mut out);
        Ok(out)
    }

    fn longest(&self) -> Span {
        Span::DAY
    }

    fn forms(&self) -> Vec<TableForm> {
        vec![TableForm::Rows]
    }
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
