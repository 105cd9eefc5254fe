//! Columns of rows that are few: texts are written out.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;

use super::column::RelationColumn;
use crate::flow::coded::with_columns;

/// The needed columns; what is not made is null.
pub(super) fn rows_of(
    count: usize,
    (columns, needed): (&[RelationColumn], &[usize]),
    make: &dyn Fn(&str) -> Option<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let needed = columns.iter().enumerate().filter(|(place, _)| needed.contains(place));
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (_, column) in needed {
        let made = make(column.name);
        arrays.push(made.unwrap_or_else(|| new_null_array(&column.data_type(), count)));
        fields.push(Field::new(column.name, column.data_type(), true));
    }
    with_columns(&Arc::new(Schema::new(fields)), arrays, count)
}

pub(super) fn texts<R>(rows: &[R], of: impl Fn(&R) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringArray>())
}

pub(super) fn floats<R>(rows: &[R], of: impl Fn(&R) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<Float64Array>())
}

pub(super) fn truths<R>(rows: &[R], of: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<BooleanArray>())
}

/// Of microseconds.
pub(super) fn instants(times: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}
