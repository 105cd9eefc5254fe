//! The rows of a row-level table until their day settles: each belongs to the UTC day of its event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::common::Result;

use crate::flow::{OffsetRange, Partition, Span, Timestamp, epoch_day};
use crate::keep::order::{RowOrder, RowStream};
use crate::keep::runs;
use crate::keep::runs::SortedDays;
use crate::sql::collect::collected::Tally;
use crate::window::OffsetsByPartition;

/// When a row-level table's day settles: its end and the allowed lateness.
pub fn settles_at(date: NaiveDate, lateness: Span) -> Timestamp {
    let days = i64::from(epoch_day(date)) + 1;
    Timestamp(days.saturating_mul(Span::DAY.0)).plus(lateness)
}

/// A row-level table's columns: the query's, and the date.
pub fn with_date(query: &Schema) -> SchemaRef {
    let mut fields: Vec<Field> =
        query.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("date", DataType::Date32, false));
    Arc::new(Schema::new(fields))
}

/// The rows of a row-level table whose days have not settled.
pub struct RowLevel {
    lateness: Span,
    days: SortedDays,
    origins: BTreeMap<NaiveDate, OffsetsByPartition>,
    tally: Tally,
}

/// A day that has settled: its rows, sorted, and where they came from.
pub type SettledRows = (NaiveDate, RowStream, OffsetsByPartition);

impl RowLevel {
    /// A table without rows, over a query's columns.
    ///
    /// # Errors
    /// Where the query lacks a column of the grain, or has one that cannot be sorted by.
    pub fn new(query: &Schema, grain: &[String], lateness: Span) -> Result<RowLevel> {
        let schema = with_date(query);
        // The grain tells rows apart, but for repeats that came too late to be known as such.
        let places = grain.iter().map(|name| schema.index_of(name));
        let grain = places.collect::<std::result::Result<Vec<usize>, _>>()?;
        let columns: Vec<usize> = (0..schema.fields().len()).collect();
        let deciding = grain.iter().max().map_or(columns.len(), |last| last + 1);
        let order = RowOrder::new(&schema, &columns, deciding)?;
        Ok(RowLevel {
            lateness,
            days: SortedDays::new(order, runs::IN_MEMORY),
            origins: BTreeMap::new(),
            tally: Tally::default(),
        })
    }

    /// Notes what became of a batch's events.
    pub fn count(&mut self, tally: Tally) {
        self.tally.counted += tally.counted;
        self.tally.late += tally.late;
        self.tally.other += tally.other;
    }

    /// Takes in rows of a day, which came from a range of a partition's input.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn collect(
        &mut self,
        (date, rows): (NaiveDate, RecordBatch),
        partition: &Arc<Partition>,
        range: OffsetRange,
    ) -> Result<()> {
        let origins = self.origins.entry(date).or_default();
        let covered = origins.entry(Arc::clone(partition)).or_insert(range);
        covered.from = covered.from.min(range.from);
        covered.to = covered.to.max(range.to);
        self.days.add(date, rows)
    }

    /// The date before which days have settled by a watermark; none where none has.
    pub fn settled_before(&self, watermark: Timestamp) -> Option<NaiveDate> {
        match watermark {
            Timestamp::MAX => Some(NaiveDate::MAX),
            Timestamp::MIN => None,
            reached => Some(reached.minus(self.lateness).date()),
        }
    }

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Vec<SettledRows> {
        let Some(before) = self.settled_before(watermark) else { return Vec::new() };
        let taken = match watermark {
            Timestamp::MAX => self.days.settle_all(),
            _ => self.days.settle_before(before),
        };
        let mut settled = Vec::with_capacity(taken.len());
        for (date, rows) in taken {
            settled.push((date, rows.into_rows(), self.origins.remove(&date).unwrap_or_default()));
        }
        settled
    }

    /// When a day settles.
    pub fn settles_at(&self, date: NaiveDate) -> Timestamp {
        settles_at(date, self.lateness)
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.days.size()
    }

    /// Brings the rows of days that have not settled to disk.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn spill(&mut self) -> Result<()> {
        self.days.spill()
    }

    /// What became of the events.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}
