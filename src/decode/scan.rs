//! The fast reader: one flat JSON object of known shapes into a [`Row`], in one pass.
//!
//! It takes a record only when it is certain of every byte; anything else (an escape, a nested
//! value, a repeated key, an unusual number, a fault of any kind) is `None`, and `careful` reads
//! the record again and decides. So it never refuses a record, and what it takes, `careful` takes
//! with the same row.
//!
//! Records of one feed look alike, so it remembers, for each field, the exact bytes that led from
//! the end of that field's value to the next value (`,"assay":`), and compares those first.
//! The bytes handed in must be valid UTF-8 wherever a record is taken.

use super::fields::{FIELDS, KINDS, Kind, bit, field_named, word_code};
use super::instant::{Days, read_any};
use super::row::Row;

/// "Previous field" at the start of a record.
const START: usize = FIELDS;
/// "Previous field" after an unknown one, and the field number of unknown ones.
const UNKNOWN: usize = FIELDS + 1;

/// The longest run of bytes between two values that is remembered.
const STEP: usize = 32;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

/// What led from one value to the next, the last time.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    bytes: [u64; STEP / 8],
    mask: [u64; STEP / 8],
    /// 0: nothing is known yet.
    length: u8,
    field: u8,
}

impl Step {
    fn new(text: &[u8], field: usize) -> Step {
        let (mut bytes, mut mask) = ([0; STEP], [0; STEP]);
        bytes[..text.len()].copy_from_slice(text);
        mask[..text.len()].fill(u8::MAX);
        let words = |from: [u8; STEP]| std::array::from_fn(|i| word_of(&from, i * 8));
        Step {
            bytes: words(bytes),
            mask: words(mask),
            length: text.len() as u8,
            field: field as u8,
        }
    }

    #[inline(always)]
    fn matches(&self, bytes: &[u8], at: usize) -> bool {
        let Some(text) = bytes.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) else {
            return false;
        };
        let mut differ = 0;
        for i in 0..STEP / 8 {
            differ |= (word_of(text, i * 8) ^ self.bytes[i]) & self.mask[i];
        }
        differ == 0 && self.length != 0
    }
}

#[inline(always)]
fn word_of(text: &[u8; STEP], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The reader with what it has learned about the feed. What it has learned changes its speed, never
/// its answer.
#[derive(Debug)]
pub(super) struct Scanner {
    steps: [Step; FIELDS + 2],
    days: [Days; FIELDS],
}

impl Scanner {
    pub(super) fn new() -> Scanner {
        Scanner { steps: [Step::default(); FIELDS + 2], days: [Days::default(); FIELDS] }
    }

    /// Reads the object that starts at `at` into `row`; gives the position after its brace.
    #[inline(always)]
    pub(super) fn read(&mut self, bytes: &[u8], mut at: usize, row: &mut Row) -> Option<usize> {
        row.clear();
        let mut previous = START;
        loop {
            let step = &self.steps[previous];
            let field;
            if step.matches(bytes, at) {
                field = step.field as usize;
                at += step.length as usize;
            } else {
                (field, at) = self.key(bytes, at, previous)?;
            }
            at = if field < FIELDS {
                self.value(bytes, at, field, row)?
            } else {
                row.unknown += 1;
                skip(bytes, at)?
            };
            previous = field;
            match *bytes.get(at)? {
                b',' => {}
                b'}' => return Some(at + 1),
                _ => {
                    let end = skip_space(bytes, at);
                    match *bytes.get(end)? {
                        // The step to the next value starts where this value ended.
                        b',' => {}
                        b'}' => return Some(end + 1),
                        _ => return None,
                    }
                }
            }
        }
    }

    /// Reads `{ "name" :` or `, "name" :` and remembers it.
    #[inline(never)]
    fn key(&mut self, bytes: &[u8], from: usize, previous: usize) -> Option<(usize, usize)> {
        let mut at = skip_space(bytes, from);
        let opens = if previous == START { b'{' } else { b',' };
        if *bytes.get(at)? != opens {
            return None;
        }
        at = skip_space(bytes, at + 1);
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let end = end_of_text(bytes, at + 1)?;
        let field = field_named(bytes.get(at + 1..end)?).unwrap_or(UNKNOWN);
        at = skip_space(bytes, end + 1);
        if *bytes.get(at)? != b':' {
            return None;
        }
        at = skip_space(bytes, at + 1);
        let text = bytes.get(from..at)?;
        if text.len() <= STEP {
            self.steps[previous] = Step::new(text, field);
        }
        Some((field, at))
    }

    #[inline(always)]
    fn value(&mut self, bytes: &[u8], at: usize, field: usize, row: &mut Row) -> Option<usize> {
        if row.named & bit(field) != 0 {
            return None;
        }
        row.named |= bit(field);
        let first = *bytes.get(at)?;
        if first == b'n' {
            return literal(bytes, at, b"null");
        }
        match KINDS[field] {
            Kind::Text(limit) => {
                let (start, end) = text(bytes, at)?;
                if end - start > limit {
                    return None;
                }
                row.set_text(field, start, end - start);
                Some(end + 1)
            }
            Kind::Words(words) => {
                let (start, end) = text(bytes, at)?;
                let code = word_code(words, &bytes[start..end])?;
                row.set_word(field, start, end - start, code);
                Some(end + 1)
            }
            Kind::Time => {
                let (micros, end) = self.instant(bytes, at, field)?;
                row.set(field, micros as u64);
                Some(end)
            }
            Kind::Int => {
                let (value, end) = integer(bytes, at)?;
                row.set(field, value as u64);
                Some(end)
            }
            Kind::Float => {
                let (value, end) = float(bytes, at)?;
                row.set(field, value.to_bits());
                Some(end)
            }
            Kind::Bool => {
                let end = truth(bytes, at)?;
                row.set(field, u64::from(first == b't'));
                Some(end)
            }
        }
    }

    #[inline(always)]
    fn instant(&mut self, bytes: &[u8], at: usize, field: usize) -> Option<(i64, usize)> {
        if bytes[at] != b'"' {
            return None;
        }
        if let Some((micros, end)) = self.days[field].read(bytes, at + 1)
            && bytes.get(end) == Some(&b'"')
        {
            return Some((micros, end + 1));
        }
        unusual_instant(bytes, at)
    }
}

#[cold]
fn unusual_instant(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (start, end) = text(bytes, at)?;
    let text = std::str::from_utf8(&bytes[start..end]).ok()?;
    Some((read_any(text)?, end + 1))
}

/// A text's start and end, without its quotes.
#[inline(always)]
fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    Some((at + 1, end_of_text(bytes, at + 1)?))
}

/// The position of the closing quote of a text without escapes.
#[inline(always)]
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let stops = stops(word);
        if stops != 0 {
            let shift = stops.trailing_zeros() & !7;
            return ((word >> shift) as u8 == b'"').then_some(at + shift as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    (rest[stop] == b'"').then_some(at + stop)
}

/// The top bit of the first byte that is a quote, a backslash or a control character; bits above
/// the lowest one mean nothing.
#[inline(always)]
fn stops(word: u64) -> u64 {
    let quote = word ^ (LOW_BITS * b'"' as u64);
    let escape = word ^ (LOW_BITS * b'\\' as u64);
    let zero_quote = quote.wrapping_sub(LOW_BITS) & !quote;
    let zero_escape = escape.wrapping_sub(LOW_BITS) & !escape;
    let control = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    (zero_quote | zero_escape | control) & TOP_BITS
}

/// Past spaces, tabs and carriage returns. A line feed ends a line, so it is never skipped here.
#[inline(always)]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[inline(always)]
fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn truth(bytes: &[u8], at: usize) -> Option<usize> {
    literal(bytes, at, b"true").or_else(|| literal(bytes, at, b"false"))
}

/// Digits from `at` on, at most 18 and without a leading zero: their value and their end.
fn digits(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut end = at;
    let mut value = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        if end - at == 18 {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
        end += 1;
    }
    let leading_zero = end - at > 1 && bytes[at] == b'0';
    (end > at && !leading_zero).then_some((value, end))
}

/// A whole number in plain digits. What follows it is checked by the caller, so `3.0` and `3e1`
/// are not taken.
fn integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = *bytes.get(at)? == b'-';
    let (value, end) = digits(bytes, at + usize::from(negative))?;
    match (negative, value) {
        (true, 0) => None,
        (true, _) => Some((-value, end)),
        (false, _) => Some((value, end)),
    }
}

/// A number of at most 15 digits without an exponent: digits and power of ten are both exact as
/// doubles, so their quotient is the nearest double.
fn float(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    const LARGEST: i64 = 999_999_999_999_999;
    let negative = *bytes.get(at)? == b'-';
    let (mut value, mut end) = digits(bytes, at + usize::from(negative))?;
    let mut scale = 1.0;
    if bytes.get(end) == Some(&b'.') {
        let from = end + 1;
        end = from;
        while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
            if value > LARGEST {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
            scale *= 10.0;
            end += 1;
        }
        if end == from || end - from > 15 {
            return None;
        }
    } else if negative && value == 0 {
        return None;
    }
    if value > LARGEST {
        return None;
    }
    let value = value as f64 / scale;
    Some((if negative { -value } else { value }, end))
}

/// Past an unknown field's value, when it is plain.
fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => Some(end_of_text(bytes, at + 1)? + 1),
        b'n' => literal(bytes, at, b"null"),
        b't' | b'f' => truth(bytes, at),
        _ => Some(float(bytes, at)?.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_its_first_stop() {
        for length in 0..40 {
            let plain = "é-x".repeat(length);
            for (stop, found) in [("\"", true), ("\\", false), ("\n", false), ("\u{1f}", false)] {
                for after in ["", "\"", "\" and some more \\ text \" behind it"] {
                    let all = format!("{plain}{stop}{after}");
                    let expected = found.then_some(plain.len());
                    assert_eq!(end_of_text(all.as_bytes(), 0), expected, "{all:?}");
                }
            }
            assert_eq!(end_of_text(plain.as_bytes(), 0), None);
        }
    }

    #[test]
    fn numbers_in_plain_digits_are_read() {
        let whole = |text: &str| integer(text.as_bytes(), 0);
        assert_eq!(whole("0,"), Some((0, 1)));
        assert_eq!(whole("-12}"), Some((-12, 3)));
        assert_eq!(whole("999999999999999999 "), Some((999_999_999_999_999_999, 18)));
        for text in ["-0", "012", "1234567890123456789", "-", "+1", "x"] {
            assert_eq!(whole(text), None, "{text}");
        }
        let real = |text: &str| float(text.as_bytes(), 0);
        assert_eq!(real("4.35,"), Some((4.35, 4)));
        assert_eq!(real("-0.001}"), Some((-0.001, 6)));
        assert_eq!(real("60"), Some((60.0, 2)));
        for text in ["1.", ".5", "1234567890.1234567", "01.5", "-0", "NaN"] {
            assert_eq!(real(text), None, "{text}");
        }
    }
}
