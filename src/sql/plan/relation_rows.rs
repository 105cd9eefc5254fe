//! Rows of a relation out of one batch, with what is known of each beside its columns.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{filter, filter_record_batch, not};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use super::places::project_by_place;

/// Rows of one relation out of one batch of events.
#[derive(Clone, Debug)]
pub struct RelationRows {
    /// The relation.
    pub relation: Arc<str>,
    /// At least the columns that queries read, by name; texts may be coded.
    pub rows: RecordBatch,
    /// Event time of each row, microseconds.
    pub time: Int64Array,
    /// The partition's watermark before the event that each row came from.
    pub watermark_before: Int64Array,
    /// The event that each row came from, by its place in the batch.
    pub source_row: UInt32Array,
    /// The lab of each row, where a calendar asks for it.
    pub lab: Option<StringArray>,
    /// Rows that windows neither count nor take for late; row-level tables have them while their day is
    /// open. None where there is none.
    pub barred: Option<BooleanArray>,
}

impl RelationRows {
    /// The columns that a leaf reads, given by their places in the relation's whole schema.
    pub fn project(&self, columns: &[usize]) -> Result<RecordBatch> {
        project_by_place(&self.rows, columns)
    }

    /// Some of the rows.
    pub(crate) fn filtered(&self, keep: &BooleanArray) -> Result<RelationRows> {
        Ok(RelationRows {
            relation: Arc::clone(&self.relation),
            rows: filter_record_batch(&self.rows, keep)?,
            time: filter(&self.time, keep)?.as_primitive::<Int64Type>().clone(),
            watermark_before: filter(&self.watermark_before, keep)?
                .as_primitive::<Int64Type>()
                .clone(),
            source_row: filter(&self.source_row, keep)?.as_primitive::<UInt32Type>().clone(),
            lab: match &self.lab {
                Some(lab) => Some(filter(lab, keep)?.as_string::<i32>().clone()),
                None => None,
            },
            barred: match &self.barred {
                Some(barred) => Some(filter(barred, keep)?.as_boolean().clone()),
                None => None,
            },
        })
    }

    /// The rows that windows may count.
    ///
    /// # Errors
    /// When they cannot be filtered, which is a fault of ours.
    pub fn unbarred(&self) -> Result<RelationRows> {
        match &self.barred {
            Some(barred) => Ok(RelationRows { barred: None, ..self.filtered(&not(barred)?)? }),
            None => Ok(self.clone()),
        }
    }

    /// A run of the rows.
    pub fn slice(&self, start: usize, length: usize) -> RelationRows {
        RelationRows {
            relation: Arc::clone(&self.relation),
            rows: self.rows.slice(start, length),
            time: self.time.slice(start, length),
            watermark_before: self.watermark_before.slice(start, length),
            source_row: self.source_row.slice(start, length),
            lab: self.lab.as_ref().map(|lab| lab.slice(start, length)),
            barred: self.barred.as_ref().map(|barred| barred.slice(start, length)),
        }
    }
}
