//! Where a page ended → a text that the next request brings along, and back.
//!
//! A cursor holds the values of the last row's key columns and how many rows with these very values
//! were given already, so it stays right while rows are added. It fits only the question that it was
//! made for.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::problem::{NoAnswer, ProblemDetails, ProblemKind};

/// Raised when cursors change their meaning.
const CURSOR_VERSION: u32 = 1;

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageEnd {
    version: u32,
    /// The question that it belongs to.
    question: u64,
    /// The last row's keys; nothing where one is null.
    pub keys: Vec<Option<KeyValue>>,
    /// How many rows with these keys were given.
    pub given: u64,
}

/// One value of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum KeyValue {
    /// Text.
    Text(String),
    /// A whole number, an instant in microseconds, a day since the epoch, or 0 and 1.
    Whole(i64),
    /// The bits of a double.
    Bits(u64),
}

/// Whether rows can be told apart and sorted by a column of this type.
pub fn is_key(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Boolean
            | DataType::Float64
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

impl PageEnd {
    /// The end of a page of a question, which is told by its text.
    pub fn new(question: &str, keys: Vec<Option<KeyValue>>, given: u64) -> PageEnd {
        let question = xxh3_64(question.as_bytes());
        PageEnd { version: CURSOR_VERSION, question, keys, given }
    }

    /// The text.
    pub fn text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut text = String::with_capacity(json.len() * 2);
        for byte in json {
            // Writing to a string cannot fail.
            if write!(text, "{byte:02x}").is_err() {
                return String::new();
            }
        }
        text
    }

    /// Reads the text of a cursor of this question, whose keys have these types.
    ///
    /// # Errors
    /// Where it is none, or belongs to another question.
    pub fn read(text: &str, question: &str, kinds: &[DataType]) -> Result<PageEnd, NoAnswer> {
        let wrong = |what: &str| {
            let text = format!("the cursor {what}; ask again without one");
            ProblemDetails::new(ProblemKind::Cursor, text).of("cursor")
        };
        let bytes = unhex(text).ok_or_else(|| wrong("is none of ours"))?;
        let end: PageEnd = serde_json::from_slice(&bytes).map_err(|_| wrong("is none of ours"))?;
        if end.version != CURSOR_VERSION {
            return Err(wrong("is of another version"));
        }
        let fits = end.keys.len() == kinds.len()
            && end
                .keys
                .iter()
                .zip(kinds)
                .all(|(key, kind)| key.as_ref().is_none_or(|key| key.scalar(kind).is_some()));
        if end.question != xxh3_64(question.as_bytes()) || !fits {
            return Err(wrong("belongs to other parameters"));
        }
        Ok(end)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

impl KeyValue {
    /// The value of a column at a row; nothing where it is null.
    pub fn at(column: &ArrayRef, row: usize) -> Option<KeyValue> {
        if column.is_null(row) {
            return None;
        }
        let whole = |number: i64| Some(KeyValue::Whole(number));
        match column.data_type() {
            DataType::Utf8 => Some(KeyValue::Text(column.as_string::<i32>().value(row).to_owned())),
            DataType::Int32 => whole(column.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => whole(column.as_primitive::<Int64Type>().value(row)),
            DataType::Date32 => whole(column.as_primitive::<Date32Type>().value(row).into()),
            DataType::Boolean => whole(column.as_boolean().value(row).into()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                whole(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            DataType::Float64 => {
                Some(KeyValue::Bits(column.as_primitive::<Float64Type>().value(row).to_bits()))
            }
            _ => None,
        }
    }

    /// The value as one of a column; nothing where it does not fit.
    pub fn scalar(&self, kind: &DataType) -> Option<ScalarValue> {
        match (self, kind) {
            (KeyValue::Text(text), DataType::Utf8) => Some(ScalarValue::Utf8(Some(text.clone()))),
            (KeyValue::Bits(bits), DataType::Float64) => {
                Some(ScalarValue::Float64(Some(f64::from_bits(*bits))))
            }
            (KeyValue::Whole(number), DataType::Int64) => Some(ScalarValue::Int64(Some(*number))),
            (KeyValue::Whole(number), DataType::Int32) => {
                Some(ScalarValue::Int32(Some(i32::try_from(*number).ok()?)))
            }
            (KeyValue::Whole(number), DataType::Date32) => {
                Some(ScalarValue::Date32(Some(i32::try_from(*number).ok()?)))
            }
            (KeyValue::Whole(number @ (0 | 1)), DataType::Boolean) => {
                Some(ScalarValue::Boolean(Some(*number == 1)))
            }
            (KeyValue::Whole(number), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
                Some(ScalarValue::TimestampMicrosecond(Some(*number), zone.clone()))
            }
            (_, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, StringArray};

    use super::*;

    #[test]
    fn a_cursor_reads_back_for_its_own_question_alone() {
        let kinds = [DataType::Date32, DataType::Utf8, DataType::Float64, DataType::Utf8];
        let columns: [ArrayRef; 4] = [
            Arc::new(Date32Array::from(vec![20_513])),
            Arc::new(StringArray::from(vec!["lab-é"])),
            Arc::new(Float64Array::from(vec![0.1])),
            Arc::new(StringArray::from(vec![None::<&str>])),
        ];
        let keys = columns.iter().map(|column| KeyValue::at(column, 0)).collect();
        let end = PageEnd::new("q", keys, 3);
        let text = end.text();
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(PageEnd::read(&text, "q", &kinds).unwrap(), end);
        assert_eq!(end.keys[3], None);
        let scalar = end.keys[1].as_ref().unwrap().scalar(&DataType::Utf8);
        assert_eq!(scalar, Some(ScalarValue::from("lab-é")));
        let mut others = kinds.clone();
        others.swap(0, 1);
        for (text, question, kinds) in [
            (text.as_str(), "other", &kinds),
            (text.as_str(), "q", &others),
            ("", "q", &kinds),
            ("7b", "q", &kinds),
            ("zz", "q", &kinds),
            (&text[1..], "q", &kinds),
        ] {
            let problem = PageEnd::read(text, question, kinds).unwrap_err();
            assert_eq!(problem.parameter.as_deref(), Some("cursor"), "{text} {question}");
        }
    }
}
