//! What SQL hands to the sinks.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::NaiveDate;

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
