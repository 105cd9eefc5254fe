//! The rows of a row-level table: kept until the watermark has passed the minute in which they
//! become final, then until their day settles.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{Days, NaiveDate};
use datafusion::common::Result;

use super::build::PipelinePlan;
use super::tables::Settled;
use super::work::{FinalRows, MINUTE};
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::output::{epoch_day, sort_by};
use crate::sql::partial::Tally;
use crate::window::{DayBook, OffsetsByPartition, Origins, PaneGrid};

/// The rows of a row-level table that are not final yet, and those of days that have not settled.
pub struct RowLevel {
    table: Arc<str>,
    lateness: Span,
    days: DayBook<OutputBatch>,
    schema: SchemaRef,
    minute: PaneGrid,
    waiting: BTreeMap<i64, Vec<(Arc<Partition>, FinalRows)>>,
    origins: Origins<(NaiveDate, i64)>,
    tally: Tally,
}

/// A date's rows and the offsets of the first and the last record that they came from.
type DayOfRows = (NaiveDate, RecordBatch, (i64, i64));

/// When a row-level table's day settles: its end and the allowed lateness.
pub fn settles_at(date: NaiveDate, lateness: Span) -> Timestamp {
    let days = i64::from(epoch_day(date)) + 1;
    Timestamp(days.saturating_mul(Span::DAY.0)).plus(lateness)
}

impl RowLevel {
    /// A table without rows.
    pub fn new(pipeline: &PipelinePlan) -> RowLevel {
        let mut fields: Vec<Field> =
            pipeline.query.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("date", DataType::Date32, false));
        RowLevel {
            table: pipeline.spec.name.as_str().into(),
            lateness: pipeline.spec.allowed_lateness,
            days: DayBook::default(),
            schema: Arc::new(Schema::new(fields)),
            minute: PaneGrid::over([MINUTE]),
            waiting: BTreeMap::new(),
            origins: Origins::default(),
            tally: Tally::default(),
        }
    }

    /// Takes in what one batch of a partition gave.
    pub fn collect(&mut self, rows: Vec<FinalRows>, tally: Tally, partition: &Arc<Partition>) {
        self.tally.counted += tally.counted;
        self.tally.late += tally.late;
        self.tally.other += tally.other;
        for rows in rows {
            let place = self.waiting.entry(rows.ready).or_default();
            place.push((Arc::clone(partition), rows));
        }
    }

    /// The rows that are final, by the minute in which they became so and by date. They are also
    /// kept until their days settle.
    pub fn advance(&mut self, watermark: Timestamp) -> Result<Vec<OutputBatch>> {
        let reached = self.minute.reached(watermark);
        let later = self.waiting.split_off(&reached.saturating_add(1));
        let due = std::mem::replace(&mut self.waiting, later);
        let mut fired = Vec::new();
        for (ready, parts) in due {
            let mut by_date: BTreeMap<NaiveDate, Vec<RecordBatch>> = BTreeMap::new();
            for (partition, part) in parts {
                for (date, rows, range) in self.by_date(&part)? {
                    self.origins.add((date, ready), 0, &partition, range);
                    by_date.entry(date).or_default().push(rows);
                }
            }
            let end = self.minute.start_of(ready);
            let window = Window { start: self.minute.start_of(ready - 1), end };
            for (date, batches) in by_date {
                let rows = concat_batches(&self.schema, &batches)?;
                let table = Arc::clone(&self.table);
                let batch = OutputBatch { table, date, windows: vec![window], revision: 0, rows };
                if batch.rows.num_rows() > 0 {
                    self.days.add(date, batch.clone());
                }
                fired.push(batch);
            }
        }
        Ok(fired)
    }

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Result<Vec<Settled>> {
        let before = match watermark {
            Timestamp::MAX => NaiveDate::MAX,
            Timestamp::MIN => NaiveDate::MIN,
            reached => reached.minus(self.lateness).minus(MINUTE).date(),
        };
        let taken = match watermark {
            Timestamp::MAX => self.days.settle_all(),
            _ => self.days.settle_before(before),
        };
        let mut settled = Vec::with_capacity(taken.len());
        for (date, batches) in taken {
            let (table, rows) = (Arc::clone(&self.table), join_rows(&batches)?);
            let origins = self.origins.over((date, i64::MIN)..=(date, i64::MAX), |_, _| true);
            settled.push(Settled { table, date, rows, origins });
        }
        self.origins.retain(|(held, _)| *held >= before);
        Ok(settled)
    }

    /// Where the rows of a day that became final within a minute came from.
    pub fn origins_of(&self, date: NaiveDate, window: Window) -> OffsetsByPartition {
        let place = (date, self.minute.pane_of(window.end.0));
        self.origins.over(place..=place, |_, _| true)
    }

    /// The table's name and what became of the events in it.
    pub fn tally(&self) -> (Arc<str>, Tally) {
        (Arc::clone(&self.table), self.tally)
    }

    /// The earliest minute that holds rows, and how long after a row it ends at most.
    pub fn open_from(&self) -> Option<(Timestamp, Span)> {
        let (minute, _) = self.waiting.first_key_value()?;
        Some((self.minute.start_of(minute - 1), MINUTE))
    }

    /// Rows by UTC date, each with the date as its last column; and the offsets of the first and
    /// the last record that they came from.
    fn by_date(&self, part: &FinalRows) -> Result<Vec<DayOfRows>> {
        let dates: Vec<i32> =
            part.time.values().iter().map(|time| epoch_day(Timestamp(*time).date())).collect();
        let mut distinct = dates.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut columns = part.rows.columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(part.rows.num_rows()));
        columns.push(Arc::new(Date32Array::from(dates.clone())) as ArrayRef);
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let days = distinct.into_iter().map(|day| {
            let date = NaiveDate::default() + Days::new(u64::try_from(day).unwrap_or(0));
            let mine: arrow::array::BooleanArray =
                dates.iter().map(|held| Some(*held == day)).collect();
            let from = part.offsets.values().iter().zip(&dates);
            let from = from.filter(|(_, held)| **held == day).map(|(offset, _)| *offset);
            let range = (from.clone().min().unwrap_or(0), from.max().unwrap_or(0));
            Ok((date, arrow::compute::filter_record_batch(&rows, &mine)?, range))
        });
        days.collect()
    }
}

/// A row-level day's rows in one order that does not depend on how partitions interleaved.
fn join_rows(fired: &[OutputBatch]) -> Result<RecordBatch> {
    let Some(first) = fired.first().map(|batch| &batch.rows) else {
        return datafusion::common::internal_err!("a day without rows settled");
    };
    let joined = concat_batches(&first.schema(), fired.iter().map(|batch| &batch.rows))?;
    let columns: Vec<usize> = (0..joined.num_columns()).collect();
    sort_by(&joined, &columns)
}
