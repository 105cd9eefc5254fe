//! A place in the order of what fired, and its text: the id of an event.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// A place: behind some rows of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPlace {
    /// When the object was put, by the store's clock, in microseconds.
    pub put_at: i64,
    /// The hash of its name.
    pub name: u64,
    /// How many of its rows lie before.
    pub rows: u64,
}

impl StreamPlace {
    /// The place before all rows of an object.
    pub fn before(put_at: i64, name: &str) -> StreamPlace {
        StreamPlace { put_at, name: xxh3_64(name.as_bytes()), rows: 0 }
    }

    /// The place behind all rows of the same object.
    pub fn behind(self) -> StreamPlace {
        StreamPlace { rows: u64::MAX, ..self }
    }

    /// The place behind some rows of the same object.
    pub fn at(self, rows: u64) -> StreamPlace {
        StreamPlace { rows, ..self }
    }

    /// Whether two places are within one object.
    pub fn is_within(self, other: StreamPlace) -> bool {
        (self.put_at, self.name) == (other.put_at, other.name)
    }

    /// Reads an event's id.
    pub fn parse(text: &str) -> Option<StreamPlace> {
        let mut parts = text.split('-');
        let put_at = i64::from_str_radix(parts.next()?, 16).ok()?;
        let name = u64::from_str_radix(parts.next()?, 16).ok()?;
        let rows = match parts.next()? {
            "all" => u64::MAX,
            rows => rows.parse().ok()?,
        };
        let place = StreamPlace { put_at, name, rows };
        (place.to_string() == text).then_some(place)
    }
}

impl fmt::Display for StreamPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:016x}-", self.put_at.max(0), self.name)?;
        if self.rows == u64::MAX { f.write_str("all") } else { write!(f, "{}", self.rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_ordered_by_object_then_row() {
        let first = StreamPlace::before(16, "a");
        assert!(first < first.at(1) && first.at(1) < first.behind());
        assert!(first.behind() < StreamPlace::before(17, "a"));
        assert!(first.at(3).is_within(first.behind()));
        assert!(first.to_string().starts_with("10-") && first.to_string().ends_with("-0"));
        for text in ["", "10", "10-1", "10-1-x", "010-0000000000000001-0", "-1-1-1"] {
            assert_eq!(StreamPlace::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse(put_at in 0..i64::MAX, name: u64, rows: u64) {
            let place = StreamPlace { put_at, name, rows };
            prop_assert_eq!(StreamPlace::parse(&place.to_string()), Some(place));
        }
    }
}
