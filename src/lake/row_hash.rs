//! A hash of rows by what they say, column by column.
//!
//! It depends on the columns' names, types and values and on the order of the rows. It does not
//! depend on how the rows are divided into batches, on what stands in memory beneath a null, on
//! metadata, or on the Parquet encoder; so two writers that computed the same rows agree.

use std::fmt;
use std::str::FromStr;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, RecordBatch};
use arrow::datatypes::{BinaryType, ByteArrayType, DataType, Schema, TimeUnit, Utf8Type};
use xxhash_rust::xxh3::Xxh3;

/// 128 bits of XXH3 over rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowHash(pub u128);

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RowHash {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<RowHash, Self::Err> {
        u128::from_str_radix(text, 16).map(RowHash)
    }
}

/// Hashes rows as they come, whose columns have the types that the lake stores
/// ([`stored_type`](super::encode::stored_type)); other columns count by name and type only.
pub struct RowHasher {
    rows: usize,
    columns: Vec<ColumnHash>,
}

impl RowHasher {
    /// No rows yet, of these columns.
    pub fn new(schema: &Schema) -> RowHasher {
        let columns = schema.fields().iter().map(|_| ColumnHash::default());
        RowHasher { rows: 0, columns: columns.collect() }
    }

    /// The next rows.
    pub fn update(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for (hash, column) in self.columns.iter_mut().zip(batch.columns()) {
            hash.update(column);
        }
    }

    /// How many rows there have been.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The hash of all of them.
    pub fn finish(self, schema: &Schema) -> RowHash {
        let mut whole = Xxh3::new();
        update_number(&mut whole, self.rows);
        for (field, column) in schema.fields().iter().zip(&self.columns) {
            update_text(&mut whole, field.name());
            update_text(&mut whole, &type_tag(field.data_type()));
            for part in [&column.nulls, &column.values, &column.lengths] {
                whole.update(&part.digest128().to_le_bytes());
            }
        }
        RowHash(whole.digest128())
    }
}

fn update_number(hasher: &mut Xxh3, number: usize) {
    hasher.update(&(number as u64).to_le_bytes());
}

fn update_text(hasher: &mut Xxh3, text: &str) {
    update_number(hasher, text.len());
    hasher.update(text.as_bytes());
}

/// A name of the type that does not change with the Arrow version.
fn type_tag(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp[us]".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => format!("timestamp[us,{zone}]"),
        DataType::Decimal128(precision, scale) => format!("decimal[{precision},{scale}]"),
        DataType::Boolean => "bool".to_owned(),
        DataType::Int8 => "int8".to_owned(),
        DataType::Int16 => "int16".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float32 => "float32".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        other => other.to_string(),
    }
}

/// Three independent streams per column, each fed in the order of the rows.
#[derive(Default)]
struct ColumnHash {
    /// Rows seen so far.
    rows: usize,
    /// The number of each row that is null.
    nulls: Xxh3,
    /// The bytes of the values that are not null.
    values: Xxh3,
    /// The byte lengths of the values that are not null, for types of variable width.
    lengths: Xxh3,
}

impl ColumnHash {
    fn update(&mut self, array: &ArrayRef) {
        let runs = valid_runs(array);
        self.update_nulls(&runs, array.len());
        match array.data_type() {
            DataType::Boolean => {
                let bits = array.as_boolean().values();
                let rows = runs.iter().flat_map(|&(start, end)| start..end);
                let bytes: Vec<u8> = rows.map(|row| u8::from(bits.value(row))).collect();
                self.values.update(&bytes);
            }
            DataType::Utf8 => self.update_bytes::<Utf8Type>(array.as_string(), &runs),
            DataType::Binary => self.update_bytes::<BinaryType>(array.as_binary(), &runs),
            other => {
                if let Some(width) = other.primitive_width() {
                    self.update_fixed(array, width, &runs);
                }
            }
        }
        self.rows += array.len();
    }

    fn update_nulls(&mut self, runs: &[(usize, usize)], len: usize) {
        let mut missing = Vec::new();
        let mut next = 0;
        for &(start, end) in runs.iter().chain([&(len, len)]) {
            for row in next..start {
                missing.extend_from_slice(&((self.rows + row) as u64).to_le_bytes());
            }
            next = end;
        }
        self.nulls.update(&missing);
    }

    fn update_fixed(&mut self, array: &ArrayRef, width: usize, runs: &[(usize, usize)]) {
        let data = array.to_data();
        let Some(buffer) = data.buffers().first() else { return };
        let bytes = &buffer.as_slice()[data.offset() * width..];
        for &(start, end) in runs {
            self.values.update(&bytes[start * width..end * width]);
        }
    }

    fn update_bytes<T: ByteArrayType<Offset = i32>>(
        &mut self,
        array: &GenericByteArray<T>,
        runs: &[(usize, usize)],
    ) {
        let offsets = array.value_offsets();
        let mut lengths = Vec::with_capacity(array.len() * size_of::<i32>());
        for &(start, end) in runs {
            let first = offsets[start].unsigned_abs() as usize;
            let last = offsets[end].unsigned_abs() as usize;
            self.values.update(&array.value_data()[first..last]);
            for pair in offsets[start..=end].windows(2) {
                lengths.extend_from_slice(&(pair[1] - pair[0]).to_le_bytes());
            }
        }
        self.lengths.update(&lengths);
    }
}

/// The runs `[start, end)` of rows that are not null.
fn valid_runs(array: &ArrayRef) -> Vec<(usize, usize)> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => nulls.valid_slices().collect(),
        Some(_) | None if array.is_empty() => Vec::new(),
        Some(_) | None => vec![(0, array.len())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn row_hash(schema: &Schema, batches: &[RecordBatch]) -> RowHash {
        let mut hasher = RowHasher::new(schema);
        batches.iter().for_each(|batch| hasher.update(batch));
        hasher.finish(schema)
    }

    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::Field;
    use proptest::prelude::*;

    type Row = (Option<i64>, Option<f64>, Option<bool>, Option<String>);

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("p90_minutes", DataType::Float64, true),
            Field::new("is_tile", DataType::Boolean, true),
            Field::new("lab_id", DataType::Utf8, true),
        ])
    }

    fn batch(rows: &[Row]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.1))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.2))),
            Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.as_deref()))),
        ];
        RecordBatch::try_new(Arc::new(schema()), columns).unwrap()
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec(any::<Row>(), 0..24)
    }

    /// Cuts rows into batches; `skip` rows before the cut become a slice's offset.
    fn cut(rows: &[Row], cuts: &[usize]) -> Vec<RecordBatch> {
        let whole = batch(rows);
        let mut at = 0;
        let mut batches = Vec::new();
        for cut in cuts {
            let len = cut % (rows.len() - at + 1);
            batches.push(whole.slice(at, len));
            at += len;
        }
        batches.push(whole.slice(at, rows.len() - at));
        batches
    }

    /// Two rows say the same when they are equal bit for bit.
    fn say(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|r| format!("{:?}", (r.0, r.1.map(f64::to_bits), r.2, &r.3))).collect()
    }

    proptest! {
        #[test]
        fn batches_do_not_matter(rows in any_rows(), cuts in prop::collection::vec(0..24_usize, 0..4)) {
            let whole = row_hash(&schema(), &[batch(&rows)]);
            prop_assert_eq!(row_hash(&schema(), &cut(&rows, &cuts)), whole);
        }

        #[test]
        fn every_value_matters(rows in any_rows(), other in any_rows()) {
            let same = say(&rows) == say(&other);
            let equal = row_hash(&schema(), &[batch(&rows)]) == row_hash(&schema(), &[batch(&other)]);
            prop_assert_eq!(equal, same);
        }

        #[test]
        fn one_changed_cell_changes_the_hash(rows in any_rows(), cell: usize, new: Row) {
            prop_assume!(!rows.is_empty());
            let mut changed = rows.clone();
            let row = cell / 4 % rows.len();
            match cell % 4 {
                0 => changed[row].0 = new.0,
                1 => changed[row].1 = new.1,
                2 => changed[row].2 = new.2,
                _ => changed[row].3 = new.3,
            }
            let same = say(&rows) == say(&changed);
            let equal = row_hash(&schema(), &[batch(&rows)]) == row_hash(&schema(), &[batch(&changed)]);
            prop_assert_eq!(equal, same);
        }
    }

    #[test]
    fn what_stands_beneath_a_null_does_not_matter() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let hash = |garbage: i64| {
            let nulls = NullBuffer::from(vec![true, false]);
            let column = Int64Array::new(vec![1, garbage].into(), Some(nulls));
            let batch =
                RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(column)]).unwrap();
            row_hash(&schema, &[batch])
        };
        assert_eq!(hash(7), hash(8));
    }

    #[test]
    fn names_types_and_boundaries_matter() {
        let hash = |name: &str, texts: &[&str]| {
            let schema = Schema::new(vec![Field::new(name, DataType::Utf8, true)]);
            let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap();
            row_hash(&schema, &[batch])
        };
        assert_ne!(hash("a", &["ab", "c"]), hash("a", &["a", "bc"]));
        assert_ne!(hash("a", &["ab", "c"]), hash("b", &["ab", "c"]));
        assert_ne!(hash("a", &[""]), hash("a", &[]));
        let empty = |data_type: DataType| {
            row_hash(&Schema::new(vec![Field::new("a", data_type, true)]), &[])
        };
        assert_ne!(empty(DataType::Int64), empty(DataType::Float64));
    }

    #[test]
    fn a_hash_reads_back_what_it_prints() {
        let hash = RowHash(0x00ab);
        assert_eq!(hash.to_string(), "000000000000000000000000000000ab");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
