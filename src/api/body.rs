//! Rows → the bytes of an answer, in the form that was asked for.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::sync::Arc;

use super::form::RowForm;
use super::reading::AnswerRows;

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// As JSON, CSV or Arrow.
    #[error("could not write the rows")]
    Arrow(#[from] ArrowError),
    /// As Parquet.
    #[error("could not write the rows as Parquet")]
    Parquet(#[from] ParquetError),
}

/// The bytes of rows of a table. `next` is where the next page begins; JSON tells it, and for the other
/// forms a header does.
///
/// # Errors
/// Where a column cannot be written in the form.
pub fn bytes(
    form: RowForm,
    table: &str,
    rows: &AnswerRows,
    next: Option<&str>,
) -> Result<Vec<u8>, BodyError> {
    let AnswerRows { schema, batches } = rows;
    let mut out = Vec::new();
    match form {
        RowForm::Json => {
            let mut writer =
                WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
            writer.write_batches(&batches.iter().collect::<Vec<&RecordBatch>>())?;
            writer.finish()?;
            let head = json!({ "table": table, "count": rows.count(), "next": next }).to_string();
            out.extend_from_slice(head.trim_end_matches('}').as_bytes());
            out.extend_from_slice(b",\"rows\":");
            out.extend_from_slice(&writer.into_inner());
            out.extend_from_slice(b"}\n");
        }
        RowForm::Ndjson => {
            let mut writer =
                WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
            writer.write_batches(&batches.iter().collect::<Vec<&RecordBatch>>())?;
            writer.finish()?;
        }
        RowForm::Csv => {
            let mut writer = arrow::csv::Writer::new(&mut out);
            // The header stands there without rows too.
            writer.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
            for batch in batches {
                writer.write(batch)?;
            }
        }
        RowForm::Arrow => {
            let mut writer = StreamWriter::try_new(&mut out, schema)?;
            for batch in batches {
                writer.write(batch)?;
            }
            writer.finish()?;
        }
        RowForm::Parquet => {
            let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
            let properties = WriterProperties::builder().set_compression(compression).build();
            let mut writer = ArrowWriter::try_new(&mut out, Arc::clone(schema), Some(properties))?;
            for batch in batches {
                writer.write(batch)?;
            }
            writer.close()?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::ipc::reader::StreamReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn rows() -> AnswerRows {
        let at = TimestampMicrosecondArray::from(vec![1_772_366_400_000_000; 2]);
        let columns: [(&str, ArrayRef, bool); 4] = [
            ("at", Arc::new(at.with_timezone("UTC")), true),
            ("lab_id", Arc::new(StringArray::from(vec!["so,uth", "\"n\""])), true),
            ("n", Arc::new(Int64Array::from(vec![Some(12), None])), true),
            ("bytes", Arc::new(BinaryArray::from_vec(vec![b"\x01\xff", b""])), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        AnswerRows { schema: batch.schema(), batches: vec![batch] }
    }

    fn none() -> AnswerRows {
        AnswerRows { batches: Vec::new(), ..rows() }
    }

    fn text(form: RowForm, rows: &AnswerRows) -> String {
        String::from_utf8(bytes(form, "t", rows, Some("7b")).unwrap()).unwrap()
    }

    #[test]
    fn texts_are_as_other_tools_read_them() {
        let json: serde_json::Value = serde_json::from_str(&text(RowForm::Json, &rows())).unwrap();
        let at = "2026-03-01T12:00:00Z";
        assert_eq!(
            json,
            serde_json::json!({ "table": "t", "count": 2, "next": "7b", "rows": [
                { "at": at, "lab_id": "so,uth", "n": 12, "bytes": "01ff" },
                { "at": at, "lab_id": "\"n\"", "n": null, "bytes": "" },
            ] })
        );
        assert_eq!(
            text(RowForm::Csv, &rows()),
            "at,lab_id,n,bytes\n2026-03-01T12:00:00Z,\"so,uth\",12,01ff\n\
             2026-03-01T12:00:00Z,\"\"\"n\"\"\",,\n"
        );
        let lines = text(RowForm::Ndjson, &rows());
        assert_eq!(lines.lines().count(), 2);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(lines.lines().next().unwrap()).unwrap(),
            json["rows"][0]
        );
    }

    #[test]
    fn binary_forms_read_back() {
        let arrow = bytes(RowForm::Arrow, "t", &rows(), None).unwrap();
        let read: Vec<RecordBatch> =
            StreamReader::try_new(arrow.as_slice(), None).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, rows().batches);
        let parquet = bytes::Bytes::from(bytes(RowForm::Parquet, "t", &rows(), None).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(read[0].columns(), rows().batches[0].columns());
    }

    #[test]
    fn no_rows_keep_their_columns() {
        assert_eq!(text(RowForm::Csv, &none()), "at,lab_id,n,bytes\n");
        assert_eq!(text(RowForm::Ndjson, &none()), "");
        let json: serde_json::Value = serde_json::from_str(&text(RowForm::Json, &none())).unwrap();
        assert_eq!(
            (&json["rows"], &json["count"]),
            (&serde_json::json!([]), &serde_json::json!(0))
        );
        let arrow = bytes(RowForm::Arrow, "t", &none(), None).unwrap();
        assert_eq!(StreamReader::try_new(arrow.as_slice(), None).unwrap().schema(), rows().schema);
    }
}
