//! Calendar windows: days, weeks, months and shifts by a zone's clock.
//!
//! A period is named by the local date and minute at which it begins; its instants follow from the
//! zone, so a day has 23, 24 or 25 hours. A local time that a change of the clock skips stands for
//! the first instant after the gap, one that happens twice for the first of the two.

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::CalendarUnit;
use crate::flow::local::instant_of;
use crate::flow::{Timestamp, Window};

/// The windows of one calendar unit in one zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    unit: CalendarUnit,
    zone: Tz,
}

/// One calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    /// When it is, as instants.
    pub window: Window,
    /// When it begins on the zone's clock.
    pub local_start: NaiveDateTime,
}

impl Calendar {
    /// The windows of `unit` in `zone`.
    pub fn new(unit: CalendarUnit, zone: Tz) -> Calendar {
        Calendar { unit, zone }
    }

    /// The period that holds an instant.
    pub fn period_of(&self, time: Timestamp) -> Period {
        let utc = DateTime::<Utc>::from_timestamp_micros(time.0).unwrap_or(DateTime::UNIX_EPOCH);
        let local = utc.with_timezone(&self.zone).naive_local();
        let mut start = self.local_start(local);
        let mut period = self.period_from(start);
        // A clock change may put the instant on the other side of a boundary than its local time
        // suggests.
        while period.window.start > time {
            start = self.local_start(start - Duration::minutes(1));
            period = self.period_from(start);
        }
        while period.window.end <= time {
            start = self.next_start(start);
            period = self.period_from(start);
        }
        period
    }

    /// The period after this one.
    pub fn next(&self, period: &Period) -> Period {
        self.period_from(self.next_start(period.local_start))
    }

    fn period_from(&self, local_start: NaiveDateTime) -> Period {
        let start = instant_of(local_start, self.zone);
        let end = instant_of(self.next_start(local_start), self.zone);
        Period { window: Window { start, end }, local_start }
    }

    /// The local time at which the period of a local time begins.
    fn local_start(&self, local: NaiveDateTime) -> NaiveDateTime {
        let date = local.date();
        match &self.unit {
            CalendarUnit::Day => midnight(date),
            CalendarUnit::Week => {
                midnight(date - Days::new(u64::from(date.weekday().num_days_from_monday())))
            }
            CalendarUnit::Month => midnight(date.with_day(1).unwrap_or(date)),
            CalendarUnit::Shift { starts } => {
                let today = starts.iter().rev().map(|start| at_minute(date, *start));
                let yesterday = date - Days::new(1);
                let last = starts.last().map(|start| at_minute(yesterday, *start));
                today.chain(last).find(|start| *start <= local).unwrap_or(midnight(date))
            }
        }
    }

    /// The local time at which the period after the one that begins at `start` begins.
    fn next_start(&self, start: NaiveDateTime) -> NaiveDateTime {
        let date = start.date();
        match &self.unit {
            CalendarUnit::Day => midnight(date + Days::new(1)),
            CalendarUnit::Week => midnight(date + Days::new(7)),
            CalendarUnit::Month => midnight(date + Months::new(1)),
            CalendarUnit::Shift { starts } => {
                let today = starts.iter().map(|minute| at_minute(date, *minute));
                let first = starts.first().map(|minute| at_minute(date + Days::new(1), *minute));
                let next = today.chain(first).find(|next| *next > start);
                next.unwrap_or(midnight(date + Days::new(1)))
            }
        }
    }
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(chrono::NaiveTime::MIN)
}

fn at_minute(date: NaiveDate, minute: u16) -> NaiveDateTime {
    midnight(date) + Duration::minutes(i64::from(minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn check(unit: CalendarUnit, zone: Tz, time: &str, start: &str, end: &str) {
        let period = Calendar::new(unit, zone).period_of(at(time));
        assert_eq!(period.window, Window { start: at(start), end: at(end) }, "{time}");
    }

    #[test]
    fn days_have_23_24_and_25_hours() {
        let oslo = chrono_tz::Europe::Oslo;
        let day = || CalendarUnit::Day;
        check(day(), oslo, "2026-03-28T12:00:00Z", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z");
        check(day(), oslo, "2026-03-28T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check(day(), oslo, "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        let new_york = chrono_tz::America::New_York;
        check(
            day(),
            new_york,
            "2026-03-08T12:00:00Z",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
        );
        check(
            day(),
            new_york,
            "2026-11-01T12:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        );
    }

    #[test]
    fn a_midnight_that_the_clock_skips_begins_after_the_gap() {
        // Santiago goes from 24:00 on 5 September 2026 to 01:00 on the 6th.
        let santiago = chrono_tz::America::Santiago;
        check(
            CalendarUnit::Day,
            santiago,
            "2026-09-06T12:00:00Z",
            "2026-09-06T04:00:00Z",
            "2026-09-07T03:00:00Z",
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let utc = chrono_tz::UTC;
        check(
            CalendarUnit::Week,
            utc,
            "2026-03-01T10:00:00Z",
            "2026-02-23T00:00:00Z",
            "2026-03-02T00:00:00Z",
        );
        check(
            CalendarUnit::Month,
            utc,
            "2026-02-10T10:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
        );
    }

    #[test]
    fn the_night_shift_runs_over_midnight() {
        let shifts = || CalendarUnit::Shift { starts: vec![6 * 60, 14 * 60, 22 * 60] };
        let oslo = chrono_tz::Europe::Oslo;
        check(
            shifts(),
            oslo,
            "2026-03-02T02:00:00Z",
            "2026-03-01T21:00:00Z",
            "2026-03-02T05:00:00Z",
        );
        check(
            shifts(),
            oslo,
            "2026-03-02T21:00:00Z",
            "2026-03-02T21:00:00Z",
            "2026-03-03T05:00:00Z",
        );
        check(
            shifts(),
            oslo,
            "2026-03-02T12:59:59Z",
            "2026-03-02T05:00:00Z",
            "2026-03-02T13:00:00Z",
        );
        // The night in which the clock goes forward is an hour shorter.
        check(
            shifts(),
            oslo,
            "2026-03-29T01:30:00Z",
            "2026-03-28T21:00:00Z",
            "2026-03-29T04:00:00Z",
        );
    }

    #[test]
    fn periods_follow_one_another() {
        let calendar = Calendar::new(CalendarUnit::Day, chrono_tz::Europe::Oslo);
        let mut period = calendar.period_of(at("2026-03-01T12:00:00Z"));
        for _ in 0..400 {
            let next = calendar.next(&period);
            assert_eq!(next.window.start, period.window.end);
            assert_eq!(calendar.period_of(next.window.start), next);
            period = next;
        }
    }
}
