//! Rows of a part of a query, with what is known of the relation's row that each came from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use crate::sql::plan::chain::Branch;
use crate::sql::plan::numbered::FromRows;
use crate::sql::plan::places::project_coded;
use crate::sql::plan::relation_rows::RelationRows;

/// Rows, and beside each what its relation's row has.
#[derive(Debug)]
pub struct SourcedRows {
    /// The rows.
    pub rows: RecordBatch,
    /// Event time, microseconds.
    pub time: Int64Array,
    /// The partition's watermark before the event.
    pub watermark_before: Int64Array,
    /// The event, by its place in the batch.
    pub source_row: UInt32Array,
    /// The lab, where a calendar asks for it.
    pub lab: Option<StringArray>,
}

impl SourcedRows {
    /// What a branch lets through of the batch; none when there is nothing to read.
    ///
    /// # Errors
    /// What fails when the branch is evaluated.
    pub fn of_branch(branch: &Branch, inputs: &[RelationRows]) -> Result<Option<SourcedRows>> {
        let Some(input) = inputs.iter().find(|input| input.relation == branch.relation) else {
            return Ok(None);
        };
        if input.rows.num_rows() == 0 {
            return Ok(None);
        }
        let rows = project_coded(&input.rows, &branch.columns, &branch.passed)?;
        let mut beside: Vec<ArrayRef> = vec![
            Arc::new(input.time.clone()),
            Arc::new(input.watermark_before.clone()),
            Arc::new(input.source_row.clone()),
        ];
        beside.extend(input.lab.clone().map(|lab| Arc::new(lab) as ArrayRef));
        let (rows, beside) = branch.chain.evaluate(rows, beside)?;
        Ok(Some(SourcedRows {
            rows,
            time: beside[0].as_primitive::<Int64Type>().clone(),
            watermark_before: beside[1].as_primitive::<Int64Type>().clone(),
            source_row: beside[2].as_primitive::<UInt32Type>().clone(),
            lab: beside.get(3).map(|lab| lab.as_string::<i32>().clone()),
        }))
    }

    /// Rows with the place of each one's source among all rows of these inputs; without labs.
    ///
    /// # Errors
    /// A place beyond the inputs.
    pub fn of_numbered((rows, from): FromRows, inputs: &[RelationRows]) -> Result<SourcedRows> {
        let beside = |column: fn(&RelationRows) -> &dyn Array| -> Result<ArrayRef> {
            let all: Vec<&dyn Array> = inputs.iter().map(column).collect();
            Ok(take(&concat(&all)?, &from, None)?)
        };
        let time = beside(|input| &input.time)?;
        let watermark_before = beside(|input| &input.watermark_before)?;
        let source_row = beside(|input| &input.source_row)?;
        Ok(SourcedRows {
            rows,
            time: time.as_primitive::<Int64Type>().clone(),
            watermark_before: watermark_before.as_primitive::<Int64Type>().clone(),
            source_row: source_row.as_primitive::<UInt32Type>().clone(),
            lab: None,
        })
    }
}
