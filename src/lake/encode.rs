//! Rows and what is known about them → the bytes of one Parquet object.
//!
//! Pure: the same rows and notes give the same bytes, however the rows are divided into batches.
//! So row groups are cut at fixed row numbers, `created_by` is pinned, and there is no clock and
//! no random name. Columns are stored in types that every BI reader understands; a column that
//! has no such type is refused by name. Choosing the object's name and putting it somewhere is
//! not done here.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;

use super::pieces::Pieces;
use super::row_group::{encode_columns, row_groups};
use super::row_hash::{RowHash, RowHasher};
use crate::flow::{OffsetRange, Partition};

/// Rows per row group: large enough to compress, small enough to skip by statistics.
pub const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Raised when names or hashes in the footer change their meaning.
const FORMAT: &str = "1";
/// Measured over a million rows of codes, ids, counts and durations: level 3 took a fifth longer
/// and made 6 % more bytes.
const ZSTD_LEVEL: i32 = 1;
/// A column of more distinct values than fit into this is stored without a dictionary. With the
/// library's 1 MiB ids and durations that hardly repeat became 15 % larger.
const DICTIONARY_BYTES: usize = 64 * 1024;

/// Up to so many rows a column is stored as it is. A page for its dictionary, the frame of its
/// compression and statistics that no reader needs to skip so little would cost more bytes than they
/// save where there are a few rows, and most of the time; of 19 rows in 11 columns they would save
/// 760 bytes.
const SMALL_ROWS: usize = 64;

/// Footer key of the row hash.
pub const ROW_HASH_KEY: &str = "turnaround.row_hash";

/// What a column means; goes into the Arrow field and the footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnNote {
    /// For people.
    pub description: String,
    /// As `min`, `%` or nothing.
    pub unit: Option<String>,
    /// Whether sums over disjoint windows or groups are right.
    pub additive: Option<bool>,
}

/// What is known about an object beside its rows; goes into the footer.
#[derive(Clone, Debug, Default)]
pub struct ObjectNotes {
    /// The table, or the section of the lake.
    pub table: String,
    /// What the table holds, for people.
    pub description: String,
    /// Fingerprint of the SQL and everything it depends on.
    pub sql_fingerprint: String,
    /// The revision of the window or day.
    pub revision: u32,
    /// Where in the input the rows come from.
    pub offsets: Vec<(Partition, OffsetRange)>,
    /// Notes on columns, by name.
    pub columns: BTreeMap<String, ColumnNote>,
}

/// The bytes of one object.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The Parquet file, in pieces.
    pub pieces: Vec<Bytes>,
    /// How many rows it holds.
    pub rows: usize,
    /// The hash of the rows, as in the footer.
    pub row_hash: RowHash,
}

/// Why rows cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No batch, so the columns are unknown.
    #[error("no batch to encode, not even an empty one, so the columns are unknown")]
    NoBatch,
    /// Two columns of one name.
    #[error("column `{column}` appears twice; give one of them another name with AS")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// Batches whose columns differ.
    #[error("batches of one object have different columns")]
    MixedSchemas,
    /// A type that BI readers do not understand.
    #[error("column `{column}` has type {data_type}, which the lake does not store; {remedy}")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
        /// What to write instead.
        remedy: &'static str,
    },
    /// A value that does not fit the stored type.
    #[error("a value of column `{column}` does not fit into {stored}")]
    OutOfRange {
        /// The column.
        column: String,
        /// The type it should have been stored as.
        stored: DataType,
        /// What Arrow said.
        source: ArrowError,
    },
    /// The rows could not be had.
    #[error("could not read the rows that wait to be stored")]
    Rows(#[source] RowsError),
    /// The Arrow library failed.
    #[error("could not put the rows together")]
    Arrow(#[from] ArrowError),
    /// The Parquet library failed.
    #[error("could not encode the rows as Parquet")]
    Parquet(#[from] ParquetError),
}

/// Why rows could not be had.
pub type RowsError = Box<dyn std::error::Error + Send + Sync>;

/// Rows to encode, batch by batch as they are asked for: all with the same columns, and at least
/// one batch, maybe an empty one.
pub type Rows = Box<dyn Iterator<Item = Result<RecordBatch, RowsError>> + Send>;

/// Encodes rows as one Parquet file. `batches` holds at least one batch, maybe an empty one.
pub fn encode(batches: &[RecordBatch], notes: &ObjectNotes) -> Result<Encoded, EncodeError> {
    encode_rows(batches.iter().cloned().map(Ok), notes)
}

/// Encodes rows as one Parquet file. Of the rows, those of one row group are held at once.
pub fn encode_rows(
    rows: impl Iterator<Item = Result<RecordBatch, RowsError>>,
    notes: &ObjectNotes,
) -> Result<Encoded, EncodeError> {
    let mut rows = rows.peekable();
    let given = match rows.peek() {
        Some(Ok(batch)) => batch.schema(),
        Some(Err(_)) | None => {
            let error = rows.next().and_then(Result::err);
            return Err(error.map_or(EncodeError::NoBatch, EncodeError::Rows));
        }
    };
    let stored = stored_schema(&given)?;
    let schema = with_notes(&stored, notes);
    let batches = rows.map(|batch| cast_batch(&batch.map_err(EncodeError::Rows)?, &given, &stored));
    let mut groups = row_groups(&schema, ROW_GROUP_ROWS, batches).peekable();
    let small = match groups.peek() {
        Some(Ok(group)) => group.num_rows() <= SMALL_ROWS,
        Some(Err(_)) | None => true,
    };
    // What the footer says of the rows is known at the end, so all of it is written then.
    let options = ArrowWriterOptions::new()
        .with_properties(writer_properties(small)?)
        .with_skip_arrow_metadata(true);
    let writer =
        ArrowWriter::try_new_with_options(Pieces::default(), Arc::clone(&schema), options)?;
    let (mut file, columns) = writer.into_serialized_writer()?;
    let mut hash = RowHasher::new(&schema);
    for (number, group) in groups.enumerate() {
        let group = group?;
        hash.update(&group);
        let chunks = encode_columns(&group, columns.create_column_writers(number)?)?;
        let mut row_group = file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
    }
    let rows = hash.rows();
    let row_hash = hash.finish(&schema);
    for entry in footer(&schema, notes, row_hash) {
        file.append_key_value_metadata(entry);
    }
    Ok(Encoded { pieces: file.into_inner()?.finish(), rows, row_hash })
}

/// The batches with every column in its [`stored_type`].
pub fn to_stored(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, EncodeError> {
    let given = batches.first().ok_or(EncodeError::NoBatch)?.schema();
    let schema = stored_schema(&given)?;
    batches.iter().map(|batch| cast_batch(batch, &given, &schema)).collect()
}

/// The columns with their [`stored_type`].
fn stored_schema(given: &SchemaRef) -> Result<SchemaRef, EncodeError> {
    let mut fields: Vec<Field> = Vec::with_capacity(given.fields().len());
    for field in given.fields() {
        if fields.iter().any(|earlier| earlier.name() == field.name()) {
            return Err(EncodeError::DuplicateColumn { column: field.name().clone() });
        }
        // Whether a planner can prove a column never null must not change the bytes.
        fields.push(Field::new(field.name(), stored_type(field)?, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn cast_batch(
    batch: &RecordBatch,
    given: &SchemaRef,
    stored: &SchemaRef,
) -> Result<RecordBatch, EncodeError> {
    let same =
        |(a, b): (&Arc<Field>, &Arc<Field>)| a.name() == b.name() && a.data_type() == b.data_type();
    let fields = batch.schema_ref().fields();
    if fields.len() != given.fields().len() || !fields.iter().zip(given.fields()).all(same) {
        return Err(EncodeError::MixedSchemas);
    }
    let columns: Vec<ArrayRef> = stored
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| cast_column(field, column))
        .collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(stored), columns)?)
}

fn cast_column(field: &Field, column: &ArrayRef) -> Result<ArrayRef, EncodeError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, field.data_type(), &options).map_err(|source| {
        EncodeError::OutOfRange {
            column: field.name().clone(),
            stored: field.data_type().clone(),
            source,
        }
    })
}

/// The type in which the lake stores a column: plain strings, microseconds, signed integers.
///
/// An instant is stored in UTC whatever its zone. A timestamp without a zone is a local wall time
/// and stays one: to call it UTC would make it wrong.
pub fn stored_type(field: &Field) -> Result<DataType, EncodeError> {
    let refuse = |remedy| {
        Err(EncodeError::UnsupportedType {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
            remedy,
        })
    };
    let micros = TimeUnit::Microsecond;
    Ok(match field.data_type() {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int32,
        DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            DataType::Decimal128(*p, *s)
        }
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(micros, Some("UTC".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(micros, None),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(micros),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            DataType::Utf8
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) => {
            return stored_type(&Field::new(field.name(), value.as_ref().clone(), true));
        }
        DataType::RunEndEncoded(_, value) => {
            return stored_type(&Field::new(field.name(), value.data_type().clone(), true));
        }
        DataType::Duration(_) | DataType::Interval(_) => {
            return refuse("make it a number with its unit in the name, as tat_minutes");
        }
        DataType::Decimal256(_, _) => return refuse("cast it to DECIMAL(38, …) or DOUBLE"),
        DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(_, _)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(_, _)
        | DataType::Map(_, _) => {
            return refuse("give each part a column of its own, or make rows of it with unnest");
        }
    })
}

/// The schema with each column's note in its Arrow metadata.
fn with_notes(schema: &SchemaRef, notes: &ObjectNotes) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match notes.columns.get(field.name()) {
            Some(note) => field.as_ref().clone().with_metadata(note_metadata(note)),
            None => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn note_metadata(note: &ColumnNote) -> HashMap<String, String> {
    let description = Some(note.description.clone()).filter(|text| !text.is_empty());
    let additive = note.additive.map(|additive| additive.to_string());
    [("description", description), ("unit", note.unit.clone()), ("additive", additive)]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn writer_properties(small: bool) -> Result<WriterProperties, EncodeError> {
    let (compression, statistics) = match small {
        true => (Compression::UNCOMPRESSED, EnabledStatistics::None),
        false => (Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?), EnabledStatistics::Chunk),
    };
    Ok(WriterProperties::builder()
        .set_created_by("turnaround".to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_dictionary_enabled(!small)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(small)
        .build())
}

/// The footer's entries, in a fixed order.
fn footer(schema: &Schema, notes: &ObjectNotes, row_hash: RowHash) -> Vec<KeyValue> {
    let mut offsets: Vec<_> = notes.offsets.iter().collect();
    offsets.sort_by_key(|(partition, range)| (partition.clone(), range.from));
    let offsets: Vec<_> = offsets
        .iter()
        .map(|(partition, range)| {
            json!({
                "topic": partition.topic.as_ref(),
                "partition": partition.index,
                "from": range.from.0,
                "to": range.to.0,
            })
        })
        .collect();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .filter_map(|field| Some((field.name(), notes.columns.get(field.name())?)))
        .map(|(name, note)| {
            json!({
                "name": name,
                "description": note.description,
                "unit": note.unit,
                "additive": note.additive,
            })
        })
        .collect();
    let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let mut entries = vec![
        entry("turnaround.format", FORMAT.to_owned()),
        entry("turnaround.table", notes.table.clone()),
        entry("turnaround.description", notes.description.clone()),
        entry("turnaround.sql_fingerprint", notes.sql_fingerprint.clone()),
        entry("turnaround.revision", notes.revision.to_string()),
        entry(ROW_HASH_KEY, row_hash.to_string()),
        entry("turnaround.offsets", json!(offsets).to_string()),
        entry("turnaround.columns", json!(columns).to_string()),
    ];
    let says_nothing = |entry: &KeyValue| matches!(entry.value.as_deref(), Some("" | "[]"));
    entries.retain(|entry| !says_nothing(entry));
    // The Arrow schema says nothing that Parquet's own does not, but for the columns' notes.
    if !notes.columns.is_empty() {
        entries.push(entry(ARROW_SCHEMA_META_KEY, encode_arrow_schema(schema)));
    }
    entries
}

impl Encoded {
    /// How many bytes there are.
    pub fn size(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::concat_batches;

    use arrow::array::{
        Array, AsArray, BinaryViewArray, BooleanArray, Date32Array, DictionaryArray,
        DurationSecondArray, Float64Array, Int64Array, ListArray, RecordBatchReader, StringArray,
        StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// 300,000 rows: more than two row groups.
    fn many_rows() -> RecordBatch {
        let n = 300_000_i64;
        let labs = (0..n).map(|i| format!("lab-{}", i % 7));
        let minutes = (0..n).map(|i| if i % 11 == 0 { None } else { Some(i as f64 / 3.0) });
        batch(vec![
            ("n", Arc::new(Int64Array::from_iter_values(0..n))),
            ("lab_id", Arc::new(StringArray::from_iter_values(labs))),
            ("p90_minutes", Arc::new(Float64Array::from_iter(minutes))),
        ])
    }

    fn cut(batch: &RecordBatch, lengths: &[usize]) -> Vec<RecordBatch> {
        let mut at = 0;
        let mut parts = Vec::new();
        for &length in lengths {
            parts.push(batch.slice(at, length));
            at += length;
        }
        parts.push(batch.slice(at, batch.num_rows() - at));
        parts
    }

    fn notes() -> ObjectNotes {
        let note = ColumnNote {
            description: "90th percentile of receipt to verification".to_owned(),
            unit: Some("min".to_owned()),
            additive: Some(false),
        };
        let partition = |index| Partition { topic: Arc::from("events"), index };
        let range =
            |from, to| OffsetRange { from: crate::flow::Offset(from), to: crate::flow::Offset(to) };
        ObjectNotes {
            table: "tat_percentiles_1h".to_owned(),
            description: "Rolling percentiles".to_owned(),
            sql_fingerprint: "00c0ffee".to_owned(),
            revision: 1,
            offsets: vec![(partition(1), range(5, 9)), (partition(0), range(0, 3))],
            columns: BTreeMap::from([("p90_minutes".to_owned(), note)]),
        }
    }

    fn whole(encoded: &Encoded) -> Bytes {
        Bytes::from(encoded.pieces.concat())
    }

    fn reader(bytes: &Bytes) -> ParquetRecordBatchReader {
        ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap()
    }

    fn read_back(bytes: &Bytes) -> RecordBatch {
        let batches: Vec<RecordBatch> = reader(bytes).map(Result::unwrap).collect();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_however_they_are_divided() {
        let rows = many_rows();
        let expected = encode(std::slice::from_ref(&rows), &notes()).unwrap();
        for lengths in [vec![0, 1, 0, 131_071, 5], vec![100_000; 2], vec![131_072, 131_072]] {
            let encoded = encode(&cut(&rows, &lengths), &notes()).unwrap();
            assert_eq!(whole(&encoded), whole(&expected), "{lengths:?}");
            assert_eq!(encoded.row_hash, expected.row_hash);
        }
        assert_eq!(expected.rows, 300_000);
        let read = read_back(&whole(&expected));
        for (column, other) in rows.columns().iter().zip(read.columns()) {
            assert_eq!(column, other);
        }
    }

    #[test]
    fn the_file_is_as_pinned() {
        let encoded = encode(&[many_rows()], &notes()).unwrap();
        let file = SerializedFileReader::new(whole(&encoded)).unwrap();
        let metadata = file.metadata();
        assert_eq!(metadata.file_metadata().created_by(), Some("turnaround"));
        let groups: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [131_072, 131_072, 37_856]);
        for column in metadata.row_group(0).columns() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)));
            assert!(column.statistics().is_some());
        }
        assert!(metadata.row_group(0).column(1).dictionary_page_offset().is_some());
        let entries = metadata.file_metadata().key_value_metadata().unwrap();
        let value = |key: &str| {
            let entry = entries.iter().find(|entry| entry.key == key).unwrap();
            entry.value.clone().unwrap()
        };
        assert_eq!(value("turnaround.table"), "tat_percentiles_1h");
        assert_eq!(value("turnaround.sql_fingerprint"), "00c0ffee");
        assert_eq!(value("turnaround.revision"), "1");
        assert_eq!(value("turnaround.row_hash"), encoded.row_hash.to_string());
        assert_eq!(
            value("turnaround.offsets"),
            r#"[{"from":0,"partition":0,"to":3,"topic":"events"},{"from":5,"partition":1,"to":9,"topic":"events"}]"#
        );
        let schema = reader(&whole(&encoded)).schema();
        let field = schema.field_with_name("p90_minutes").unwrap();
        assert_eq!(field.metadata()["unit"], "min");
        assert_eq!(field.metadata()["additive"], "false");
    }

    #[test]
    fn notes_change_the_bytes_but_not_the_hash() {
        let rows = [many_rows()];
        let with = encode(&rows, &notes()).unwrap();
        let without = encode(&rows, &ObjectNotes::default()).unwrap();
        assert_eq!(with.row_hash, without.row_hash);
        assert_ne!(whole(&with), whole(&without));
    }

    #[test]
    fn columns_are_stored_in_types_that_readers_know() {
        let dictionary: DictionaryArray<Int32Type> = ["K", "WBC"].into_iter().collect();
        // 1970-01-01T00:00:01.000001999Z keeps its microseconds.
        let nanos = vec![1_000_001_999, 0];
        let berlin = TimestampNanosecondArray::from(nanos).with_timezone("Europe/Berlin");
        let rows = batch(vec![
            ("dictionary", Arc::new(dictionary)),
            ("view", Arc::new(StringViewArray::from(vec!["a", "b"]))),
            ("bytes", Arc::new(BinaryViewArray::from(vec![b"\xff".as_slice(), b""]))),
            ("unsigned", Arc::new(UInt64Array::from(vec![1, 2]))),
            ("instant", Arc::new(berlin)),
            ("local", Arc::new(TimestampMicrosecondArray::from(vec![7, 8]))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
            ("date", Arc::new(Date32Array::from(vec![0, 1]))),
            ("nothing", arrow::array::new_null_array(&DataType::Null, 2)),
        ]);
        let encoded = encode(&[rows], &ObjectNotes::default()).unwrap();
        let read = read_back(&whole(&encoded));
        let types: Vec<DataType> =
            read.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        let micros = TimeUnit::Microsecond;
        let expected = [
            DataType::Utf8,
            DataType::Utf8,
            DataType::Binary,
            DataType::Int64,
            DataType::Timestamp(micros, Some("UTC".into())),
            DataType::Timestamp(micros, None),
            DataType::Boolean,
            DataType::Date32,
            DataType::Utf8,
        ];
        assert_eq!(types, expected);
        assert_eq!(read.column(0).as_string::<i32>().value(1), "WBC");
        assert_eq!(read.column(4).as_primitive::<TimestampMicrosecondType>().value(0), 1_000_001);
        assert_eq!(read.column(8).null_count(), 2);
    }

    fn fault(columns: Vec<(&str, ArrayRef)>) -> String {
        encode(&[batch(columns)], &ObjectNotes::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_stored_is_refused_by_name() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        assert!(fault(vec![("codes", Arc::new(list))]).starts_with("column `codes` has type List"));
        let wait = Arc::new(DurationSecondArray::from(vec![1]));
        assert!(fault(vec![("wait", wait)]).contains("as tat_minutes"));
        let huge = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert_eq!(fault(vec![("n", huge)]), "a value of column `n` does not fit into Int64");
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(fault(vec![("n", Arc::clone(&one)), ("n", one)]).contains("`n` appears twice"));
        assert!(matches!(encode(&[], &ObjectNotes::default()), Err(EncodeError::NoBatch)));
    }

    #[test]
    fn no_rows_are_a_file_with_columns() {
        let empty = many_rows().slice(0, 0);
        let encoded = encode(&[empty], &ObjectNotes::default()).unwrap();
        assert_eq!(encoded.rows, 0);
        assert_eq!(reader(&whole(&encoded)).schema().fields().len(), 3);
    }

    #[test]
    fn batches_with_other_columns_are_refused() {
        let one = batch(vec![("n", Arc::new(Int64Array::from(vec![1])))]);
        let other = batch(vec![("m", Arc::new(Int64Array::from(vec![1])))]);
        let error = encode(&[one, other], &ObjectNotes::default()).unwrap_err();
        assert!(matches!(error, EncodeError::MixedSchemas));
    }
}
