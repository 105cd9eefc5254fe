//! Objects and a query's filters → the objects of the days that it asks for.
//!
//! The `date` of a row is the day in its object's name, so what a filter says of `date` alone is decided
//! without opening an object. Nothing is decided by any other column, and nothing of what fired beside a
//! window's rows: at midnight alerts are told of that began the day before.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use object_store::ObjectMeta;

use super::choose::TableObject;
use crate::flow::epoch_day;
use crate::flow::lake_key::LakeKey;

/// The column that every table has: the day in the object's name.
pub const DATE: &str = "date";

/// Whether the rows of an object are of the day in its name.
pub fn is_dated(key: &LakeKey) -> bool {
    match key {
        LakeKey::Settled { .. }
        | LakeKey::Live { .. }
        | LakeKey::Ending { .. }
        | LakeKey::Rows { .. }
        | LakeKey::Input { .. } => true,
        LakeKey::Aside { .. } => false,
    }
}

/// The objects that may hold rows which pass all filters.
pub(super) fn of_days(
    objects: &[TableObject],
    schema: &Schema,
    filters: &[Expr],
    state: &dyn Session,
) -> DataFusionResult<Vec<ObjectMeta>> {
    let all = || objects.iter().map(|object| object.meta.clone()).collect();
    let on_date = filters.iter().filter(|filter| is_of_date(filter)).cloned();
    let Some(filter) = conjunction(on_date) else { return Ok(all()) };
    if !is_date(schema) || objects.is_empty() {
        return Ok(all());
    }
    let dates = objects.iter().map(|object| epoch_day(object.key.date()));
    let dates = Arc::new(Date32Array::from_iter_values(dates));
    let column = Arc::new(Schema::new(vec![Field::new(DATE, DataType::Date32, true)]));
    let rows = RecordBatch::try_new(Arc::clone(&column), vec![dates])?;
    let filter = state.create_physical_expr(filter, &DFSchema::try_from(column)?)?;
    let passed = filter.evaluate(&rows)?.into_array(rows.num_rows())?;
    let passed = passed.as_boolean();
    let within = objects.iter().enumerate();
    let within = within.filter(|(place, object)| {
        !is_dated(&object.key) || passed.is_valid(*place) && passed.value(*place)
    });
    Ok(within.map(|(_, object)| object.meta.clone()).collect())
}

/// Whether the objects alone decide which rows are of a day.
pub(super) fn is_by_day(objects: &[TableObject], schema: &Schema) -> bool {
    is_date(schema) && objects.iter().all(|object| is_dated(&object.key))
}

fn is_date(schema: &Schema) -> bool {
    let date = schema.column_with_name(DATE);
    date.is_some_and(|(_, field)| *field.data_type() == DataType::Date32)
}

/// Whether a filter asks for nothing but the day.
pub(super) fn is_of_date(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| column.name == DATE) && !filter.is_volatile()
}
