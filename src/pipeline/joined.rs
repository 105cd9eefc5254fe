//! Rows of one relation that several have told of, put together in the order of what brought them about.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat, concat_batches, take, take_record_batch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use crate::flow::coded::plain_rows;
use crate::sql::plan::relation_rows::RelationRows;

/// Parts of one relation, none of which is barred, as one; none where there is no part.
///
/// # Errors
/// When they are not of the same columns, which is a fault of ours.
pub(super) fn joined(mut parts: Vec<RelationRows>) -> Result<Option<RelationRows>> {
    parts.sort_by_key(|part| part.rows.num_rows() == 0);
    let filled = parts.iter().filter(|part| part.rows.num_rows() > 0).count();
    let Some(first) = parts.first() else { return Ok(None) };
    if filled < 2 {
        return Ok(Some(first.clone()));
    }
    let parts = &parts[..filled];
    let rows = parts.iter().map(|part| Ok(plain_rows(&part.rows)?));
    let rows = rows.collect::<Result<Vec<RecordBatch>>>()?;
    let rows = concat_batches(rows[0].schema_ref(), &rows)?;
    let all = |column: &dyn Fn(&RelationRows) -> ArrayRef| -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = parts.iter().map(column).collect();
        let columns: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
        Ok(concat(&columns)?)
    };
    let sources = all(&|part| Arc::new(part.source_row.clone()))?;
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(|row| sources.as_primitive::<UInt32Type>().value(*row as usize));
    let order = UInt32Array::from(order);
    let in_order = |column: &ArrayRef| -> Result<ArrayRef> { Ok(take(column, &order, None)?) };
    let time = in_order(&all(&|part| Arc::new(part.time.clone()))?)?;
    let stood = in_order(&all(&|part| Arc::new(part.watermark_before.clone()))?)?;
    let lab = match parts.iter().all(|part| part.lab.is_some()) {
        true => {
            let labs = all(&|part| Arc::new(part.lab.clone().unwrap_or_else(no_labs)))?;
            Some(in_order(&labs)?.as_string::<i32>().clone())
        }
        false => None,
    };
    Ok(Some(RelationRows {
        relation: Arc::clone(&first.relation),
        rows: take_record_batch(&rows, &order)?,
        time: time.as_primitive::<Int64Type>().clone(),
        watermark_before: stood.as_primitive::<Int64Type>().clone(),
        source_row: in_order(&sources)?.as_primitive::<UInt32Type>().clone(),
        lab,
        barred: None,
    }))
}

fn no_labs() -> StringArray {
    StringArray::new_null(0)
}
