//! A column of texts of which there are few, as codes.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, NullBufferBuilder, StringArray, UInt32Array};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::block::{Text, Texts};
use super::field_run::FieldRun;

/// A column under construction: by row the code of its text.
#[derive(Debug)]
pub(super) struct CodeColumn {
    codes: Vec<u32>,
    nulls: NullBufferBuilder,
    distinct: Distinct,
}

impl Default for CodeColumn {
    fn default() -> CodeColumn {
        let nulls = NullBufferBuilder::new(0);
        CodeColumn { codes: Vec::new(), nulls, distinct: Distinct::default() }
    }
}

impl CodeColumn {
    /// Appends a field's words of a block; rows without one have the default, if there is any.
    pub(super) fn append(&mut self, run: FieldRun<'_>, texts: Texts<'_>, default: Option<&str>) {
        let distinct = &mut self.distinct;
        if !run.full && default.is_none() {
            for (row, word) in run.values() {
                if let Some(word) = word {
                    pad(&mut self.codes, &mut self.nulls, row);
                    self.codes.push(distinct.code_of(texts, word));
                    self.nulls.append_non_null();
                }
            }
            return;
        }
        pad(&mut self.codes, &mut self.nulls, run.first);
        self.nulls.append_n_non_nulls(run.words.len());
        match default.filter(|_| !run.full) {
            None => {
                self.codes.extend(run.words.iter().map(|word| distinct.code_of(texts, *word)));
            }
            Some(default) => {
                let default = distinct.code(default.as_bytes(), default.len());
                let code = |(_, word): (usize, Option<u64>)| {
                    word.map_or(default, |word| distinct.code_of(texts, word))
                };
                self.codes.extend(run.values().map(code));
            }
        }
    }

    pub(super) fn reserve(&mut self, more: usize) {
        if !self.codes.is_empty() {
            self.codes.reserve(more);
        }
    }

    /// No row has come near it.
    pub(super) fn is_untouched(&self) -> bool {
        self.codes.is_empty()
    }

    pub(super) fn finish(mut self, rows: usize) -> ArrayRef {
        pad(&mut self.codes, &mut self.nulls, rows);
        let codes = UInt32Array::new(ScalarBuffer::from(self.codes), self.nulls.finish());
        Arc::new(DictionaryArray::new(codes, Arc::new(self.distinct.finish())))
    }
}

/// Nulls up to the row.
fn pad(codes: &mut Vec<u32>, nulls: &mut NullBufferBuilder, row: usize) {
    // Even no nulls at all would make the builder keep a bitmap.
    if codes.len() < row {
        nulls.append_n_nulls(row - codes.len());
        codes.resize(row, 0);
    }
}

/// Texts that a column has seen lately, each in a place that follows from it.
const RECENT: usize = 1 << 10;

/// Texts of up to so many bytes are looked for among the recent ones.
const SHORT: usize = 16;

/// The distinct texts of a column, numbered in the order of first sight.
#[derive(Debug, Default)]
struct Distinct {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Empty until the first text comes.
    recent: Vec<Recent>,
}

/// A short text, padded with zeros, and its code.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    text: u128,
    /// One more than its length; 0 where there is none.
    length: u32,
    code: u32,
}

impl Distinct {
    /// The code of the text that a word names.
    #[inline(always)]
    fn code_of(&mut self, texts: Texts<'_>, word: u64) -> u32 {
        let text = Text::of_word(word);
        self.code(texts.from(text), text.length)
    }

    /// The code of the text of this length at the start of `from`.
    #[inline(always)]
    fn code(&mut self, from: &[u8], length: usize) -> u32 {
        let Some(chunk) = from.first_chunk::<SHORT>().filter(|_| length <= SHORT) else {
            return self.look_up(&from[..length]);
        };
        let beyond = 8 * (SHORT - length) as u32;
        let text = u128::from_le_bytes(*chunk).checked_shl(beyond).unwrap_or(0);
        let place = place_of(text, length);
        let marked = length as u32 + 1;
        match self.recent.get(place) {
            Some(held) if held.text == text && held.length == marked => held.code,
            _ => {
                let code = self.look_up(&from[..length]);
                self.recent.resize(RECENT, Recent::default());
                self.recent[place] = Recent { text, length: marked, code };
                code
            }
        }
    }

    #[inline(never)]
    fn look_up(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        if let Some(code) = self.table.find(hash, |code| text_at(bytes, ends, *code) == text) {
            return *code;
        }
        let code = ends.len() as u32;
        let hash_of = |code: &u32| hasher.hash_one(text_at(bytes, ends, *code));
        self.table.insert_unique(hash, code, hash_of);
        self.bytes.extend_from_slice(text);
        // Texts are parts of a batch's bytes, of which sources deliver far less than 2 GiB.
        self.ends.push(self.bytes.len() as i32);
        code
    }

    fn finish(self) -> StringArray {
        let offsets = std::iter::once(0).chain(self.ends).collect::<Vec<i32>>();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        StringArray::new(offsets, Buffer::from_vec(self.bytes), None)
    }
}

/// The place of a short text among the recent ones.
#[inline(always)]
fn place_of(text: u128, length: usize) -> usize {
    let folded = text as u64 ^ (text >> 64) as u64 ^ length as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT.ilog2())) as usize
}

fn text_at<'a>(bytes: &'a [u8], ends: &[i32], code: u32) -> &'a [u8] {
    let code = code as usize;
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &bytes[start as usize..ends[code] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array;

    /// Short and long ones, one that begins with another, some that differ by zeros at their end,
    /// and more than there are places.
    #[test]
    fn texts_share_a_code_when_they_are_equal() {
        let mut texts: Vec<String> = (0..3 * RECENT).map(|n| format!("lab-{n}")).collect();
        let odd = ["", "\0", "\0\0", "a", "a\0", "0123456789abcdef", "0123456789abcdefg"];
        texts.extend(odd.map(str::to_owned));
        let mut distinct = Distinct::default();
        let padded = |text: &str| [text.as_bytes(), b"\"and what follows it"].concat();
        for _ in 0..2 {
            for (place, text) in texts.iter().enumerate() {
                assert_eq!(distinct.code(&padded(text), text.len()), place as u32, "{text:?}");
            }
            // Nothing behind it, as at the end of a batch.
            for (place, text) in texts.iter().enumerate() {
                assert_eq!(distinct.code(text.as_bytes(), text.len()), place as u32, "{text:?}");
            }
        }
        let made = distinct.finish();
        assert!(made.iter().flatten().eq(texts.iter().map(String::as_str)));
        assert_eq!(made.null_count(), 0);
    }
}
