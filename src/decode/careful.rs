//! The careful reader: serde_json decides what a record is. Every record that `scan` does not take
//! comes here, and every dead letter is made here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::flow::Reason;
use crate::flow::event::{EVENT_FIELDS, FieldKind};

use super::block::{Block, OpenRow, RecordFault, RowBeside};
use super::fields::{FIELDS, IDS, KINDS, REASON, ValueKind, bit, field_named, is_blank, word_code};
use super::instant::read_any;

/// The longest record that is looked into: beyond it nothing legitimate is to be expected, and a
/// batch's memory is bounded by it.
pub(super) const LONGEST_RECORD: usize = 16 << 20;

/// A field's value as JSON has it.
#[derive(Clone, Copy, Debug)]
enum JsonValue {
    Null,
    Bool(bool),
    Whole(i64),
    /// A whole number beyond 64 signed bits.
    TooWhole(u64),
    Real(f64),
    /// A text in the block's buffer.
    Text(usize, usize),
    Array,
    Object,
}

impl JsonValue {
    fn kind(self) -> &'static str {
        match self {
            JsonValue::Null => "null",
            JsonValue::Bool(_) => "a boolean",
            JsonValue::Whole(_) => "an integer",
            JsonValue::TooWhole(_) => "an integer beyond 64 bits",
            JsonValue::Real(_) => "a number",
            JsonValue::Text(..) => "a text",
            JsonValue::Array => "an array",
            JsonValue::Object => "an object",
        }
    }
}

/// The reader with its buffer.
#[derive(Debug)]
pub(super) struct Careful {
    values: [JsonValue; FIELDS],
}

impl Careful {
    pub(super) fn new() -> Careful {
        Careful { values: [JsonValue::Null; FIELDS] }
    }

    /// Reads one record into the block's next row; its texts go to the block's own buffer. Of a
    /// repeated key the last value counts.
    pub(super) fn read(
        &mut self,
        record: &[u8],
        block: &mut Block,
    ) -> Result<RowBeside, RecordFault> {
        let (row, texts, base) = block.begin();
        let before = texts.len();
        let read = self.read_into(record, row, texts, base);
        if read.is_err() {
            texts.truncate(before);
        }
        read
    }

    fn read_into(
        &mut self,
        record: &[u8],
        mut row: OpenRow<'_>,
        texts: &mut String,
        base: usize,
    ) -> Result<RowBeside, RecordFault> {
        if record.len() > LONGEST_RECORD {
            let detail = format!("{} bytes, more than {LONGEST_RECORD}", record.len());
            return Err(RecordFault::new(Reason::TooLong, detail));
        }
        let text = std::str::from_utf8(record).map_err(|error| {
            let detail = format!("invalid UTF-8 at byte {}", error.valid_up_to());
            RecordFault::new(Reason::Malformed, detail)
        })?;
        let mut json = serde_json::Deserializer::from_str(text);
        let visitor = RecordVisitor { values: &mut self.values, texts };
        let (named, unknown) = visitor.deserialize(&mut json).map_err(|error| malformed(&error))?;
        json.end().map_err(|error| malformed(&error))?;
        let mut fields = named;
        while fields != 0 {
            let field = fields.trailing_zeros() as usize;
            fields &= fields - 1;
            take(field, self.values[field], &mut row, texts, base)?;
        }
        for _ in 0..unknown {
            row.count_unknown();
        }
        Ok(row.end())
    }
}

/// Checks one value against its field and puts it into the row.
fn take(
    field: usize,
    value: JsonValue,
    row: &mut OpenRow<'_>,
    texts: &str,
    base: usize,
) -> Result<(), RecordFault> {
    match (KINDS[field], value) {
        (_, JsonValue::Null) => {}
        (ValueKind::Text(_), JsonValue::Text(start, end)) => {
            let text = &texts.as_bytes()[start..end];
            check_length(field, text.len())?;
            if bit(field) & IDS == 0 || !is_blank(text) {
                check_characters(field, text)?;
                row.set_text(field, base + start, text.len());
            }
        }
        (ValueKind::Words(words), JsonValue::Text(start, end)) => {
            check_length(field, end - start)?;
            let text = &texts.as_bytes()[start..end];
            let code = word_code(words, text).ok_or_else(|| unknown_word(field))?;
            row.set_coded(field, base + start, end - start, code);
        }
        (ValueKind::Time, JsonValue::Text(start, end)) => {
            let micros = read_any(&texts[start..end]).ok_or_else(|| no_instant(field))?;
            row.set(field, micros as u64);
        }
        (ValueKind::Int, JsonValue::Whole(value)) => row.set(field, value as u64),
        (ValueKind::Float, JsonValue::Whole(value)) => row.set(field, (value as f64).to_bits()),
        (ValueKind::Float, JsonValue::TooWhole(value)) => row.set(field, (value as f64).to_bits()),
        (ValueKind::Float, JsonValue::Real(value)) => row.set(field, value.to_bits()),
        (ValueKind::Bool, JsonValue::Bool(value)) => row.set(field, u64::from(value)),
        (
            ValueKind::Text(_)
            | ValueKind::Words(_)
            | ValueKind::Time
            | ValueKind::Int
            | ValueKind::Float
            | ValueKind::Bool,
            other,
        ) => return Err(wrong_type(field, other)),
    }
    Ok(())
}

fn check_length(field: usize, length: usize) -> Result<(), RecordFault> {
    let (name, kind) = EVENT_FIELDS[field];
    match kind {
        FieldKind::Text(limit) | FieldKind::Code(limit) if length > limit => {
            let detail = format!("`{name}` has {length} bytes, more than {limit}");
            Err(RecordFault::new(Reason::TooLong, detail))
        }
        FieldKind::Text(_)
        | FieldKind::Code(_)
        | FieldKind::Time
        | FieldKind::Int
        | FieldKind::Float
        | FieldKind::Bool => Ok(()),
    }
}

/// An id that holds a control character was cut out of something wrongly, and would break a terminal,
/// a file's name or a card. Text that people write may have lines.
fn check_characters(field: usize, text: &[u8]) -> Result<(), RecordFault> {
    if field == REASON || !text.iter().any(u8::is_ascii_control) {
        return Ok(());
    }
    let name = EVENT_FIELDS[field].0;
    Err(RecordFault::new(Reason::ControlCharacter, format!("`{name}` holds a control character")))
}

fn malformed(error: &serde_json::Error) -> RecordFault {
    // The words of serde_json's other categories can quote the value.
    let detail = match error.classify() {
        Category::Data => "not a JSON object".to_owned(),
        Category::Syntax | Category::Eof | Category::Io => format!("not JSON: {error}"),
    };
    RecordFault::new(Reason::Malformed, detail)
}

fn wrong_type(field: usize, value: JsonValue) -> RecordFault {
    let name = EVENT_FIELDS[field].0;
    let wanted = match KINDS[field] {
        ValueKind::Text(_) | ValueKind::Words(_) => "a text",
        ValueKind::Time => "an RFC 3339 text",
        ValueKind::Int => "an integer",
        ValueKind::Float => "a number",
        ValueKind::Bool => "true or false",
    };
    RecordFault::new(Reason::WrongType, format!("`{name}` is {}, not {wanted}", value.kind()))
}

fn unknown_word(field: usize) -> RecordFault {
    let words = match KINDS[field] {
        ValueKind::Words(words) => words.join(", "),
        ValueKind::Text(_)
        | ValueKind::Time
        | ValueKind::Int
        | ValueKind::Float
        | ValueKind::Bool => String::new(),
    };
    let name = EVENT_FIELDS[field].0;
    RecordFault::new(Reason::UnknownValue, format!("`{name}` is none of {words}"))
}

fn no_instant(field: usize) -> RecordFault {
    let name = EVENT_FIELDS[field].0;
    let detail = format!("`{name}` is no RFC 3339 instant of the years 1970 to 9999");
    RecordFault::new(Reason::BadTimestamp, detail)
}

/// Reads an object into values by field; gives the set of known fields and the number of unknown
/// ones.
struct RecordVisitor<'a> {
    values: &'a mut [JsonValue; FIELDS],
    texts: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for RecordVisitor<'_> {
    type Value = (u64, u32);

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(u64, u32), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = (u64, u32);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(u64, u32), A::Error> {
        let (mut named, mut unknown) = (0, 0);
        while let Some(field) = map.next_key_seed(KeyVisitor)? {
            match field {
                Some(field) => {
                    named |= bit(field);
                    let texts = &mut *self.texts;
                    self.values[field] = map.next_value_seed(ValueVisitor { texts })?;
                }
                None => {
                    unknown += 1;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((named, unknown))
    }
}

/// Reads a key as a field, `None` for an unknown one.
struct KeyVisitor;

impl<'de> DeserializeSeed<'de> for KeyVisitor {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyVisitor {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(field_named(key.as_bytes()))
    }
}

/// Reads any JSON value.
struct ValueVisitor<'a> {
    texts: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for ValueVisitor<'_> {
    type Value = JsonValue;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<JsonValue, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = JsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<JsonValue, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue, E> {
        Ok(JsonValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonValue, E> {
        Ok(JsonValue::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue, E> {
        Ok(i64::try_from(value).map_or(JsonValue::TooWhole(value), JsonValue::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<JsonValue, E> {
        Ok(JsonValue::Real(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonValue, E> {
        let start = self.texts.len();
        self.texts.push_str(text);
        Ok(JsonValue::Text(start, self.texts.len()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonValue, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<JsonValue, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Object)
    }
}
