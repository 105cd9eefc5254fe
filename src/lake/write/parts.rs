//! Rows of a section → parts of its objects.
//!
//! Rows are filed under a date and cut into objects where the partition's offsets or its watermark
//! cross a mark, so that the objects are a function of the input alone. Pure.

use std::sync::Arc;

use arrow::array::{BooleanArray, Date32Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use chrono::NaiveDate;
use datafusion::common::Result;

use crate::flow::lake_key::Section;
use crate::flow::{Cut, Span, Timestamp, epoch_day};

/// Offsets per object at most: some 20 MiB of events in memory.
const OFFSETS_PER_OBJECT: i64 = 65_536;

/// Event time per object at most while a stream runs, so that a slow feed is filed within the
/// hour.
const TIME_PER_OBJECT: Span = Span::HOUR;

/// Event time per object at most where the input ends and nothing waits.
const TIME_PER_OBJECT_ONCE: Span = Span::DAY;

/// Rows of one object, or a part of it.
pub struct FiledPart {
    /// The section of the lake.
    pub section: Section,
    /// The date.
    pub date: NaiveDate,
    /// The object within the date.
    pub cut: Cut,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// The rows.
    pub rows: RecordBatch,
}

/// What one batch files.
pub struct Filed {
    /// The parts.
    pub parts: Vec<FiledPart>,
    /// The cut at the batch's end: what is cut before it is complete.
    pub reached: Cut,
}

/// What is filed and how.
#[derive(Clone, Copy, Debug)]
pub struct Filing {
    /// Whether events are archived.
    pub archive: bool,
    /// Whether records bear times of their own; a file's lines do not, and the run's clock must
    /// not reach an object.
    pub record_times: bool,
    /// Whether the run ends with its input.
    pub once: bool,
}

impl Filing {
    /// The cut at an offset before which the watermark stood so.
    pub fn cut_of(self, offset: i64, watermark: i64) -> Cut {
        let mark = if self.once { TIME_PER_OBJECT_ONCE } else { TIME_PER_OBJECT };
        let time = if watermark == i64::MIN { i64::MIN } else { watermark.div_euclid(mark.0) };
        (offset.div_euclid(OFFSETS_PER_OBJECT), time)
    }
}

/// Rows by cut and date, each part with the date as its last column.
pub fn divide(
    (section, filing): (Section, Filing),
    rows: RecordBatch,
    offsets: &[i64],
    watermarks: &[i64],
    times: &[i64],
) -> Result<Vec<FiledPart>> {
    let days: Vec<i32> = times.iter().map(|time| day_of(*time)).collect();
    let keys: Vec<(Cut, i32)> = offsets
        .iter()
        .zip(watermarks)
        .zip(&days)
        .map(|((offset, watermark), day)| (filing.cut_of(*offset, *watermark), *day))
        .collect();
    let mut fields: Vec<Field> =
        rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("date", DataType::Date32, true));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Date32Array::from(days)));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let parts = distinct.iter().map(|(cut, day)| {
        let mine: Vec<bool> = keys.iter().map(|key| key == &(*cut, *day)).collect();
        let of_part = || offsets.iter().zip(&mine).filter(|(_, mine)| **mine).map(|(o, _)| *o);
        let (first, last) = (of_part().min().unwrap_or(0), of_part().max().unwrap_or(0));
        let date = Timestamp(i64::from(*day).saturating_mul(Span::DAY.0)).date();
        let rows = if distinct.len() == 1 {
            rows.clone()
        } else {
            filter_record_batch(&rows, &BooleanArray::from(mine))?
        };
        Ok(FiledPart { section, date, cut: *cut, first, last, rows })
    });
    parts.collect()
}

fn day_of(time: i64) -> i32 {
    epoch_day(Timestamp(time).date())
}
