//! Event time: instants and spans in whole microseconds, UTC.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Timestamp {
    /// Before every event: the watermark of a partition that has delivered nothing.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every event: the watermark of an input that has ended.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Reads RFC 3339 with any offset. `None` when the text is not a valid instant or lies
    /// outside of the years 0001 to 9999.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let instant = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp(instant.timestamp_micros()))
    }

    /// RFC 3339 in UTC with as many fractional digits as the instant needs.
    pub fn to_rfc3339(self) -> String {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(instant) => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            None => format!("{} us", self.0),
        }
    }

    /// The compact form used in object names: `20260301T120000Z`, with `.ffffff` when needed.
    pub fn to_compact(self) -> String {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(instant) if self.0.rem_euclid(1_000_000) == 0 => {
                instant.format("%Y%m%dT%H%M%SZ").to_string()
            }
            Some(instant) => instant.format("%Y%m%dT%H%M%S%.6fZ").to_string(),
            None => self.0.to_string(),
        }
    }

    /// The UTC date.
    pub fn date(self) -> NaiveDate {
        DateTime::<Utc>::from_timestamp_micros(self.0)
            .map_or(NaiveDate::MAX, |instant| instant.date_naive())
    }

    /// The first instant of a UTC date.
    pub fn midnight(date: NaiveDate) -> Timestamp {
        Timestamp(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
    }

    /// This instant moved later by `span`, saturating at the ends of time.
    pub fn plus(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }

    /// This instant moved earlier by `span`, saturating at the ends of time.
    pub fn minus(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Span {
    /// One second.
    pub const SECOND: Span = Span(1_000_000);
    /// One minute.
    pub const MINUTE: Span = Span(60 * Span::SECOND.0);
    /// One hour.
    pub const HOUR: Span = Span(60 * Span::MINUTE.0);
    /// Twenty-four hours.
    pub const DAY: Span = Span(24 * Span::HOUR.0);

    /// The span as a standard duration; a negative span is zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }
}

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; write a whole number and a unit, as 90s, 5m, 2h or 7d")]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        let wrong = || SpanError { text: text.to_owned() };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, unit) = trimmed.split_at(split);
        let count: i64 = digits.parse().map_err(|_| wrong())?;
        let unit = match unit.trim() {
            "us" => 1,
            "ms" => 1_000,
            "s" | "sec" => Span::SECOND.0,
            "m" | "min" => Span::MINUTE.0,
            "h" => Span::HOUR.0,
            "d" => Span::DAY.0,
            "w" => 7 * Span::DAY.0,
            _ => return Err(wrong()),
        };
        count.checked_mul(unit).map(Span).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides the span: `90m`, `24h`, `30d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (Span::DAY.0, "d"),
            (Span::HOUR.0, "h"),
            (Span::MINUTE.0, "m"),
            (Span::SECOND.0, "s"),
            (1_000, "ms"),
        ];
        for (unit, name) in units {
            if self.0 != 0 && self.0 % unit == 0 {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}us", self.0)
    }
}

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAY_FROM_CE: i32 = 719_163;

/// Days since 1970-01-01.
pub fn epoch_day(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_DAY_FROM_CE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_days_count_from_1970() {
        let date = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        assert_eq!(epoch_day(date(1970, 1, 1)), 0);
        assert_eq!(epoch_day(date(2026, 3, 1)), 20_513);
    }

    #[test]
    fn spans_read_back_what_they_print() {
        for text in ["90s", "5m", "2h", "7d", "250ms", "1us"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("24h".parse::<Span>(), Ok(Span::DAY));
        for text in ["", "5", "m", "5 fortnights", "-5m", "99999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn instants_are_read_with_any_offset() {
        let noon = Timestamp(1_772_366_400_000_000);
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T12:00:00Z"), Some(noon));
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T13:00:00.000+01:00"), Some(noon));
        assert_eq!(Timestamp::parse_rfc3339("20244-03-01T12:00:00Z"), None);
        assert_eq!(noon.to_rfc3339(), "2026-03-01T12:00:00Z");
        assert_eq!(noon.to_compact(), "20260301T120000Z");
        assert_eq!(noon.date().to_string(), "2026-03-01");
    }
}
