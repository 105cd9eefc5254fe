//! The lake → answers and sizes: the reading edge of the demo.

use anyhow::Context as _;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::question::Question;
use super::reading::Answers;
use super::row::{AnswerRow, AnswerValue};
use super::terminal::Stored;
use crate::flow::lake_key::Section;
use crate::lake::Lake;
use crate::lake::view::LakeView;

/// Asks every question.
pub async fn ask(view: &LakeView) -> anyhow::Result<Answers> {
    let mut answers = Answers::new();
    for question in Question::ALL {
        let rows = asked(view, question.sql()).await;
        let rows = rows.with_context(|| format!("could not ask the lake for {question:?}"))?;
        answers.insert(question, rows);
    }
    Ok(answers)
}

/// Rows, objects and bytes of every table, and of the archive.
pub async fn sizes(
    lake: &Lake,
    view: &LakeView,
    tables: impl IntoIterator<Item = String>,
) -> anyhow::Result<Vec<Stored>> {
    let mut sizes = Vec::new();
    for table in tables {
        let objects = lake.settled_days(&table).await?;
        let rows = count(view, &table).await?;
        let bytes = objects.iter().map(|object| object.size).sum();
        sizes.push(Stored { name: table, rows, objects: objects.len() as u64, bytes });
    }
    let archive = Section::Events.as_str();
    let objects = lake.list(archive).await?;
    let rows = count(view, archive).await?;
    let bytes = objects.iter().map(|object| object.size).sum();
    let name = format!("{archive} (the archive)");
    sizes.push(Stored { name, rows, objects: objects.len() as u64, bytes });
    Ok(sizes)
}

async fn count(view: &LakeView, table: &str) -> anyhow::Result<u64> {
    let rows = asked(view, &format!("SELECT count(*) AS n FROM {table}")).await;
    let rows = rows.with_context(|| format!("could not count the rows of `{table}`"))?;
    Ok(rows.first().map_or(0, |row| row.count("n")))
}

async fn asked(view: &LakeView, sql: &str) -> anyhow::Result<Vec<AnswerRow>> {
    let batches = view.query(sql).await?.collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(rows_of(batch)?);
    }
    Ok(rows)
}

/// A batch's rows: numbers as doubles, everything else as text.
fn rows_of(batch: &RecordBatch) -> anyhow::Result<Vec<AnswerRow>> {
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
