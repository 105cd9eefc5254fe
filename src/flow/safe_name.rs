//! Any text → a text that may stand in a path, and back.
//!
//! Different texts never share a name. What names are for is not known here.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// Longer names are cut and get a hash, so that a whole file name stays below the 255 bytes that
/// file systems allow.
const MAX_NAME_BYTES: usize = 160;
/// How much of a longer name is kept. With `-h` and 32 hex digits it is one byte longer than any
/// uncut name, so the two never meet.
const KEPT_NAME_BYTES: usize = MAX_NAME_BYTES + 1 - 34;

/// A text made fit for a path segment.
///
/// Holds only `A-Z a-z 0-9 . _ -`. Every other byte is written `-xHH`, as is a leading `.` or `_`
/// (readers skip such files) and a `-` that would read as an escape; so different texts have
/// different names. Kafka's topic names and SQL's table names stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeName(String);

impl SafeName {
    /// The name of `text`.
    pub fn of(text: &str) -> SafeName {
        let bytes = text.as_bytes();
        let mut name = String::with_capacity(bytes.len());
        for (i, &byte) in bytes.iter().enumerate() {
            let plain = match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => true,
                b'.' | b'_' => i > 0,
                b'-' => !begins_escape(&bytes[i..]),
                _ => false,
            };
            if plain {
                name.push(char::from(byte));
            } else {
                push_escape(&mut name, byte);
            }
        }
        if name.len() > MAX_NAME_BYTES {
            name.truncate(KEPT_NAME_BYTES);
            name.push_str("-h");
            name.push_str(&format!("{:032x}", xxh3_128(bytes)));
        }
        SafeName(name)
    }

    /// The name as it stands in a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a name out of a path; `None` when no text has this name.
    pub(super) fn from_segment(segment: &str) -> Option<SafeName> {
        if is_cut(segment) {
            return Some(SafeName(segment.to_owned()));
        }
        let text = unescape(segment)?;
        let name = SafeName::of(&text);
        (name.0 == segment).then_some(name)
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn begins_escape(bytes: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    matches!(bytes, [b'-', b'x', high, low, ..] if digit(high) && digit(low))
}

fn push_escape(name: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    name.push_str("-x");
    name.push(char::from(HEX[usize::from(byte >> 4)]));
    name.push(char::from(HEX[usize::from(byte & 15)]));
}

fn unescape(segment: &str) -> Option<String> {
    let bytes = segment.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if begins_escape(&bytes[i..]) {
            text.push(u8::from_str_radix(segment.get(i + 2..i + 4)?, 16).ok()?);
            i += 4;
        } else {
            text.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(text).ok()
}

/// Whether the segment is a name that was cut.
fn is_cut(segment: &str) -> bool {
    let lower_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let bytes = segment.as_bytes();
    bytes.len() == MAX_NAME_BYTES + 1
        && bytes.iter().all(safe)
        && bytes[KEPT_NAME_BYTES..].starts_with(b"-h")
        && bytes[KEPT_NAME_BYTES + 2..].iter().all(lower_hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_made_safe() {
        for (text, name) in [
            ("lab.events_v1", "lab.events_v1"),
            ("data/a b.ndjson", "data-x2Fa-x20b.ndjson"),
            ("_hidden", "-x5Fhidden"),
            ("..", "-x2E."),
            ("a-x2Fb", "a-x2Dx2Fb"),
            ("é", "-xC3-xA9"),
            ("", ""),
        ] {
            assert_eq!(SafeName::of(text).as_str(), name);
            assert_eq!(SafeName::from_segment(name), Some(SafeName::of(text)));
        }
    }

    proptest! {
        #[test]
        fn short_names_give_back_their_text(text in "[-a-c_.x0-9A-F/é]{0,12}") {
            let name = SafeName::of(&text);
            prop_assert_eq!(unescape(name.as_str()), Some(text));
        }
    }
}
