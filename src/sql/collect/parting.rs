//! A batch's rows that pass without a window, parted by run and day. Pure.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortColumn, interleave_record_batch, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use crate::flow::{Cut, RowCut, RowPart, Span, Timestamp};

/// Where a row belongs.
#[derive(Clone, Copy, Debug)]
pub struct RowPlace {
    /// The UTC day of its event time, in days since 1970.
    pub day: i32,
    /// What its run is cut by.
    pub cut: RowCut,
}

/// A row: run, hour and day, the offset, and where it stands among a batch's rows.
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

    /// Adds rows; `place` tells where a row belongs, if it is on time.
    ///
    /// # Errors
    /// Where the rows are not of the table's columns.
    pub fn add(
        &mut self,
        rows: &RecordBatch,
        place: impl Fn(usize) -> Option<RowPlace>,
    ) -> Result<()> {
        let batch = self.batches.len();
        let mut dates = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let Some(place) = place(row) else {
                dates.push(0);
                continue;
            };
            dates.push(place.day);
            let (run, hour) = match self.runs {
                true => (place.cut.run(), place.cut.hour()),
                false => ((0, 0), (0, 0)),
            };
            self.placed.push(((run, hour, place.day), place.cut.offset, (batch, row)));
        }
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Date32Array::from(dates)) as ArrayRef);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.batches.push(rows);
        Ok(())
    }

    /// The rows that were added last, with their dates.
    pub fn added(&self) -> Option<&RecordBatch> {
        self.batches.last()
    }

    /// The parts.
    ///
    /// # Errors
    /// Where rows cannot be sorted.
    pub fn finish(mut self) -> Result<Vec<RowPart>> {
        self.placed.sort_by_key(|(part, offset, _)| (*part, *offset));
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let parts = self.placed.chunk_by(|one, other| one.0 == other.0);
        parts.map(|placed| self.part(&batches, placed)).collect()
    }

    fn part(&self, batches: &[&RecordBatch], placed: &[Placed]) -> Result<RowPart> {
        let (run, hour, day) = placed[0].0;
        let in_order = placed.iter().enumerate().all(|(row, (.., index))| *index == (0, row));
        let rows = match batches {
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
