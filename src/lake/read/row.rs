//! One row of an answer, by column name: texts and numbers, whatever Arrow type they had.
//!
//! A column that is absent or null reads as nothing; it is the questions that guarantee columns.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;

use super::{LakeView, LakeViewError};
use crate::flow::Timestamp;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerValue {
    /// Text.
    Text(String),
    /// A number; instants are microseconds since the epoch, which a double holds exactly.
    Number(f64),
    /// Null.
    Null,
}

/// One row of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerRow(BTreeMap<String, AnswerValue>);

impl LakeView {
    /// The rows that a query gives.
    pub async fn rows(&self, sql: &str) -> Result<Vec<AnswerRow>, LakeViewError> {
        self.rows_with(sql, Vec::new()).await
    }

    /// As [`rows`](LakeView::rows), with values for `$1`, `$2` and so on.
    pub async fn rows_with(
        &self,
        sql: &str,
        values: Vec<ScalarValue>,
    ) -> Result<Vec<AnswerRow>, LakeViewError> {
        let frame = self.query_with(sql, values).await?;
        let batches = frame.collect().await.map_err(LakeViewError::Run)?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(rows_of(batch).map_err(|error| LakeViewError::Run(error.into()))?);
        }
        Ok(rows)
    }
}

impl AnswerRow {
    /// A row of named values.
    pub fn new(cells: impl IntoIterator<Item = (String, AnswerValue)>) -> AnswerRow {
        AnswerRow(cells.into_iter().collect())
    }

    /// A text; nothing where it is null.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.0.get(column)? {
            AnswerValue::Text(text) => Some(text),
            AnswerValue::Number(_) | AnswerValue::Null => None,
        }
    }

    /// A text as its own; empty where it is null.
    pub fn string(&self, column: &str) -> String {
        self.text(column).unwrap_or_default().to_owned()
    }

    /// A number; nothing where it is null.
    pub fn number(&self, column: &str) -> Option<f64> {
        match self.0.get(column)? {
            AnswerValue::Number(number) if number.is_finite() => Some(*number),
            AnswerValue::Number(_) | AnswerValue::Text(_) | AnswerValue::Null => None,
        }
    }

    /// A count; 0 where it is null.
    pub fn count(&self, column: &str) -> u64 {
        self.number(column).unwrap_or_default().max(0.0) as u64
    }

    /// An instant.
    pub fn time(&self, column: &str) -> Option<Timestamp> {
        self.number(column).map(|micros| Timestamp(micros as i64))
    }
}

/// A batch's rows: numbers as doubles, everything else as text.
///
/// # Errors
/// Where a column can be neither.
pub fn rows_of(batch: &RecordBatch) -> Result<Vec<AnswerRow>, ArrowError> {
    let schema = batch.schema();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let wanted =
            if field.data_type().is_numeric() { DataType::Float64 } else { DataType::Utf8 };
        columns.push((field.name(), cast(column, &wanted)?));
    }
    let row = |place: usize| {
        let cells = columns.iter();
        AnswerRow::new(cells.map(|(name, column)| ((*name).to_owned(), cell(column, place))))
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn cell(column: &ArrayRef, place: usize) -> AnswerValue {
    if column.is_null(place) {
        return AnswerValue::Null;
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return AnswerValue::Number(numbers.value(place));
    }
    match column.as_string_opt::<i32>() {
        Some(texts) => AnswerValue::Text(texts.value(place).to_owned()),
        None => AnswerValue::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_column_reads_as_what_it_is_and_never_as_something_else() {
        let row = AnswerRow::new([
            ("lab".to_owned(), AnswerValue::Text("lab-1".to_owned())),
            ("n".to_owned(), AnswerValue::Number(12.0)),
            ("p90".to_owned(), AnswerValue::Null),
            ("bad".to_owned(), AnswerValue::Number(f64::NAN)),
            ("at".to_owned(), AnswerValue::Number(1_772_323_200_000_000.0)),
        ]);
        assert_eq!(row.text("lab"), Some("lab-1"));
        assert_eq!((row.count("n"), row.number("lab"), row.text("n")), (12, None, None));
        assert_eq!((row.number("p90"), row.number("bad"), row.count("absent")), (None, None, 0));
        assert_eq!(row.time("at"), Some(Timestamp(1_772_323_200_000_000)));
    }

    #[test]
    fn numbers_become_numbers_and_nulls_stay_nulls() {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("lab_id", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef, true),
            ("n", Arc::new(Int64Array::from(vec![Some(7), None])) as ArrayRef, true),
        ])
        .unwrap();
        let rows = rows_of(&batch).unwrap();
        assert_eq!((rows[0].text("lab_id"), rows[0].number("n")), (Some("a"), Some(7.0)));
        assert_eq!((rows[1].text("lab_id"), rows[1].number("n")), (None, None));
    }
}
