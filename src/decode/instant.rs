//! RFC 3339 in the shapes that machines write, by integer arithmetic: `2026-03-01T12:34:56Z`, with
//! or without a fraction, with `Z` or `+hh:mm`. Any other text is left to chrono, which also says
//! what is valid: for every text that [`Days::read`] takes, [`Timestamp::parse_rfc3339`] gives the
//! same instant.

use crate::flow::{Span, Timestamp};

/// The first instant after the year 9999.
const END_OF_TIME: i64 = 253_402_300_800 * Span::SECOND.0;

const ZEROS: u64 = u64::from_le_bytes(*b"00:00:00");
/// Added to a digit's value (or to 0 at a colon), sets the byte's top bit when it is too large.
const OVERFLOW: u64 = u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76]);
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

/// Whether an instant lies in the years 1970 to 9999.
pub(super) fn in_range(micros: i64) -> bool {
    (0..END_OF_TIME).contains(&micros)
}

/// Reads any RFC 3339 text; `None` when it is none, or outside of the years 1970 to 9999.
pub(super) fn read_any(text: &str) -> Option<i64> {
    Timestamp::parse_rfc3339(text).map(|instant| instant.0).filter(|micros| in_range(*micros))
}

/// The last date read: neighbouring records mostly share it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Days {
    /// The eight bytes `YYYY-MM-`, or 0.
    head: u64,
    /// The three bytes `DDT`.
    tail: u64,
    /// The date's midnight.
    micros: i64,
}

impl Days {
    /// Reads the instant that `rest` begins with; gives it and its length. `None` when it is not
    /// of the common shapes.
    #[inline(always)]
    pub(super) fn read(&mut self, rest: &[u8]) -> Option<(i64, usize)> {
        let text: &[u8; 20] = rest.first_chunk()?;
        let head = word(text, 0);
        let tail = word(text, 8) & 0x00ff_ffff;
        if head != self.head || tail != self.tail {
            *self = Days { head, tail, micros: midnight(text)? };
        }
        let within = seconds_of_day(word(text, 11))?;
        let micros = self.micros + within * Span::SECOND.0;
        if text[19] == b'Z' {
            return Some((micros, 20));
        }
        fraction_and_zone(rest, 19, micros)
    }
}

#[inline(always)]
fn word(text: &[u8; 20], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// `hh:mm:ss` in seconds.
#[inline(always)]
fn seconds_of_day(text: u64) -> Option<i64> {
    let digits = text ^ ZEROS;
    if (digits | digits.wrapping_add(OVERFLOW)) & TOP_BITS != 0 {
        return None;
    }
    let two = |shift: u32| ((digits >> shift) & 0xf) * 10 + ((digits >> (shift + 8)) & 0xf);
    let (hours, minutes, seconds) = (two(0), two(24), two(48));
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some((hours * 3600 + minutes * 60 + seconds) as i64)
}

/// The midnight that begins `YYYY-MM-DDT`.
fn midnight(text: &[u8; 20]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' || text[10] != b'T' {
        return None;
    }
    let year = number(&text[0..4])?;
    let month = number(&text[5..7])?;
    let day = number(&text[8..10])?;
    if year < 1970 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    // Days from civil, after H. Hinnant: years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era = (y % 400) * 365 + (y % 400) / 4 - (y % 400) / 100;
    let days = (y / 400) * 146_097 + of_era + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * Span::DAY.0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// `[.fff…](Z|±hh:mm)` from `at` on. Nanoseconds are cut to microseconds.
fn fraction_and_zone(bytes: &[u8], mut at: usize, whole: i64) -> Option<(i64, usize)> {
    let mut micros = whole;
    if *bytes.get(at)? == b'.' {
        at += 1;
        let (from, mut scale) = (at, Span::SECOND.0);
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            scale /= 10;
            micros += i64::from(digit - b'0') * scale;
            at += 1;
        }
        if at == from || at - from > 9 {
            return None;
        }
    }
    let sign = match *bytes.get(at)? {
        b'Z' => return Some((micros, at + 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let zone = bytes.get(at + 1..at + 6)?;
    let (hours, minutes) = (number(&zone[0..2])?, number(&zone[3..5])?);
    if zone[2] != b':' || hours > 23 || minutes > 59 {
        return None;
    }
    micros -= sign * (hours * Span::HOUR.0 + minutes * Span::MINUTE.0);
    in_range(micros).then_some((micros, at + 6))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i64> {
        let mut padded = text.as_bytes().to_vec();
        padded.push(b'"');
        let (micros, end) = Days::default().read(&padded)?;
        (end == text.len()).then_some(micros)
    }

    #[test]
    fn instants_by_hand() {
        // `date -u -d … +%s`, times a million.
        assert_eq!(read("2026-03-01T00:00:00Z"), Some(1_772_323_200_000_000));
        assert_eq!(read("2024-02-29T23:59:59Z"), Some(1_709_251_199_000_000));
        assert_eq!(read("2000-02-29T00:00:00Z"), Some(951_782_400_000_000));
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("9999-12-31T23:59:59.999999Z"), Some(253_402_300_799_999_999));
        assert_eq!(read("2026-03-01T01:00:00+01:00"), Some(1_772_323_200_000_000));
        assert_eq!(read("2026-02-28T18:30:00.5-05:30"), Some(1_772_323_200_500_000));
        assert_eq!(read("2026-03-01T00:00:00.123456789Z"), Some(1_772_323_200_123_456));
    }

    #[test]
    fn what_does_not_exist_is_not_read() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-00T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "20244-03-01T00:00:00Z",
            "2026-03-01T00:00:00",
            "2026-03-01",
            "1970-01-01T00:00:00+01:00",
            "2026-03-01T00:00:0:Z",
            "2026-03-01T00;00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
            assert_eq!(read_any(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(
            text in "(19[67][0-9]|20[0-9]{2}|9999)-(0[0-9]|1[0-3])-[0-3][0-9][Tt ]\
                     [0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,11})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])?"
        ) {
            if let Some(micros) = read(&text) {
                prop_assert_eq!(read_any(&text), Some(micros));
            }
        }

        #[test]
        fn every_instant_of_the_common_shape_is_read(micros in 0..END_OF_TIME) {
            prop_assert_eq!(read(&Timestamp(micros).to_rfc3339()), Some(micros));
        }
    }
}
