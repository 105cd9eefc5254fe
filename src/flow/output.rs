//! What SQL hands to the sinks.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType as Micros;
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::Timestamp;

/// A half-open range of event time `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first instant within.
    pub start: Timestamp,
    /// The first instant beyond.
    pub end: Timestamp,
}

/// Result rows of one table, all of windows whose date is `date`, in the table's sort order
/// (window start, window end, then grain; row-level tables: event time, then every column).
///
/// `rows` carries the whole output schema: `window_start`, `window_end`, the query's columns,
/// `revision`, `is_tile`, `incomplete`, `date` (row-level tables: the query's columns and `date`).
#[derive(Clone, Debug)]
pub struct OutputBatch {
    /// The table, `<pipeline>_<window>` or `<pipeline>`.
    pub table: Arc<str>,
    /// The date the rows are filed under: UTC date of the window's start, local date for calendar
    /// windows.
    pub date: NaiveDate,
    /// The windows that fired, in order, also those without rows.
    pub windows: Vec<Window>,
    /// 0 for the first firing of a window, then 1, 2 … as late rows revise it.
    pub revision: u32,
    /// The rows.
    pub rows: RecordBatch,
}

/// Where the rows of each window of a firing stand, which holds them in the order of its windows;
/// windows without rows have none.
///
/// # Errors
/// Where a row belongs to none of the windows, or does not tell its own: it would be lost.
pub fn by_window(fired: &OutputBatch) -> Result<Vec<(Window, Range<usize>)>> {
    let rows = &fired.rows;
    let time = |name: &str| rows.column_by_name(name)?.as_primitive_opt::<Micros>();
    let (Some(starts), Some(ends)) = (time("window_start"), time("window_end")) else {
        return internal_err!("rows of `{}` do not tell their windows", fired.table);
    };
    let mut from = 0;
    let of_window = |window: &Window| {
        let is_of =
            |row: &usize| starts.value(*row) == window.start.0 && ends.value(*row) == window.end.0;
        let range = from..from + (from..rows.num_rows()).take_while(is_of).count();
        from = range.end;
        (*window, range)
    };
    let ranges = fired.windows.iter().map(of_window).collect();
    match rows.num_rows() - from {
        0 => Ok(ranges),
        left => internal_err!("{left} rows of `{}` belong to no window that fired", fired.table),
    }
}
