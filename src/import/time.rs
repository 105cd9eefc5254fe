//! Timestamps as laboratories write them into instants in UTC.
//!
//! A text with a zone of its own is taken by it, any other by the file's time zone. A local time
//! that the clocks skip is refused, one that they repeat is the earlier. A date such as 03/04/2026
//! is never guessed at: the map has to say which order it is in.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use super::number::shown;
use crate::flow::{Span, Timestamp};

/// Which of the two numbers before the year is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// 31/12/2026.
    DayFirst,
    /// 12/31/2026.
    MonthFirst,
}

/// How the file writes its times.
#[derive(Clone, Copy, Debug)]
pub struct TimeReader {
    /// The zone of times that carry none.
    pub zone: Tz,
    /// The order of dates with the year last. `None`: such dates are refused.
    pub order: Option<DateOrder>,
}

/// The zone a time was written with.
enum WrittenZone {
    Local,
    OffsetSeconds(i64),
}

impl TimeReader {
    /// Reads one timestamp: RFC 3339 and its relatives (`2026-03-01 08:30`, a date alone is its
    /// midnight), `31.12.2026 8:30`, `12/31/2026 8:30 PM` (by [`DateOrder`]), `31-Dec-2026`, HL7's
    /// `20260301083000`, and seconds (10 digits), milliseconds (13) or microseconds (16) since
    /// 1970. The error says what is wrong with the text.
    pub fn read(&self, text: &str) -> Result<Timestamp, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return self.read_digits(text);
        }
        let mut cursor = TimeCursor { text, rest: text };
        let date = cursor.date(self.order)?;
        let time = cursor.time_after_date()?;
        let written = cursor.zone()?;
        self.place(date.and_time(time), &written, text)
    }

    /// Reads a date column and a time-of-day column as one timestamp.
    pub fn read_parts(&self, date: &str, time: &str) -> Result<Timestamp, String> {
        self.read(&format!("{date} {time}"))
    }

    fn read_digits(&self, text: &str) -> Result<Timestamp, String> {
        let number =
            |range: std::ops::Range<usize>| -> Option<u32> { text.get(range)?.parse().ok() };
        let since_epoch = |unit: i64| {
            let count: i64 = text.parse().map_err(|_| not_a_time(text))?;
            let micros = count.checked_mul(unit).ok_or_else(|| not_a_time(text))?;
            within_years(Timestamp(micros), text)
        };
        match text.len() {
            8 | 12 | 14 => {
                let date = number(0..4)
                    .zip(number(4..6).zip(number(6..8)))
                    .and_then(|(y, (m, d))| NaiveDate::from_ymd_opt(y.cast_signed(), m, d));
                let time = NaiveTime::from_hms_opt(
                    number(8..10).unwrap_or(0),
                    number(10..12).unwrap_or(0),
                    number(12..14).unwrap_or(0),
                );
                let local = date.zip(time).map(|(date, time)| date.and_time(time));
                self.place(local.ok_or_else(|| not_a_time(text))?, &WrittenZone::Local, text)
            }
            10 => since_epoch(Span::SECOND.0),
            13 => since_epoch(1_000),
            16 => since_epoch(1),
            _ => Err(not_a_time(text)),
        }
    }

    fn place(
        &self,
        local: NaiveDateTime,
        written: &WrittenZone,
        text: &str,
    ) -> Result<Timestamp, String> {
        let at = match written {
            WrittenZone::OffsetSeconds(seconds) => {
                Timestamp(local.and_utc().timestamp_micros()).minus(Span(seconds * Span::SECOND.0))
            }
            WrittenZone::Local => {
                let instant =
                    self.zone.from_local_datetime(&local).earliest().ok_or_else(|| {
                        format!("`{text}` does not exist in {}: the clocks skip it", self.zone)
                    })?;
                Timestamp(instant.timestamp_micros())
            }
        };
        within_years(at, text)
    }
}

/// Refuses what lies outside of the years that events may have.
pub(super) fn within_years(at: Timestamp, text: &str) -> Result<Timestamp, String> {
    // 9999-12-31T23:59:59.999999Z
    const LAST: Timestamp = Timestamp(253_402_300_799_999_999);
    if at.0 < 0 || at > LAST {
        return Err(format!("`{}` lies outside of the years 1970 to 9999", shown(text)));
    }
    Ok(at)
}

fn not_a_time(text: &str) -> String {
    format!("`{}` is not a time", shown(text))
}

/// What is left to read of a text.
struct TimeCursor<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> TimeCursor<'a> {
    fn wrong(&self) -> String {
        not_a_time(self.text)
    }

    /// The run of characters ahead for which `accept` holds.
    fn run(&mut self, accept: fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c: char| !accept(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    fn eat(&mut self, accept: &[char]) -> Option<char> {
        let next = self.rest.chars().next().filter(|c| accept.contains(c))?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn date(&mut self, order: Option<DateOrder>) -> Result<NaiveDate, String> {
        let first = self.run(char::is_alphanumeric);
        let separator = self.eat(&['-', '/', '.', ' ']).ok_or_else(|| self.wrong())?;
        let second = self.run(char::is_alphanumeric);
        if self.eat(&['-', '/', '.', ' ', ',']).is_none() {
            return Err(self.wrong());
        }
        self.run(|c| c == ' ');
        let third = self.run(|c| c.is_ascii_digit());
        if first.len() > 4 && first.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{}` lies outside of the years 1970 to 9999", shown(self.text)));
        }
        let (year, month, day) = if first.len() == 4 {
            (first, second, third)
        } else if month_of(second).is_some() {
            (third, second, first)
        } else if month_of(first).is_some() {
            (third, first, second)
        } else if separator == '.' {
            (third, second, first)
        } else {
            match order {
                Some(DateOrder::DayFirst) => (third, second, first),
                Some(DateOrder::MonthFirst) => (third, first, second),
                None => return Err(self.needs_order()),
            }
        };
        let month = month_of(month).or_else(|| month.parse().ok());
        let day = day.parse().ok().filter(|_| day.len() <= 2);
        year.parse()
            .ok()
            .filter(|_| year.len() == 4)
            .zip(month.zip(day))
            .and_then(|(year, (month, day))| NaiveDate::from_ymd_opt(year, month, day))
            .ok_or_else(|| self.wrong())
    }

    fn needs_order(&self) -> String {
        format!(
            "`{}` may have its day or its month first; say `date_order: day_first` or \
             `date_order: month_first` under `source`",
            shown(self.text)
        )
    }

    /// The time of day; midnight when the text ends with the date.
    fn time_after_date(&mut self) -> Result<NaiveTime, String> {
        if self.eat(&['T', 't', ' ', ',']).is_none() {
            return if self.rest.is_empty() { Ok(NaiveTime::MIN) } else { Err(self.wrong()) };
        }
        self.run(|c| c == ' ');
        let mut hour = self.two_digits()?;
        self.eat(&[':']).ok_or_else(|| self.wrong())?;
        let minute = self.two_digits()?;
        let second = if self.eat(&[':']).is_some() { self.two_digits()? } else { 0 };
        let micros = if self.eat(&['.', ',']).is_some() { self.fraction()? } else { 0 };
        self.run(|c| c == ' ');
        let half = self.rest.get(..2).unwrap_or("").to_ascii_uppercase();
        if half == "AM" || half == "PM" {
            if !(1..=12).contains(&hour) {
                return Err(self.wrong());
            }
            hour = hour % 12 + if half == "PM" { 12 } else { 0 };
            self.rest = &self.rest[2..];
        }
        NaiveTime::from_hms_micro_opt(hour, minute, second, micros).ok_or_else(|| self.wrong())
    }

    fn two_digits(&mut self) -> Result<u32, String> {
        let digits = self.run(|c| c.is_ascii_digit());
        digits.parse().ok().filter(|_| digits.len() <= 2).ok_or_else(|| self.wrong())
    }

    /// Digits after the second's point as microseconds; what is finer is cut off.
    fn fraction(&mut self) -> Result<u32, String> {
        let digits = self.run(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.wrong());
        }
        let micros = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
        Ok(micros.fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0')))
    }

    fn zone(&mut self) -> Result<WrittenZone, String> {
        self.run(|c| c == ' ');
        match self.rest {
            "" => return Ok(WrittenZone::Local),
            "Z" | "z" | "UTC" | "GMT" => return Ok(WrittenZone::OffsetSeconds(0)),
            _ => {}
        }
        let sign = match self.eat(&['+', '-', '\u{2212}']) {
            Some('+') => 1,
            Some(_) => -1,
            None => return Err(self.wrong()),
        };
        let digits: String = self.rest.chars().filter(|c| *c != ':').collect();
        let parsed = match (digits.len(), digits.parse::<i64>()) {
            (2, Ok(hours)) => Some((hours, 0)),
            (4, Ok(both)) => Some((both / 100, both % 100)),
            _ => None,
        };
        match parsed {
            Some((hours, minutes)) if hours < 24 && minutes < 60 => {
                Ok(WrittenZone::OffsetSeconds(sign * (hours * 3600 + minutes * 60)))
            }
            Some(_) | None => Err(self.wrong()),
        }
    }
}

/// The number of a month by its English name or its first three letters.
fn month_of(name: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let name = name.to_ascii_lowercase();
    let index = MONTHS
        .iter()
        .position(|month| *month == name || (name.len() == 3 && month.starts_with(&name)))?;
    u32::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(zone: Tz, order: Option<DateOrder>) -> TimeReader {
        TimeReader { zone, order }
    }

    fn read(text: &str) -> Option<String> {
        reader(Tz::UTC, None).read(text).ok().map(Timestamp::to_rfc3339)
    }

    #[test]
    fn common_forms_are_read() {
        for text in [
            "2026-03-01T08:30:00Z",
            "2026-03-01T09:30:00+01:00",
            "2026-03-01T03:30:00-0500",
            "2026-03-01 08:30",
            "2026-03-01 08:30:00 UTC",
            "2026/03/01 8:30",
            "2026-03-01 08:30:00.000000",
            "01.03.2026 08:30",
            "1.3.2026, 8:30",
            "01-Mar-2026 08:30 AM",
            "March 1, 2026 8:30 am",
            "20260301083000",
            "202603010830",
            "1772353800",
            "1772353800000",
            "1772353800000000",
        ] {
            assert_eq!(read(text).as_deref(), Some("2026-03-01T08:30:00Z"), "{text}");
        }
        assert_eq!(read("2026-03-01").as_deref(), Some("2026-03-01T00:00:00Z"));
        assert_eq!(read("20260301").as_deref(), Some("2026-03-01T00:00:00Z"));
        assert_eq!(
            read("2026-03-01T08:30:00.1234569Z").as_deref(),
            Some("2026-03-01T08:30:00.123456Z")
        );
        let parts =
            reader(Tz::UTC, None).read_parts("2024-01-15", "08:30").map(Timestamp::to_rfc3339);
        assert_eq!(parts.as_deref(), Ok("2024-01-15T08:30:00Z"));
    }

    #[test]
    fn a_zone_is_applied_only_where_none_is_written() {
        let berlin = reader(Tz::Europe__Berlin, None);
        let winter = berlin.read("2026-03-01 08:30").map(Timestamp::to_rfc3339);
        assert_eq!(winter.as_deref(), Ok("2026-03-01T07:30:00Z"));
        let summer = berlin.read("2026-07-01 08:30").map(Timestamp::to_rfc3339);
        assert_eq!(summer.as_deref(), Ok("2026-07-01T06:30:00Z"));
        let own = berlin.read("2026-07-01T08:30:00Z").map(Timestamp::to_rfc3339);
        assert_eq!(own.as_deref(), Ok("2026-07-01T08:30:00Z"));
        // 2026-03-29: from 02:00 to 03:00 the clocks go forward; 2026-10-25: from 03:00 back.
        assert_eq!(
            berlin.read("2026-03-29 02:30"),
            Err("`2026-03-29 02:30` does not exist in Europe/Berlin: the clocks skip it".to_owned())
        );
        let twice = berlin.read("2026-10-25 02:30").map(Timestamp::to_rfc3339);
        assert_eq!(twice.as_deref(), Ok("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn the_order_of_day_and_month_is_asked_for() {
        assert!(
            reader(Tz::UTC, None)
                .read("03/04/2026 08:30")
                .is_err_and(|why| why.contains("date_order"))
        );
        let day = reader(Tz::UTC, Some(DateOrder::DayFirst)).read("03/04/2026 08:30");
        assert_eq!(day.map(Timestamp::to_rfc3339).as_deref(), Ok("2026-04-03T08:30:00Z"));
        let month = reader(Tz::UTC, Some(DateOrder::MonthFirst)).read("03/04/2026 12:05 AM");
        assert_eq!(month.map(Timestamp::to_rfc3339).as_deref(), Ok("2026-03-04T00:05:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "20244-01-16",
            "2026-13-01",
            "2026-02-30",
            "2026-03-01T25:00:00Z",
            "2026-03-01 08",
            "2026-03-01X08:30",
            "1969-12-31",
            "26-03-01",
            "2026-03-01 13:00 PM",
            "2026-03-01 08:30 MEZ",
            "123",
            "COVID-19",
            "2026-03-01T08:30:00+2500",
            "2026-03-011",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
