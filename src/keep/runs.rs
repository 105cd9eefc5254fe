//! Rows that are given out in one order, whatever the order in which they came: in memory up to a
//! bound, beyond it in sorted runs on disk, merged as the rows are asked for.
//!
//! The order is that of some columns, ascending, nulls first. Runs are sorted beside whoever adds
//! rows, one at a time. A run's file has no name, so that nothing is left behind however the process
//! ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek};
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::ipc::writer::StreamWriter;
use arrow::row::Rows;
use chrono::NaiveDate;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use super::merge::Merge;
use super::order::{RowOrder, RowStream};
use super::pile::{BYTES_BESIDE, bytes_of_values, join_newest};

/// Bytes of rows that a table keeps in memory, over all of its days: the most, and what it begins
/// with. Between them it is a share of what is on disk, so that a table of few rows takes little
/// and one of many has few runs to merge.
pub const IN_MEMORY: usize = 32 << 20;
const AT_FIRST: usize = 2 << 20;
const SHARE: usize = 16;
/// Rows of a run that are read at once.
const BATCH_ROWS: usize = 1024;

/// The rows of a table's days, each day in one order.
#[derive(Debug)]
pub struct SortedDays {
    order: RowOrder,
    limit: usize,
    days: BTreeMap<NaiveDate, SortedRows>,
}

/// The rows of one day.
#[derive(Debug)]
pub struct SortedRows {
    order: RowOrder,
    waiting: Vec<RecordBatch>,
    /// Bytes of the values of those that wait.
    values: usize,
    on_disk: usize,
    sorting: Option<JoinHandle<Result<File>>>,
    runs: Vec<File>,
}

impl SortedDays {
    /// No rows; keeps so many bytes in memory.
    pub fn new(order: RowOrder, limit: usize) -> SortedDays {
        SortedDays { order, limit, days: BTreeMap::new() }
    }

    /// Adds rows to a day.
    ///
    /// # Errors
    /// Where rows that were added before could not be sorted or written.
    pub fn add(&mut self, date: NaiveDate, rows: RecordBatch) -> Result<()> {
        let day = self.days.entry(date).or_insert_with(|| SortedRows::new(self.order.clone()));
        day.add(rows);
        while self.size() > self.limit() {
            self.spill_largest()?;
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        let on_disk: usize = self.days.values().map(|day| day.on_disk).sum();
        self.limit.min((on_disk / SHARE).max(AT_FIRST))
    }

    /// Bytes of memory.
    pub fn size(&self) -> usize {
        self.days.values().map(SortedRows::bytes).sum()
    }

    /// Brings to disk what can be.
    pub fn spill(&mut self) -> Result<()> {
        self.days.values_mut().try_for_each(SortedRows::spill)
    }

    fn spill_largest(&mut self) -> Result<()> {
        match self.days.values_mut().max_by_key(|day| day.bytes()) {
            Some(largest) => largest.spill(),
            None => Ok(()),
        }
    }

    /// Takes out the days before `date`, in order: nothing more will come for them.
    pub fn settle_before(&mut self, date: NaiveDate) -> Vec<(NaiveDate, SortedRows)> {
        let open = self.days.split_off(&date);
        std::mem::replace(&mut self.days, open).into_iter().collect()
    }

    /// Takes out every day, in order: the input has ended.
    pub fn settle_all(&mut self) -> Vec<(NaiveDate, SortedRows)> {
        std::mem::take(&mut self.days).into_iter().collect()
    }
}

impl SortedRows {
    fn new(order: RowOrder) -> SortedRows {
        SortedRows {
            order,
            waiting: Vec::new(),
            values: 0,
            on_disk: 0,
            sorting: None,
            runs: Vec::new(),
        }
    }

    fn add(&mut self, rows: RecordBatch) {
        self.values += bytes_of_values(&rows);
        self.waiting.push(rows);
        join_newest(&mut self.waiting);
    }

    /// Bytes of memory.
    fn bytes(&self) -> usize {
        let columns: usize = self.waiting.iter().map(RecordBatch::num_columns).sum();
        self.values + columns * BYTES_BESIDE
    }

    /// Sorts what waits into a run, beside whoever asks. A run before it is waited for, so that no
    /// more than two are in memory.
    fn spill(&mut self) -> Result<()> {
        self.collect_sorted()?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.on_disk += self.bytes();
        self.values = 0;
        let (rows, order) = (std::mem::take(&mut self.waiting), self.order.clone());
        let sort = std::thread::Builder::new().name("sort".to_owned());
        let sorting = sort.spawn(move || sorted_run(&order, rows));
        self.sorting = Some(sorting.map_err(|error| failed("sort", &error.to_string()))?);
        Ok(())
    }

    fn collect_sorted(&mut self) -> Result<()> {
        let Some(sorting) = self.sorting.take() else { return Ok(()) };
        match sorting.join() {
            Ok(run) => self.runs.push(run?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(())
    }

    /// The rows in their order, at least one batch. All work is left to whoever takes them.
    pub fn into_rows(self) -> RowStream {
        let mut rows = Some(self);
        let mut merged: Option<RowStream> = None;
        Box::new(std::iter::from_fn(move || {
            if let Some(rows) = rows.take() {
                match rows.merged() {
                    Ok(stream) => merged = Some(stream),
                    Err(error) => return Some(Err(error)),
                }
            }
            merged.as_mut()?.next()
        }))
    }

    fn merged(mut self) -> Result<RowStream> {
        self.collect_sorted()?;
        let last = Sorted::of(&self.order, self.waiting)?;
        if self.runs.is_empty() {
            if last.places.is_empty() {
                let none = RecordBatch::new_empty(Arc::clone(&self.order.schema));
                return Ok(Box::new(std::iter::once(Ok(none))));
            }
            return Ok(Box::new(last));
        }
        let mut runs: Vec<RowStream> = vec![Box::new(last)];
        for run in self.runs {
            runs.push(read(run)?);
        }
        Ok(Box::new(Merge::of(self.order, runs)?))
    }
}

/// Rows in their order, put together as they are asked for.
struct Sorted {
    batches: Vec<RecordBatch>,
    places: Vec<(usize, usize)>,
    given: usize,
}

impl Sorted {
    fn of(order: &RowOrder, batches: Vec<RecordBatch>) -> Result<Sorted> {
        let keys: Vec<Rows> = batches.iter().map(|rows| order.keys(rows)).collect::<Result<_>>()?;
        let rows = batches.iter().enumerate();
        let mut places: Vec<(usize, usize)> = rows
            .flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)))
            .collect();
        places.sort_unstable_by(|one, other| {
            let key = |place: &(usize, usize)| keys[place.0].row(place.1);
            let place = |place: &(usize, usize)| (&batches[place.0], place.1);
            key(one).cmp(&key(other)).then_with(|| order.compare_rest(place(one), place(other)))
        });
        Ok(Sorted { batches, places, given: 0 })
    }
}

impl Iterator for Sorted {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let rest = &self.places[self.given..];
        if rest.is_empty() {
            return None;
        }
        let next = &rest[..rest.len().min(BATCH_ROWS)];
        self.given += next.len();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, next).map_err(DataFusionError::from))
    }
}

/// Writes a run.
fn sorted_run(order: &RowOrder, rows: Vec<RecordBatch>) -> Result<File> {
    let written = |error: &dyn std::fmt::Display| failed("write", &error.to_string());
    let mut file = tempfile::tempfile().map_err(|error| written(&error))?;
    let mut writer = StreamWriter::try_new(BufWriter::new(&mut file), &order.schema)?;
    for batch in Sorted::of(order, rows)? {
        writer.write(&batch?).map_err(|error| written(&error))?;
    }
    writer.finish().map_err(|error| written(&error))?;
    drop(writer);
    file.rewind().map_err(|error| written(&error))?;
    Ok(file)
}

/// Reads a run from its beginning.
fn read(run: File) -> Result<RowStream> {
    let reader = arrow::ipc::reader::StreamReader::try_new_buffered(run, None)?;
    Ok(Box::new(reader.map(|batch| batch.map_err(|error| failed("read", &error.to_string())))))
}

fn failed(attempt: &str, error: &str) -> DataFusionError {
    let folder = std::env::temp_dir();
    exec_datafusion_err!(
        "could not {attempt} rows that wait for their day to settle, in a temporary file in {}: \
         {error}; make room there, or name another folder in TMPDIR",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<String>, i64, Option<i64>);

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("lab", DataType::Utf8, true),
            Field::new("k", DataType::Int64, true),
            Field::new("v", DataType::Int64, true),
        ]))
    }

    fn batch(rows: &[Row]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    fn rows_of(batch: &RecordBatch) -> Vec<Row> {
        let labs = batch.column(0).as_string::<i32>().iter();
        let int = |column: usize| batch.column(column).as_primitive::<Int64Type>().iter();
        labs.zip(int(1))
            .zip(int(2))
            .map(|((lab, k), v)| (lab.map(str::to_owned), k.unwrap(), v))
            .collect()
    }

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
    }

    fn settled(batches: &[Vec<Row>], limit: usize, deciding: usize) -> (Vec<Row>, usize) {
        let order = RowOrder::new(&schema(), &[0, 1, 2], deciding).unwrap();
        let mut days = SortedDays::new(order, limit);
        for rows in batches {
            days.add(date(), batch(rows)).unwrap();
            assert!(days.size() <= limit);
        }
        let mut taken = days.settle_all();
        let (at, mut day) = taken.pop().unwrap();
        assert_eq!((at, taken.len()), (date(), 0));
        day.collect_sorted().unwrap();
        let runs = day.runs.len();
        let parts: Vec<RecordBatch> = day.into_rows().map(Result::unwrap).collect();
        (rows_of(&concat_batches(&schema(), &parts).unwrap()), runs)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn rows_come_in_their_order_from_memory_and_from_disk(
            batches in prop::collection::vec(
                prop::collection::vec(
                    (prop::option::of("[ab]{0,2}"), 0i64..4, prop::option::of(0i64..3)), 1..30,
                ),
                1..12,
            ),
            limit in prop::sample::select(vec![0usize, 4_000, 1 << 20]),
            deciding in 0usize..4,
        ) {
            let mut expected: Vec<Row> = batches.concat();
            expected.sort();
            let (found, runs) = settled(&batches, limit, deciding);
            prop_assert_eq!(found, expected);
            match limit {
                0 => prop_assert_eq!(runs, batches.len()),
                4_000 => {}
                _ => prop_assert_eq!(runs, 0),
            }
        }
    }

    /// More rows than a run's batches and the merge's have.
    #[test]
    fn long_runs_are_merged() {
        let rows =
            |seed: i64| (0..10_000).map(move |n| (None, (n * 7919 + seed) % 10_007, Some(n)));
        let batches: Vec<Vec<Row>> = (0..5).map(|seed| rows(seed).collect()).collect();
        let mut expected = batches.concat();
        expected.sort();
        let (found, runs) = settled(&batches, 0, 2);
        assert_eq!(runs, 5);
        assert!(found == expected);
    }
}
