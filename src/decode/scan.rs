//! The fast reader: one flat JSON object of plain shape into the block's next row, in one pass.
//!
//! It takes a record only when it is certain of every byte; anything else (an escape, a nested
//! value, a repeated key, a blank text, an unusual number, a fault of any kind) is `None`, and `careful` reads
//! the record again and decides. So it never refuses a record, and what it takes, `careful` takes
//! with the same row.
//!
//! Records of one feed look alike, so it remembers, for each field, the exact bytes that led from
//! the end of that field's value to the next value (`","assay":"` without the first quote), and
//! compares those first. The bytes must be valid UTF-8 wherever a record is taken.

use super::block::{Block, COLUMNS, RowBeside};
use super::fields::{FIELDS, IDS, KINDS, ValueKind, bit, field_named, word_code};
use super::instant::{Days, read_any};
use super::stops::plain_length;

/// "Previous field" at the start of a record.
const START: usize = FIELDS;
/// "Previous field" after an unknown one, and the field number of unknown ones.
const UNKNOWN: usize = FIELDS + 1;

/// The longest run of bytes between two values that is remembered.
const LONGEST: usize = 32;

/// What stands behind a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A known field's text, without its opening quote.
    Text,
    /// A known field's text that must be one of its words, without its opening quote.
    Word,
    /// An instant's text, without its opening quote.
    Time,
    /// Nothing: the step includes the value, null.
    Null,
    /// A known field's value of any other kind.
    Other,
    /// An unknown field's value.
    Unknown,
    /// Nothing: the step is the object's end.
    End,
}

/// Every byte, see [`ScanStep::begins`].
const ANY: (u8, u8) = (0, u8::MAX);
/// From `#` to `~`: neither a space of any alphabet nor a quote.
const NOT_BLANK: (u8, u8) = (b'#', b'~' - b'#');

/// What led from one value to the next, the last time.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct ScanStep {
    bytes: [[u8; 16]; 2],
    mask: [[u8; 16]; 2],
    length: usize,
    field: usize,
    /// The longest text that the field takes.
    limit: usize,
    /// The bytes with which a text may begin: the first, and how many more there are. Of an id those
    /// that say something for sure; `careful` looks into the others, which may be blank.
    begins: (u8, u8),
    next: Next,
    /// The words that the field takes.
    words: &'static [&'static str],
}

impl ScanStep {
    /// Matches nothing: the byte 0xff is never valid.
    const NONE: ScanStep = ScanStep {
        bytes: [[u8::MAX; 16]; 2],
        mask: [[u8::MAX; 16]; 2],
        length: 0,
        field: UNKNOWN,
        limit: 0,
        begins: ANY,
        next: Next::Unknown,
        words: &[],
    };

    /// A step of these bytes; one that is too long matches nothing later.
    fn new(text: &[u8], field: usize, next: Next) -> ScanStep {
        let mut step = ScanStep { length: text.len(), field, next, ..ScanStep::NONE };
        if text.len() <= LONGEST {
            let (mut bytes, mut mask) = ([0; LONGEST], [0; LONGEST]);
            bytes[..text.len()].copy_from_slice(text);
            mask[..text.len()].fill(u8::MAX);
            for half in 0..2 {
                step.bytes[half].copy_from_slice(&bytes[half * 16..half * 16 + 16]);
                step.mask[half].copy_from_slice(&mask[half * 16..half * 16 + 16]);
            }
        }
        step
    }

    /// A step to a value of a known field; `None` when the value cannot be of the field's kind.
    fn to_field(text: &[u8], field: usize, quoted: bool) -> Option<ScanStep> {
        let (next, limit, words): (Next, usize, &'static [&'static str]) = match KINDS[field] {
            ValueKind::Text(limit) => (Next::Text, limit, &[]),
            ValueKind::Words(words) => (Next::Word, usize::MAX, words),
            ValueKind::Time => (Next::Time, usize::MAX, &[]),
            ValueKind::Int | ValueKind::Float | ValueKind::Bool => (Next::Other, usize::MAX, &[]),
        };
        let fits = quoted == matches!(next, Next::Text | Next::Word | Next::Time);
        let begins = if bit(field) & IDS == 0 { ANY } else { NOT_BLANK };
        fits.then_some(ScanStep { limit, begins, words, ..ScanStep::new(text, field, next) })
    }

    #[inline(always)]
    fn matches(&self, rest: &[u8]) -> bool {
        let Some(text) = rest.first_chunk::<LONGEST>() else {
            return false;
        };
        let (halves, _) = text.as_chunks::<16>();
        let differ = |i: usize| {
            let bits = |bytes: &[u8; 16]| u128::from_le_bytes(*bytes);
            (bits(&halves[i]) ^ bits(&self.bytes[i])) & bits(&self.mask[i])
        };
        differ(0) == 0 && (self.length <= 16 || differ(1) == 0)
    }
}

/// The reader with what it has learned about the feed. What it has learned changes its speed, never
/// its answer.
#[derive(Debug)]
pub(super) struct Scanner {
    steps: [ScanStep; COLUMNS],
    days: [Days; COLUMNS],
}

impl Scanner {
    pub(super) fn new() -> Scanner {
        Scanner { steps: [ScanStep::NONE; COLUMNS], days: [Days::default(); COLUMNS] }
    }

    /// Reads the object that starts at `at` into the block's next row; gives the position behind it.
    #[inline(never)]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        at: usize,
        block: &mut Block,
    ) -> Option<(RowBeside, usize)> {
        let (mut row, _, _) = block.begin();
        let mut rest = bytes.get(at..)?;
        let mut previous = START;
        let (mut nulls, mut known) = (0, 0);
        loop {
            let mut step = &self.steps[previous % COLUMNS];
            if !step.matches(rest) {
                self.learn(rest, previous)?;
                step = &self.steps[previous % COLUMNS];
            }
            rest = rest.get(step.length..)?;
            let field = step.field % COLUMNS;
            known += 1;
            previous = field;
            let consumed = if step.next == Next::Text {
                let length = plain_length(rest)?;
                // Where there is no text its quote is the first.
                let begins = rest
                    .first()
                    .is_some_and(|byte| byte.wrapping_sub(step.begins.0) <= step.begins.1);
                if length > step.limit || !begins {
                    return None;
                }
                row.set_text(field, bytes.len() - rest.len(), length);
                length + 1
            } else if step.next == Next::Time {
                let (micros, consumed) = instant(&mut self.days[field], rest)?;
                row.set(field, micros as u64);
                consumed
            } else if step.next == Next::Word {
                let length = plain_length(rest)?;
                let code = word_code(step.words, &rest[..length])?;
                row.set_coded(field, bytes.len() - rest.len(), length, code);
                length + 1
            } else if step.next == Next::Null {
                nulls |= bit(field);
                0
            } else if step.next == Next::Other {
                let (word, consumed) = other(rest, field)?;
                row.set(field, word);
                consumed
            } else if step.next == Next::Unknown {
                known -= 1;
                row.count_unknown();
                skip(rest)?
            } else {
                // A key that came twice leaves fewer fields than keys.
                let fields = (row.present() | nulls).count_ones();
                return (fields + 1 == known).then(|| (row.end(), bytes.len() - rest.len()));
            };
            rest = rest.get(consumed..)?;
        }
    }

    /// Reads `{ "name" : "`, `, "name" : "` or `}` and remembers it as the step from `previous`.
    #[inline(never)]
    fn learn(&mut self, rest: &[u8], previous: usize) -> Option<()> {
        let mut at = skip_space(rest, 0);
        let first = *rest.get(at)?;
        if first == b'}' && previous != START {
            self.steps[previous] = ScanStep::new(&rest[..=at], START, Next::End);
            return Some(());
        }
        if first != if previous == START { b'{' } else { b',' } {
            return None;
        }
        at = skip_space(rest, at + 1);
        if *rest.get(at)? != b'"' {
            return None;
        }
        let name = rest.get(at + 1..)?;
        let name = &name[..plain_length(name)?];
        at = skip_space(rest, at + name.len() + 2);
        if *rest.get(at)? != b':' {
            return None;
        }
        at = skip_space(rest, at + 1);
        let value = rest.get(at..)?;
        let quoted = value.first() == Some(&b'"');
        let step = match field_named(name) {
            None => ScanStep::new(&rest[..at], UNKNOWN, Next::Unknown),
            Some(field) if value.starts_with(b"null") => {
                ScanStep::new(&rest[..at + 4], field, Next::Null)
            }
            Some(field) => ScanStep::to_field(&rest[..at + usize::from(quoted)], field, quoted)?,
        };
        self.steps[previous] = step;
        Some(())
    }
}

/// An instant and its length with the closing quote.
#[inline(always)]
fn instant(days: &mut Days, rest: &[u8]) -> Option<(i64, usize)> {
    match days.read(rest) {
        Some((micros, length)) if rest.get(length) == Some(&b'"') => Some((micros, length + 1)),
        Some(_) | None => unusual_instant(rest),
    }
}

#[cold]
fn unusual_instant(rest: &[u8]) -> Option<(i64, usize)> {
    let length = plain_length(rest)?;
    let text = std::str::from_utf8(&rest[..length]).ok()?;
    Some((read_any(text)?, length + 1))
}

/// A number's or truth's bits and its length.
fn other(rest: &[u8], field: usize) -> Option<(u64, usize)> {
    match KINDS[field] {
        ValueKind::Int => integer(rest, 0).map(|(value, end)| (value as u64, end)),
        ValueKind::Float => float(rest, 0).map(|(value, end)| (value.to_bits(), end)),
        ValueKind::Bool => truth(rest, 0).map(|end| (u64::from(rest[0] == b't'), end)),
        ValueKind::Text(_) | ValueKind::Words(_) | ValueKind::Time => None,
    }
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

/// The length of an unknown field's value, when it is plain.
fn skip(rest: &[u8]) -> Option<usize> {
    match *rest.first()? {
        b'"' => Some(plain_length(&rest[1..])? + 2),
        b'n' => literal(rest, 0, b"null"),
        b't' | b'f' => truth(rest, 0),
        _ => Some(float(rest, 0)?.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
