//! Result rows as a table's rows: window columns in front, revision, tile, incompleteness and date
//! behind, sorted by window and grain, divided by date.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use arrow::row::{RowConverter, SortField};
use chrono::NaiveDate;
use datafusion::common::{Result, exec_err, plan_err};

use crate::flow::event::timestamp_type;
use crate::flow::{OutputBatch, Timestamp, Window, epoch_day};
use crate::sql::collect::row_family::with_date;
use crate::sql::collect::window_family::TableForm;
use crate::sql::plan::query::{Query, Way};
use crate::window::Period;

/// Columns of our own that a query must not name.
const RESERVED: &[&str] =
    &["window_start", "window_end", "local_start", "revision", "is_tile", "incomplete", "date"];

/// A window that fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiredWindow {
    /// The window.
    pub window: Window,
    /// The day it is filed under.
    pub date: NaiveDate,
    /// Calendar windows: when it begins on the zone's clock.
    pub local_start: Option<String>,
}

impl FiredWindow {
    /// A window of instants, filed under the UTC date of its start.
    pub fn of_instants(window: Window) -> FiredWindow {
        FiredWindow { window, date: window.start.date(), local_start: None }
    }

    /// A calendar window, filed under its local date.
    pub fn of_period(period: Period) -> FiredWindow {
        FiredWindow {
            window: period.window,
            date: period.local_start.date(),
            local_start: Some(period.local_start.format("%Y-%m-%dT%H:%M:%S").to_string()),
        }
    }
}

/// What a table's rows look like.
#[derive(Clone, Debug)]
pub struct OutputShape {
    /// The table.
    pub table: Arc<str>,
    /// All columns.
    pub schema: SchemaRef,
    /// What its rows have beside the query's columns, and in which order they come.
    pub form: TableForm,
    /// The sort order within a window, as columns of the query.
    pub grain: Vec<usize>,
    /// Whether the query's rows already come in that order, each group once.
    pub presorted: bool,
    /// Windows that begin before this are incomplete.
    pub complete_from: Timestamp,
}

impl OutputShape {
    /// The shape of a table over a query's rows.
    ///
    /// # Errors
    /// Where the query has a column of our own, or lacks one of the grain.
    pub fn new(
        table: &str,
        query: &Query,
        grain: &[String],
        form: TableForm,
    ) -> Result<OutputShape> {
        let schema = match form {
            TableForm::Rows => with_date(&query.schema),
            TableForm::Windows { .. } | TableForm::KeyedWindows => {
                with_windows(&query.schema, &[])?
            }
            TableForm::Periods => {
                with_windows(&query.schema, &[Field::new("local_start", DataType::Utf8, false)])?
            }
        };
        let grain: Result<Vec<usize>> =
            grain.iter().map(|name| Ok(query.schema.index_of(name)?)).collect();
        let grain = grain?;
        let presorted = match (&query.way, form) {
            // Sessions of several keys may share their bounds and stand in any order.
            (Way::Incremental(_), TableForm::KeyedWindows) => false,
            (Way::Incremental(incremental), _) => incremental.keeps_order(&grain),
            (Way::Recompute(_) | Way::RowLevel(_), _) => false,
        };
        let (table, complete_from) = (table.into(), Timestamp::MIN);
        Ok(OutputShape { table, schema, form, grain, presorted, complete_from })
    }

    /// Whether windows do not overlap their neighbours.
    pub fn is_tile(&self) -> bool {
        match self.form {
            TableForm::Windows { is_tile } => is_tile,
            TableForm::Periods | TableForm::KeyedWindows | TableForm::Rows => true,
        }
    }

    /// The rows of windows that fired, `of_row` naming each row's window, as batches by date.
    pub fn assemble(
        &self,
        rows: RecordBatch,
        of_row: Vec<u32>,
        windows: Vec<FiredWindow>,
        revision: u32,
    ) -> Result<Vec<OutputBatch>> {
        let places = places(&windows);
        // Rows of two periods of one window stand as if they were of one.
        let shares = places.last().is_some_and(|last| (*last as usize) + 1 < windows.len());
        let (rows, of_row) = match self.presorted && !shares {
            true => (rows, of_row),
            false => self.sort(rows, of_row, &places)?,
        };
        let whole = self.with_own_columns(rows, &of_row, &windows, revision)?;
        let mut out = Vec::new();
        let mut first = 0;
        let mut start = 0;
        while first < windows.len() {
            let date = windows[first].date;
            let run = windows[first..].iter().take_while(|fired| fired.date == date).count();
            let last = first + run;
            let length = of_row[start..].partition_point(|of| (*of as usize) < last);
            let mut of_date: Vec<Window> =
                windows[first..last].iter().map(|fired| fired.window).collect();
            of_date.dedup();
            out.push(OutputBatch {
                table: Arc::clone(&self.table),
                date,
                windows: of_date,
                revision,
                rows: whole.slice(start, length),
            });
            first = last;
            start += length;
        }
        Ok(out)
    }

    /// Brings rows into the order of window and grain, `places` being those of what has fired; a
    /// grain that is not unique is an error.
    fn sort(
        &self,
        rows: RecordBatch,
        of_row: Vec<u32>,
        places: &[u32],
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let place_of_row = of_row.iter().map(|of| places[*of as usize]);
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt32Array::from_iter_values(place_of_row))];
        columns.extend(self.grain.iter().map(|column| Arc::clone(rows.column(*column))));
        let of: ArrayRef = Arc::new(UInt32Array::from(of_row));
        columns.push(Arc::clone(&of));
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let encoded = converter.convert_columns(&columns)?;
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_by(|a, b| encoded.row(*a as usize).cmp(&encoded.row(*b as usize)));
        for pair in order.windows(2) {
            if encoded.row(pair[0] as usize) == encoded.row(pair[1] as usize) {
                return exec_err!(
                    "two rows of one window of table {} have the same grain ({}); add the column \
                     that tells them apart to `grain`",
                    self.table,
                    self.grain_names(&rows).join(", ")
                );
            }
        }
        let order = UInt32Array::from(order);
        let sorted = take_record_batch(&rows, &order)?;
        let of = arrow::compute::take(&of, &order, None)?;
        let of = of.as_primitive::<UInt32Type>().values().to_vec();
        Ok((sorted, of))
    }

    fn grain_names(&self, rows: &RecordBatch) -> Vec<String> {
        let schema = rows.schema();
        self.grain.iter().map(|column| schema.field(*column).name().clone()).collect()
    }

    fn with_own_columns(
        &self,
        rows: RecordBatch,
        of_row: &[u32],
        windows: &[FiredWindow],
        revision: u32,
    ) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let instants = |of: &dyn Fn(&FiredWindow) -> Timestamp| -> ArrayRef {
            let by_window: Vec<i64> = windows.iter().map(|fired| of(fired).0).collect();
            let values = of_row.iter().map(|window| by_window[*window as usize]);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
        };
        let mut columns =
            vec![instants(&|fired| fired.window.start), instants(&|fired| fired.window.end)];
        if self.form == TableForm::Periods {
            let starts = of_row
                .iter()
                .map(|window| windows[*window as usize].local_start.as_deref().unwrap_or(""));
            columns.push(Arc::new(StringArray::from_iter_values(starts)));
        }
        columns.extend(rows.columns().iter().map(Arc::clone));
        columns.push(Arc::new(Int32Array::from_value(revision as i32, count)));
        columns.push(Arc::new(BooleanArray::from(vec![self.is_tile(); count])));
        let incomplete = |window: &u32| windows[*window as usize].window.start < self.complete_from;
        columns.push(Arc::new(BooleanArray::from_iter(of_row.iter().map(|w| Some(incomplete(w))))));
        let days: Vec<i32> = windows.iter().map(|fired| epoch_day(fired.date)).collect();
        let dates = of_row.iter().map(|window| days[*window as usize]);
        columns.push(Arc::new(Date32Array::from_iter_values(dates)));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The columns that a day's rows are sorted by: window, then grain, then, where periods of two
    /// zones may be one window, when it begins on the zone's clock. Rows without windows are sorted by
    /// every column: their grain tells them apart, but for repeats that came too late to be known as
    /// such.
    pub fn order(&self) -> Vec<usize> {
        let after = |first_own: usize| self.grain.iter().map(move |column| column + first_own);
        match self.form {
            TableForm::Windows { .. } | TableForm::KeyedWindows => {
                [0, 1].into_iter().chain(after(2)).collect()
            }
            TableForm::Periods => [0, 1].into_iter().chain(after(3)).chain([2]).collect(),
            TableForm::Rows => (0..self.schema.fields().len()).collect(),
        }
    }

    /// How many of the columns of [`order`](OutputShape::order) tell rows apart but for a few.
    pub fn deciding(&self) -> usize {
        match self.form {
            TableForm::Windows { .. } | TableForm::KeyedWindows | TableForm::Periods => {
                self.order().len()
            }
            TableForm::Rows => {
                self.grain.iter().max().map_or(self.schema.fields().len(), |last| last + 1)
            }
        }
    }

    /// Whether a day has to be sorted row by row: windows come in any order, and there may be as
    /// many of them as rows.
    pub fn is_sorted_anew(&self) -> bool {
        match self.form {
            TableForm::Windows { .. } | TableForm::Periods => false,
            TableForm::KeyedWindows | TableForm::Rows => true,
        }
    }
}

/// A windowed table's columns: the windows', those of their kind, the query's, and what is said of a
/// row.
fn with_windows(query: &SchemaRef, of_kind: &[Field]) -> Result<SchemaRef> {
    for field in query.fields() {
        if RESERVED.contains(&field.name().as_str()) {
            return plan_err!(
                "the query must not name a column `{}`: every table has one of its own; \
                 rename or leave it out",
                field.name()
            );
        }
    }
    let time = |name: &str| Arc::new(Field::new(name, timestamp_type(), false));
    let mut fields = vec![time("window_start"), time("window_end")];
    fields.extend(of_kind.iter().cloned().map(Arc::new));
    fields.extend(query.fields().iter().map(Arc::clone));
    fields.push(Arc::new(Field::new("revision", DataType::Int32, false)));
    fields.push(Arc::new(Field::new("is_tile", DataType::Boolean, false)));
    fields.push(Arc::new(Field::new("incomplete", DataType::Boolean, false)));
    fields.push(Arc::new(Field::new("date", DataType::Date32, false)));
    Ok(Arc::new(Schema::new(fields)))
}

/// The place of each window that fired among those that differ: neighbours of the same instants and
/// date share one.
fn places(windows: &[FiredWindow]) -> Vec<u32> {
    let mut place = 0;
    let mut places = Vec::with_capacity(windows.len());
    for (number, fired) in windows.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &windows[before]);
        if before.is_some_and(|before| (before.window, before.date) != (fired.window, fired.date)) {
            place += 1;
        }
        places.push(place);
    }
    places
}

/// The rows in the order of these columns, ascending, nulls first.
pub fn sort_by(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    let columns: Vec<SortColumn> = columns
        .iter()
        .map(|column| SortColumn { values: Arc::clone(rows.column(*column)), options: None })
        .collect();
    let order = lexsort_to_indices(&columns, None)?;
    Ok(take_record_batch(rows, &order)?)
}
