//! Group keys as dense numbers.
//!
//! A key is the row encoding of its columns, whose bytes sort as the values do. Numbers are given
//! in the order of first sight and never reach an output; outputs are sorted by key.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
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
        let encoded = converter.convert_columns(columns)?;
        Ok(encoded.iter().map(|row| keys.intern(row.as_ref())).collect())
    }

    /// The columns of these keys.
    pub fn columns(&self, keys: &Keys, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let parser = converter.parser();
        let rows = numbers.iter().map(|number| parser.parse(keys.get(*number)));
        Ok(converter.convert_rows(rows)?)
    }
}

/// The types of the first `count` columns of a schema.
pub fn leading_types(schema: &SchemaRef, count: usize) -> Vec<DataType> {
    schema.fields().iter().take(count).map(|field| field.data_type().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

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
