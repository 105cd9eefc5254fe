//! Group keys as dense numbers.
//!
//! A key is the row encoding of its columns, whose bytes sort as the values do. Numbers are given
//! in the order of first sight and never reach an output; outputs are sorted by key.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use hashbrown::{DefaultHashBuilder, HashTable};

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

    /// The number of each row's key among `keys`, new keys added.
    pub fn intern(&self, columns: &[ArrayRef], rows: usize, keys: &mut Keys) -> Result<Vec<u32>> {
        let Some(converter) = &self.converter else {
            let number = keys.intern(&[]);
            return Ok(vec![number; rows]);
        };
        let texts: Option<Vec<&StringArray>> =
            columns.iter().map(|column| column.as_string_opt::<i32>()).collect();
        let Some(texts) = texts else {
            let encoded = converter.convert_columns(columns)?;
            return Ok(encoded.iter().map(|row| keys.intern(row.as_ref())).collect());
        };
        // Most rows of a batch share their key with others: only distinct ones are encoded.
        let (first_rows, numbers) = distinct(columns, &texts, rows, &keys.hasher)?;
        let encoded = converter.convert_columns(&take_arrays(columns, &first_rows, None)?)?;
        let known: Vec<u32> = encoded.iter().map(|row| keys.intern(row.as_ref())).collect();
        Ok(numbers.into_iter().map(|number| known[number as usize]).collect())
    }

    /// The columns of these keys.
    pub fn columns(&self, keys: &Keys, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let parser = converter.parser();
        let rows = numbers.iter().map(|number| parser.parse(keys.get(*number)));
        Ok(converter.convert_rows(rows)?)
    }
}

/// The rows in which each distinct tuple of texts comes first, and for each row the number of its
/// tuple. `texts` are the columns.
fn distinct(
    columns: &[ArrayRef],
    texts: &[&StringArray],
    rows: usize,
    hasher: &DefaultHashBuilder,
) -> Result<(UInt32Array, Vec<u32>)> {
    let mut hashes = vec![0; rows];
    create_hashes_with_hasher(columns, hasher, &mut hashes)?;
    let mut first_rows: Vec<u32> = Vec::new();
    let mut table: HashTable<u32> = HashTable::with_capacity(rows.min(DISTINCT_AT_FIRST));
    let mut numbers = Vec::with_capacity(rows);
    for (row, hash) in hashes.iter().enumerate() {
        let is_same = |number: &u32| {
            let first = first_rows[*number as usize] as usize;
            texts.iter().all(|column| same_text(column, first, row))
        };
        let number = table.find(*hash, is_same).copied().unwrap_or_else(|| {
            let number = first_rows.len() as u32;
            first_rows.push(row as u32);
            let hash_of = |number: &u32| hashes[first_rows[*number as usize] as usize];
            table.insert_unique(*hash, number, hash_of);
            number
        });
        numbers.push(number);
    }
    Ok((UInt32Array::from(first_rows), numbers))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A text that is null differs from an empty one, and texts are not joined to be compared.
    #[test]
    fn texts_are_told_apart() -> Result<()> {
        let codec = KeyCodec::new(&[DataType::Utf8, DataType::Utf8])?;
        let column = |texts: [Option<&str>; 6]| Arc::new(StringArray::from_iter(texts)) as ArrayRef;
        let one = column([Some(""), None, Some("ab"), Some("a"), None, Some("")]);
        let two = column([None, Some(""), Some("c"), Some("bc"), Some(""), Some("")]);
        let mut keys = Keys::default();
        keys.intern(b"something from before");
        let numbers = codec.intern(&[Arc::clone(&one), Arc::clone(&two)], 6, &mut keys)?;
        assert_eq!(numbers, [1, 2, 3, 4, 2, 5]);
        let back = codec.columns(&keys, &numbers)?;
        assert_eq!((&back[0], &back[1]), (&one, &two));
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
