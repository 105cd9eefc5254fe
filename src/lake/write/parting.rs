//! A batch's rows of a row-level table, parted by run and day.
//!
//! A run is cut by (offset, minute of the partition's own watermark), so what it holds and what it is
//! called follow from that partition alone, however the partitions interleave. Pure.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortColumn, interleave_record_batch, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use datafusion::common::Result;

use super::parts::Cut;
use crate::flow::{Span, Timestamp, epoch_day};

/// Offsets per run at most.
const OFFSETS_PER_RUN: i64 = 65_536;

/// Offsets of the runs that are put together at most.
const OFFSETS_PER_HOUR: i64 = 8 * OFFSETS_PER_RUN;

/// The run of a record, by its offset and the watermark that stood before it.
pub fn run_of(offset: i64, watermark: i64) -> Cut {
    (offset.div_euclid(OFFSETS_PER_RUN), slot(watermark, Span::MINUTE))
}

/// The hour of a record's run.
pub fn hour_of(offset: i64, watermark: i64) -> Cut {
    (offset.div_euclid(OFFSETS_PER_HOUR), slot(watermark, Span::HOUR))
}

fn slot(watermark: i64, width: Span) -> i64 {
    if watermark == i64::MIN { i64::MIN } else { watermark.div_euclid(width.0) }
}

/// Rows that one batch gives to a run and a day, in the order of their offsets.
pub struct RowPart {
    /// The run.
    pub run: Cut,
    /// The hour that the run is put together in.
    pub hour: Cut,
    /// The UTC date of the rows' event time.
    pub date: NaiveDate,
    /// The offset of the first record that they came from.
    pub first: i64,
    /// The offset of the last.
    pub last: i64,
    /// The query's columns, and the date behind.
    pub rows: RecordBatch,
}

/// A row's place: run, hour, day, offset, and where it stands among a batch's rows.
type Placed = ((Cut, Cut, i32), i64, (usize, usize));

/// The rows of one batch that are on time, as parts.
pub struct Parting {
    schema: SchemaRef,
    runs: bool,
    batches: Vec<RecordBatch>,
    placed: Vec<Placed>,
}

impl Parting {
    /// Of a table's rows, whose last column is the date; `runs` says whether they are cut into runs,
    /// which only `live/` asks for.
    pub fn new(table: SchemaRef, runs: bool) -> Parting {
        Parting { schema: table, runs, batches: Vec::new(), placed: Vec::new() }
    }

    /// Adds rows; `place` tells a row's event time, offset and watermark before, if it is on time.
    pub fn add(
        &mut self,
        rows: &RecordBatch,
        place: impl Fn(usize) -> Option<(i64, i64, i64)>,
    ) -> Result<()> {
        let batch = self.batches.len();
        let mut dates = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let Some((time, offset, watermark)) = place(row) else {
                dates.push(0);
                continue;
            };
            let day = epoch_day(Timestamp(time).date());
            dates.push(day);
            let runs = match self.runs {
                true => (run_of(offset, watermark), hour_of(offset, watermark)),
                false => ((0, 0), (0, 0)),
            };
            self.placed.push(((runs.0, runs.1, day), offset, (batch, row)));
        }
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Date32Array::from(dates)) as ArrayRef);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.batches.push(rows);
        Ok(())
    }

    /// The parts.
    pub fn finish(mut self) -> Result<Vec<RowPart>> {
        self.placed.sort_by_key(|(place, offset, _)| (*place, *offset));
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let parts = self.placed.chunk_by(|one, other| one.0 == other.0).map(|placed| {
            let (run, hour, day) = placed[0].0;
            let in_order = placed.iter().enumerate().all(|(row, (.., index))| *index == (0, row));
            let rows = match batches.as_slice() {
                [only] if in_order && placed.len() == only.num_rows() => (*only).clone(),
                all => {
                    let indices: Vec<(usize, usize)> =
                        placed.iter().map(|(.., index)| *index).collect();
                    interleave_record_batch(all, &indices)?
                }
            };
            let offsets: Vec<i64> = placed.iter().map(|(_, offset, _)| *offset).collect();
            let several = offsets.windows(2).any(|pair| pair[0] == pair[1]);
            let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
            let rows = if self.runs && several { sort_records(&rows, offsets)? } else { rows };
            let date = Timestamp(i64::from(day).saturating_mul(Span::DAY.0)).date();
            Ok(RowPart { run, hour, date, first, last, rows })
        });
        parts.collect()
    }
}

/// Sorts rows by offset; those of one record by every column.
fn sort_records(rows: &RecordBatch, offsets: Vec<i64>) -> Result<RecordBatch> {
    let offsets: ArrayRef = Arc::new(Int64Array::from(offsets));
    let columns = [&offsets].into_iter().chain(rows.columns());
    let columns: Vec<SortColumn> =
        columns.map(|values| SortColumn { values: Arc::clone(values), options: None }).collect();
    Ok(take_record_batch(rows, &lexsort_to_indices(&columns, None)?)?)
}
