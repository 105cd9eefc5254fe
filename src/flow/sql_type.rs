//! Column types by the names that SQL has for them.

use arrow::datatypes::{DataType, TimeUnit};

/// A type as SQL calls it.
pub fn sql_type(kind: &DataType) -> String {
    let name = match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Int64 => "BIGINT",
        DataType::Int32 => "INT",
        DataType::Float64 => "DOUBLE",
        DataType::Boolean => "BOOLEAN",
        DataType::Date32 => "DATE",
        DataType::Binary => "BLOB",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP (UTC)",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP",
        other => return other.to_string(),
    };
    name.to_owned()
}
