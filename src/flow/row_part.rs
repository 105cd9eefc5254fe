//! Rows that pass without a window, on their way to the lake: which run of their partition's input
//! they belong to.
//!
//! A run is cut by (offset, minute of the partition's own watermark), so what it holds and what it is
//! called follow from that partition alone, however the partitions interleave.

use arrow::array::RecordBatch;
use chrono::NaiveDate;

use super::Span;

/// Offsets per run at most.
const OFFSETS_PER_RUN: i64 = 65_536;

/// Offsets of the runs that are put together at most.
const OFFSETS_PER_HOUR: i64 = 8 * OFFSETS_PER_RUN;

/// Where an object is cut: offsets and watermark in units of their marks. Rises with the offset.
pub type Cut = (i64, i64);

/// Where in the order of a partition's records a row stands, for the runs that rows are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowCut {
    /// The offset of the record that brought it about.
    pub offset: i64,
    /// Of a row that a record bears, the watermark that stood before that record; of one that waited
    /// for the watermark, the watermark that the record brought.
    pub watermark: i64,
}

/// In the place of the watermark of a cut: it will be that which stands before the partition's next
/// record.
pub const NOT_YET: i64 = i64::MAX;

impl RowPart {
    /// Whether it is not known yet which run it belongs to.
    pub fn is_open(&self) -> bool {
        self.run.1 == slot(NOT_YET, Span::MINUTE)
    }

    /// The same, now that it is known which watermark stood before the next record.
    pub fn closed_at(self, watermark: i64) -> RowPart {
        let cut = RowCut { offset: self.first, watermark };
        RowPart { run: cut.run(), hour: cut.hour(), ..self }
    }
}

impl RowCut {
    /// The run.
    pub fn run(self) -> Cut {
        (self.offset.div_euclid(OFFSETS_PER_RUN), slot(self.watermark, Span::MINUTE))
    }

    /// The hour that the run is put together in.
    pub fn hour(self) -> Cut {
        (self.offset.div_euclid(OFFSETS_PER_HOUR), slot(self.watermark, Span::HOUR))
    }
}

fn slot(watermark: i64, width: Span) -> i64 {
    if watermark == i64::MIN { i64::MIN } else { watermark.div_euclid(width.0) }
}

/// Rows that one batch gives to a run and a day, in the order of their cuts.
#[derive(Debug)]
pub struct RowPart {
    /// The run.
    pub run: Cut,
    /// The hour that the run is put together in.
    pub hour: Cut,
    /// The UTC date of the rows' event time.
    pub date: NaiveDate,
    /// The offset of the first record that brought a row about.
    pub first: i64,
    /// The offset of the last.
    pub last: i64,
    /// The query's columns, and the date behind.
    pub rows: RecordBatch,
}

/// Rows that pass without a window, each with its event time: what alert rules judge as they come.
#[derive(Clone, Debug)]
pub struct TimedRows {
    /// The query's columns, and the date behind.
    pub rows: RecordBatch,
    /// The event time of each, microseconds.
    pub times: Vec<i64>,
}
