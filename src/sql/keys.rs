//! Group keys as dense numbers.
//!
//! A key is the row encoding of its columns, whose bytes sort as the values do. Numbers are given
//! in the order of first sight and never reach an output; outputs are sorted by key.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take_arrays;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::aggregate::functions::percentile::canonical;
use crate::flow::coded::{Codes, is_coded, plain};

/// Distinct keys, numbered from 0.
#[derive(Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Keys {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A key's bytes.
    pub fn get(&self, number: u32) -> &[u8] {
        key_at(&self.bytes, &self.ends, number)
    }

    /// The key's number, a new one if it was not seen before.
    pub fn intern(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(number) = self.table.find(hash, |held| key_at(bytes, ends, *held) == key) {
            return *number;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |held| hasher.hash_one(key_at(bytes, ends, *held)));
        number
    }

    /// Makes room for so many new keys.
    fn reserve(&mut self, more: usize) {
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.reserve(more, |held| hasher.hash_one(key_at(bytes, ends, *held)));
        self.ends.reserve(more);
    }

    /// Forgets every key but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        let mut kept = Keys::default();
        for number in 0..count.min(self.len()) as u32 {
            kept.intern(self.get(number));
        }
        *self = kept;
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.table.capacity() * 5
    }
}

fn key_at<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

/// From group columns to key bytes and back.
#[derive(Debug, Clone)]
pub struct KeyCodec {
    converter: Option<Arc<RowConverter>>,
}

impl KeyCodec {
    /// The codec for group columns of these types; none of them means the one key of no columns.
    pub fn new(types: &[DataType]) -> Result<KeyCodec> {
        if types.is_empty() {
            return Ok(KeyCodec { converter: None });
        }
        let fields = types.iter().cloned().map(SortField::new).collect();
        Ok(KeyCodec { converter: Some(Arc::new(RowConverter::new(fields)?)) })
    }

    /// The number of each row's key among `keys`, new keys added. Texts may be coded.
    pub fn intern(&self, columns: &[ArrayRef], rows: usize, keys: &mut Keys) -> Result<Vec<u32>> {
        let Some(converter) = &self.converter else {
            let number = keys.intern(&[]);
            return Ok(vec![number; rows]);
        };
        // Most rows of a batch share their key with others: only distinct ones are encoded.
        let numbers = distinct(columns, rows)?;
        let first_rows = take_arrays(columns, &first_rows(&numbers), None)?;
        let first_rows: std::result::Result<Vec<_>, _> = first_rows.iter().map(plain).collect();
        let first_rows: Vec<ArrayRef> = first_rows?.iter().map(with_one_zero).collect();
        let encoded = converter.convert_columns(&first_rows)?;
        keys.reserve(encoded.num_rows());
        let known: Vec<u32> = encoded.iter().map(|row| keys.intern(row.as_ref())).collect();
        // Where all keys are new, as in a batch of its own, they have the numbers that they have here.
        if known.iter().copied().eq(0..known.len() as u32) {
            return Ok(numbers.of_row.into());
        }
        let number = |number: &u32| known[*number as usize];
        Ok(numbers.of_row.iter().map(number).collect())
    }

    /// The columns of these keys.
    pub fn columns(&self, keys: &Keys, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let parser = converter.parser();
        let rows = numbers.iter().map(|number| parser.parse(keys.get(*number)));
        Ok(converter.convert_rows(rows)?)
    }
}

/// The column with equal floating-point numbers as equal bits.
fn with_one_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical))
        }
        _ => Arc::clone(column),
    }
}

/// Numbers of what rows hold, each below `width`; rows that hold the same have the same number.
struct Numbers {
    of_row: ScalarBuffer<u32>,
    width: usize,
}

/// The number of each row's tuple of values, in the order of first sight.
fn distinct(columns: &[ArrayRef], rows: usize) -> Result<Numbers> {
    let (coded, others): (Vec<ArrayRef>, Vec<ArrayRef>) =
        columns.iter().cloned().partition(is_coded);
    let mut parts = coded.iter().map(codes).collect::<Result<Vec<Numbers>>>()?;
    if !others.is_empty() {
        parts.push(distinct_others(&others, rows)?);
    }
    // Codes alone are not in the order of first sight; pairs are.
    if others.is_empty() && coded.len() < 2 {
        parts.push(Numbers::one(rows));
    }
    let paired = parts.into_iter().reduce(|held, part| held.paired(&part));
    Ok(paired.unwrap_or_else(|| Numbers::one(rows)))
}

impl Numbers {
    /// All rows alike.
    fn one(rows: usize) -> Numbers {
        Numbers { of_row: vec![0; rows].into(), width: 1 }
    }

    /// The pairs of these and other numbers of the same rows, in the order of first sight.
    fn paired(self, others: &Numbers) -> Numbers {
        let (pairs, of_row) = number_pairs(self.width, &self.of_row, others.width, &others.of_row);
        Numbers { of_row: of_row.into(), width: pairs.len() }
    }
}

/// The rows in which each number comes first, given that they come in the order of first sight.
fn first_rows(numbers: &Numbers) -> UInt32Array {
    let mut first_rows: Vec<u32> = Vec::with_capacity(numbers.width);
    for (row, number) in numbers.of_row.iter().enumerate() {
        if *number as usize == first_rows.len() {
            first_rows.push(row as u32);
        }
    }
    UInt32Array::from(first_rows)
}

/// The numbers of a coded column: its codes, and one more for null.
fn codes(column: &ArrayRef) -> Result<Numbers> {
    let codes = Codes::of(column)?;
    let null = codes.texts().len();
    let of_row = if column.null_count() == 0 {
        codes.codes().clone()
    } else {
        (0..codes.len()).map(|row| codes.code(row).unwrap_or(null) as u32).collect()
    };
    Ok(Numbers { of_row, width: null + 1 })
}

/// The number of each row's tuple of values of columns that are not coded, in the order of first
/// sight.
fn distinct_others(columns: &[ArrayRef], rows: usize) -> Result<Numbers> {
    let texts: Option<Vec<&StringArray>> =
        columns.iter().map(|column| column.as_string_opt::<i32>()).collect();
    let hasher = DefaultHashBuilder::default();
    let mut hashes = vec![0; rows];
    if let Some(texts) = texts {
        create_hashes_with_hasher(columns, &hasher, &mut hashes)?;
        let is_same = |one, other| texts.iter().all(|texts| same_text(texts, one, other));
        return Ok(numbered(&hashes, is_same));
    }
    let types = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    let encoded = RowConverter::new(types.collect())?.convert_columns(columns)?;
    for (hash, row) in hashes.iter_mut().zip(&encoded) {
        *hash = hasher.hash_one(row.as_ref());
    }
    Ok(numbered(&hashes, |one, other| encoded.row(one) == encoded.row(other)))
}

/// The numbers of rows with these hashes, in the order of first sight.
fn numbered(hashes: &[u64], is_same: impl Fn(usize, usize) -> bool) -> Numbers {
    let mut first_rows: Vec<u32> = Vec::new();
    let mut table: HashTable<u32> = HashTable::with_capacity(hashes.len().min(DISTINCT_AT_FIRST));
    let mut of_row = Vec::with_capacity(hashes.len());
    for (row, hash) in hashes.iter().enumerate() {
        let found = table.find(*hash, |held| is_same(first_rows[*held as usize] as usize, row));
        let number = found.copied().unwrap_or_else(|| {
            let number = first_rows.len() as u32;
            first_rows.push(row as u32);
            let hash_of = |held: &u32| hashes[first_rows[*held as usize] as usize];
            table.insert_unique(*hash, number, hash_of);
            number
        });
        of_row.push(number);
    }
    Numbers { of_row: of_row.into(), width: first_rows.len() }
}

/// Distinct keys of a batch that there is room for from the start.
const DISTINCT_AT_FIRST: usize = 1024;

#[inline(always)]
fn same_text(column: &StringArray, one: usize, other: usize) -> bool {
    match (column.is_null(one), column.is_null(other)) {
        (false, false) => column.value(one) == column.value(other),
        // What stands in the place of a null means nothing.
        (one, other) => one && other,
    }
}

/// The types of the first `count` columns of a schema.
pub fn leading_types(schema: &SchemaRef, count: usize) -> Vec<DataType> {
    schema.fields().iter().take(count).map(|field| field.data_type().clone()).collect()
}

/// The distinct pairs of two numbers that rows have, in the order of first sight, and each row's
/// place there. The numbers lie below their widths.
pub(crate) fn number_pairs(
    width: usize,
    one: &[u32],
    other_width: usize,
    other: &[u32],
) -> (Vec<(u32, u32)>, Vec<u32>) {
    let mut seen: Vec<(u32, u32)> = Vec::new();
    let pairs = one.iter().zip(other);
    if width.saturating_mul(other_width) <= (4 * one.len()).max(SMALL_TABLE) {
        // By pair one plus its place, or 0.
        let mut table = vec![0u32; width * other_width];
        let places = pairs.map(|(one, other)| {
            let held = &mut table[*one as usize * other_width + *other as usize];
            if *held == 0 {
                seen.push((*one, *other));
                *held = seen.len() as u32;
            }
            *held - 1
        });
        let places = places.collect();
        return (seen, places);
    }
    let mut first_seen: hashbrown::HashMap<u64, u32> = hashbrown::HashMap::new();
    let places = pairs.map(|(one, other)| {
        let key = (u64::from(*one) << 32) | u64::from(*other);
        *first_seen.entry(key).or_insert_with(|| {
            seen.push((*one, *other));
            seen.len() as u32 - 1
        })
    });
    let places = places.collect();
    (seen, places)
}

/// A table of so many pairs is made however few the rows are.
const SMALL_TABLE: usize = 64;

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, DictionaryArray, Float64Array, Int64Array};

    use super::*;
    use crate::flow::coded::coded_type;

    #[test]
    fn equal_floats_are_one_key() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Float64])?;
        let mut keys = Keys::default();
        let values = vec![Some(0.0), Some(-0.0), Some(f64::NAN), Some(-f64::NAN), None, Some(1.0)];
        let column: ArrayRef = Arc::new(Float64Array::from(values));
        assert_eq!(codec.intern(&[column], 6, &mut keys)?, [0, 0, 1, 1, 2, 3]);
        let column = codec.columns(&keys, &[0])?.remove(0);
        assert_eq!(column.as_primitive::<Float64Type>().value(0).to_bits(), 0);
        Ok(())
    }

    /// A text that is null differs from an empty one, and texts are not joined to be compared.
    #[test]
    fn texts_are_told_apart() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Utf8, DataType::Utf8])?;
        let column = |texts: [Option<&str>; 6]| Arc::new(StringArray::from_iter(texts)) as ArrayRef;
        let one = column([Some(""), None, Some("ab"), Some("a"), None, Some("")]);
        let two = column([None, Some(""), Some("c"), Some("bc"), Some(""), Some("")]);
        let coded = |column: &ArrayRef| arrow::compute::cast(column, &coded_type());
        for columns in [
            [Arc::clone(&one), Arc::clone(&two)],
            [coded(&one)?, coded(&two)?],
            [Arc::clone(&one), coded(&two)?],
            [coded(&one)?, Arc::clone(&two)],
        ] {
            let mut keys = Keys::default();
            keys.intern(b"something from before");
            let numbers = codec.intern(&columns, 6, &mut keys)?;
            let mut told_apart = numbers.clone();
            told_apart.sort_unstable();
            assert_eq!((told_apart, numbers[1]), (vec![1, 2, 2, 3, 4, 5], numbers[4]));
            let back = codec.columns(&keys, &numbers)?;
            assert_eq!((&back[0], &back[1]), (&one, &two));
        }
        Ok(())
    }

    /// One coded column whose codes do not come in their order, and a list of texts that names one
    /// of them twice.
    #[test]
    fn codes_in_any_order_are_keys() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Utf8])?;
        let texts = StringArray::from(vec!["unused", "a", "b", "a"]);
        let codes = UInt32Array::from(vec![Some(2), Some(3), None, Some(1), Some(2)]);
        let coded: ArrayRef = Arc::new(DictionaryArray::new(codes, Arc::new(texts)));
        let mut keys = Keys::default();
        let numbers = codec.intern(&[coded], 5, &mut keys)?;
        assert_eq!(numbers, [0, 1, 2, 1, 0]);
        let back = codec.columns(&keys, &numbers)?;
        let expected = StringArray::from(vec![Some("b"), Some("a"), None, Some("a"), Some("b")]);
        assert_eq!(back[0].as_string::<i32>(), &expected);
        Ok(())
    }

    /// Numbers and truths beside coded texts.
    #[test]
    fn any_columns_are_keys() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Utf8, DataType::Int64, DataType::Boolean])?;
        let labs = StringArray::from(vec!["a", "a", "b", "a", "a"]);
        let hours = Int64Array::from(vec![Some(1), Some(2), Some(1), None, Some(1)]);
        let truths = BooleanArray::from(vec![true, true, true, true, true]);
        let labs = arrow::compute::cast(&labs, &coded_type())?;
        let columns: [ArrayRef; 3] = [labs, Arc::new(hours), Arc::new(truths)];
        let mut keys = Keys::default();
        let numbers = codec.intern(&columns, 5, &mut keys)?;
        assert_eq!(numbers, [0, 1, 2, 3, 0]);
        let back = codec.columns(&keys, &numbers)?;
        assert_eq!((&back[1], &back[2]), (&columns[1], &columns[2]));
        Ok(())
    }

    #[test]
    fn equal_keys_share_a_number_and_come_back() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Utf8, DataType::Utf8])?;
        let labs: ArrayRef =
            Arc::new(StringArray::from(vec![Some("b"), Some("a"), Some("b"), None]));
        let assays: ArrayRef =
            Arc::new(StringArray::from(vec![Some("K"), Some("K"), Some("K"), Some("K")]));
        let mut keys = Keys::default();
        let numbers = codec.intern(&[Arc::clone(&labs), assays], 4, &mut keys)?;
        assert_eq!(numbers, [0, 1, 0, 2]);
        let mut sorted: Vec<u32> = vec![0, 1, 2];
        sorted.sort_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
        assert_eq!(sorted, [2, 1, 0], "nulls first, then a, then b");
        let back = codec.columns(&keys, &[2, 0])?;
        assert_eq!(&back[0], &(Arc::new(StringArray::from(vec![None, Some("b")])) as ArrayRef));
        Ok(())
    }
}
