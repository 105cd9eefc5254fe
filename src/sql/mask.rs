//! Conditions on rows as masks.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::prep_null_mask_filter;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

/// Where a predicate is true; null counts as false.
pub fn mask(predicate: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
    let value = predicate.evaluate(rows)?.into_array(rows.num_rows())?;
    let mask = value.as_boolean();
    Ok(if mask.nulls().is_some() { prep_null_mask_filter(mask) } else { mask.clone() })
}
