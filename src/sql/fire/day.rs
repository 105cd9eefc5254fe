//! The days of a table that have not settled: what has fired, window by window, of each window the
//! highest revision.
//!
//! Rows wait in memory up to a bound and beyond it on disk, and are read back as they are asked for.
//! What a revision supersedes is given up at once. Sessions, of which there are as many as rows, are
//! not told apart by window but sorted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::output::{OutputShape, sort_by};
use crate::flow::output::by_window;
use crate::flow::{OutputBatch, Window};
use crate::keep::held::{Held, Keeper};
use crate::keep::order::{RowOrder, RowStream};
use crate::keep::own::own_rows;
use crate::keep::runs;
use crate::keep::runs::SortedDays;

/// Bytes of rows that wait in memory, of one table.
const IN_MEMORY: usize = 4 << 20;
/// Batches read from disk that are kept at hand: those of a window and its neighbours.
const AT_HAND: usize = 4;

/// The days of a table that have not settled.
#[derive(Debug)]
pub enum OpenDays {
    /// Windows that fire in the order of their starts, or few.
    Windows(WindowDays),
    /// Sessions, and rows without windows.
    Sorted(SortedDays),
}

/// The windows of the days of a table.
#[derive(Debug)]
pub struct WindowDays {
    schema: SchemaRef,
    /// The columns that rows of one window are sorted by.
    order: Vec<usize>,
    keeper: Keeper,
    days: BTreeMap<NaiveDate, BTreeMap<Window, Latest>>,
}

/// What a window's highest revision holds.
#[derive(Debug, Default)]
struct Latest {
    revision: u32,
    parts: Vec<RowRun>,
}

/// A run of rows of a batch.
#[derive(Clone, Debug)]
struct RowRun {
    rows: Held,
    from: usize,
    length: usize,
}

impl OpenDays {
    /// No days yet of a table of this shape.
    pub fn of(shape: &OutputShape) -> Result<OpenDays> {
        let order = shape.order();
        if shape.is_sorted_anew() {
            let order = RowOrder::new(&shape.schema, &order, shape.deciding())?;
            return Ok(OpenDays::Sorted(SortedDays::new(order, runs::IN_MEMORY)));
        }
        Ok(OpenDays::Windows(WindowDays::new(&shape.schema, order, IN_MEMORY)))
    }

    /// Takes in what has fired. A revision without rows takes back those of the revisions before it.
    pub fn add(&mut self, fired: &OutputBatch) -> Result<()> {
        match self {
            OpenDays::Windows(days) => days.add(fired),
            OpenDays::Sorted(_) if fired.rows.num_rows() == 0 => Ok(()),
            OpenDays::Sorted(days) => days.add(fired.date, fired.rows.clone()),
        }
    }

    /// Takes in rows of a day that belong to no window.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written, or the table has windows.
    pub fn add_rows(&mut self, date: NaiveDate, rows: RecordBatch) -> Result<()> {
        match self {
            OpenDays::Windows(_) => internal_err!("rows without a window came to a windowed table"),
            OpenDays::Sorted(days) => days.add(date, rows),
        }
    }

    /// Takes out the days before `date`, in order, and every day where there is none.
    pub fn settle_before(&mut self, date: Option<NaiveDate>) -> Vec<(NaiveDate, RowStream)> {
        match self {
            OpenDays::Windows(days) => days.settle_before(date),
            OpenDays::Sorted(days) => {
                let taken = match date {
                    Some(date) => days.settle_before(date),
                    None => days.settle_all(),
                };
                taken.into_iter().map(|(date, rows)| (date, rows.into_rows())).collect()
            }
        }
    }

    /// Bytes of memory.
    pub fn size(&self) -> usize {
        match self {
            OpenDays::Windows(days) => days.keeper.in_memory(),
            OpenDays::Sorted(days) => days.size(),
        }
    }

    /// Brings to disk what can be, and keeps nothing in memory from now on.
    pub fn spill(&mut self) -> Result<()> {
        match self {
            OpenDays::Windows(days) => {
                days.keeper.keep_on_disk();
                Ok(())
            }
            OpenDays::Sorted(days) => days.spill(),
        }
    }
}

impl WindowDays {
    fn new(schema: &SchemaRef, order: Vec<usize>, limit: usize) -> WindowDays {
        let (schema, keeper) = (Arc::clone(schema), Keeper::new(limit));
        WindowDays { schema, order, keeper, days: BTreeMap::new() }
    }

    fn add(&mut self, fired: &OutputBatch) -> Result<()> {
        let spans = by_window(fired)?;
        let rows = own_rows(&fired.rows)?;
        let rows = match rows.num_rows() {
            0 => None,
            _ => Some(self.keeper.keep(rows)?),
        };
        let day = self.days.entry(fired.date).or_default();
        for (window, range) in spans {
            let (from, length) = (range.start, range.len());
            if length == 0 && fired.revision == 0 {
                continue;
            }
            let latest = day.entry(window).or_default();
            if fired.revision > latest.revision {
                *latest = Latest { revision: fired.revision, parts: Vec::new() };
            }
            let is_current = fired.revision == latest.revision;
            if let (Some(rows), true, true) = (&rows, is_current, length > 0) {
                latest.parts.push(RowRun { rows: rows.clone(), from, length });
            }
        }
        if day.is_empty() {
            self.days.remove(&fired.date);
        }
        Ok(())
    }

    fn settle_before(&mut self, date: Option<NaiveDate>) -> Vec<(NaiveDate, RowStream)> {
        let open = date.map_or_else(BTreeMap::new, |date| self.days.split_off(&date));
        let settled = std::mem::replace(&mut self.days, open);
        let rows = |windows: BTreeMap<Window, Latest>| -> RowStream {
            Box::new(DayRows {
                schema: Arc::clone(&self.schema),
                order: self.order.clone(),
                windows: windows.into_values().map(|latest| latest.parts).collect(),
                at_hand: VecDeque::new(),
                has_given: false,
            })
        };
        settled.into_iter().map(|(date, windows)| (date, rows(windows))).collect()
    }
}

/// The rows of a day's windows in their order, read as they are asked for.
struct DayRows {
    schema: SchemaRef,
    order: Vec<usize>,
    windows: VecDeque<Vec<RowRun>>,
    at_hand: VecDeque<(Held, RecordBatch)>,
    has_given: bool,
}

impl Iterator for DayRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        while let Some(parts) = self.windows.pop_front() {
            let rows = match parts.as_slice() {
                [] => continue,
                [only] => self.run_of(only.clone()),
                several => self.sorted(several),
            };
            self.has_given = true;
            return Some(rows);
        }
        // The columns are told by a batch without rows where there are none.
        let none = (!self.has_given).then(|| RecordBatch::new_empty(Arc::clone(&self.schema)));
        self.has_given = true;
        none.map(Ok)
    }
}

impl DayRows {
    /// A window's rows, and those of the windows that stand behind it in the same batch.
    fn run_of(&mut self, mut run: RowRun) -> Result<RecordBatch> {
        while let Some([next]) = self.windows.front().map(Vec::as_slice)
            && next.rows.is(&run.rows)
            && next.from == run.from + run.length
        {
            run.length += next.length;
            self.windows.pop_front();
        }
        self.load(&run)
    }

    /// The rows of a window that has fired in parts, in their order.
    fn sorted(&mut self, parts: &[RowRun]) -> Result<RecordBatch> {
        let loaded = parts.iter().map(|part| self.load(part)).collect::<Result<Vec<_>>>()?;
        sort_by(&concat_batches(&self.schema, &loaded)?, &self.order)
    }

    fn load(&mut self, part: &RowRun) -> Result<RecordBatch> {
        if let Some((_, rows)) = self.at_hand.iter().find(|(held, _)| held.is(&part.rows)) {
            return Ok(rows.slice(part.from, part.length));
        }
        let rows = part.rows.load()?;
        if self.at_hand.len() == AT_HAND {
            self.at_hand.pop_front();
        }
        self.at_hand.push_back((part.rows.clone(), rows.clone()));
        Ok(rows.slice(part.from, part.length))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;
    use crate::flow::Timestamp;
    use crate::flow::event::timestamp_type;
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMicrosecondType as Micros;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("window_start", timestamp_type(), false),
            Field::new("window_end", timestamp_type(), false),
            Field::new("k", DataType::Int64, false),
        ]))
    }

    /// Windows of ten that start at `starts`, with the keys of the rows of each.
    fn fired(revision: u32, windows: &[(i64, &[i64])]) -> OutputBatch {
        let instants = |beyond: i64| -> ArrayRef {
            let of_window = |(start, keys): &(i64, &[i64])| vec![start + beyond; keys.len()];
            let values = windows.iter().flat_map(of_window);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
        };
        let keys = windows.iter().flat_map(|(_, keys)| keys.iter().copied());
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
        let window = |start: i64| Window { start: Timestamp(start), end: Timestamp(start + 10) };
        OutputBatch {
            table: "t".into(),
            date: NaiveDate::default(),
            windows: windows.iter().map(|(start, _)| window(*start)).collect(),
            revision,
            rows: RecordBatch::try_new(schema(), vec![instants(0), instants(10), keys]).unwrap(),
        }
    }

    /// By window start the keys, after these firings.
    fn settled(batches: &[OutputBatch], limit: usize) -> Vec<(i64, i64)> {
        let mut days = WindowDays::new(&schema(), vec![0, 1, 2], limit);
        batches.iter().for_each(|batch| days.add(batch).unwrap());
        let (_, rows) = days.settle_before(None).pop().unwrap();
        let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        let rows = concat_batches(&schema(), &batches).unwrap();
        let starts = rows.column(0).as_primitive::<Micros>().values();
        let keys = rows.column(2).as_primitive::<Int64Type>().values();
        starts.iter().copied().zip(keys.iter().copied()).collect()
    }

    #[test]
    fn a_window_has_the_rows_of_its_highest_revision_alone() {
        let batches = [
            fired(0, &[(0, &[1, 2]), (5, &[1]), (10, &[])]),
            fired(1, &[(0, &[1, 2, 3])]),
            fired(0, &[(15, &[4, 5])]),
            fired(1, &[(10, &[7]), (15, &[])]),
            fired(2, &[(5, &[8, 9])]),
        ];
        let expected = [(0, 1), (0, 2), (0, 3), (5, 8), (5, 9), (10, 7)];
        for limit in [0, 1 << 20] {
            assert_eq!(settled(&batches, limit), expected, "{limit}");
        }
    }

    /// Periods of two zones that begin and end at the same instants.
    #[test]
    fn a_window_that_fires_in_parts_is_sorted() {
        let batches = [fired(0, &[(0, &[2, 4])]), fired(0, &[(0, &[1, 3])])];
        assert_eq!(settled(&batches, 0), [(0, 1), (0, 2), (0, 3), (0, 4)]);
    }

    #[test]
    fn every_row_belongs_to_a_window_that_fired() {
        let counts = |fired: &OutputBatch| -> Vec<usize> {
            by_window(fired).unwrap().iter().map(|(_, range)| range.len()).collect()
        };
        assert_eq!(counts(&fired(0, &[(0, &[1, 2]), (10, &[]), (20, &[3])])), [2, 0, 1]);
        let mut other = fired(0, &[(0, &[1]), (10, &[2]), (30, &[3])]);
        other.windows.remove(1);
        let error = by_window(&other).unwrap_err().to_string();
        assert!(error.contains("2 rows of `t` belong to no window"), "{error}");
        other.windows.truncate(1);
        let mut days = WindowDays::new(&schema(), vec![0, 1, 2], 0);
        let error = days.add(&other).unwrap_err().to_string();
        assert!(error.contains("2 rows of `t` belong to no window"), "{error}");
    }

    #[test]
    fn rows_that_do_not_tell_their_windows_are_an_error() {
        let mut fired = fired(0, &[(0, &[1])]);
        fired.rows = fired.rows.project(&[0, 2]).unwrap();
        assert!(by_window(&fired).unwrap_err().to_string().contains("do not tell their windows"));
    }

    #[test]
    fn a_day_that_was_taken_back_has_columns() {
        let mut days = WindowDays::new(&schema(), vec![0, 1, 2], 0);
        days.add(&fired(0, &[(0, &[])])).unwrap();
        assert!(days.settle_before(None).is_empty(), "nothing has come");
        days.add(&fired(0, &[(0, &[1])])).unwrap();
        days.add(&fired(1, &[(0, &[])])).unwrap();
        let (_, rows) = days.settle_before(None).pop().unwrap();
        let rows: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        assert_eq!((rows.len(), rows[0].num_rows(), rows[0].schema()), (1, 0, schema()));
    }
}
