//! Working time: how much of a span of time a place was open, and when an amount of it is used up.
//!
//! A span of a timetable lies between two instants: those at which the zone's clock first shows its ends
//! (`flow::local`). So `00:00` to `24:00` is a whole day, of 23 or 25 hours where the clock changes.
//!
//! The days from 1970 to 2199 are known; before and after them every place with a timetable is closed.
//! A deadline that would lie beyond them is [`Timestamp::MAX`]: it never comes.
//!
//! Days are walked, not minutes; spans of many weeks are looked up in sums of the blocks of days that
//! they cover, which are made when the first such span is asked for.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::flow::local::instant_of;
use crate::flow::{Span, Timestamp};

use super::timetable::Timetable;

/// The days that are known: from 1970-01-01, before 2200-01-01.
const DAYS: i64 = 84_006;
/// So many days are walked; more are summed by blocks of as many.
const BLOCK: i64 = 64;

/// Opening hours in a zone.
#[derive(Clone, Debug)]
pub struct Hours {
    /// `None` is always open.
    week: Option<Week>,
}

#[derive(Clone, Debug)]
struct Week {
    timetable: Arc<Timetable>,
    zone: Tz,
    /// The working time before each block of days, and at last before the end of the known days.
    before: OnceLock<Vec<i64>>,
}

impl Hours {
    /// A timetable's hours by a zone's clock.
    pub fn new(timetable: Arc<Timetable>, zone: Tz) -> Hours {
        Hours { week: Some(Week { timetable, zone, before: OnceLock::new() }) }
    }

    /// Open at all times: working time is wall time.
    pub fn always() -> Hours {
        Hours { week: None }
    }

    /// The working time in `[from, to)`; negative, as a difference is, where `to` lies before `from`.
    pub fn working_between(&self, from: Timestamp, to: Timestamp) -> Span {
        let Some(week) = &self.week else { return Span(to.0.saturating_sub(from.0)) };
        if to < from { Span(-week.between(to, from)) } else { Span(week.between(from, to)) }
    }

    /// The latest instant at which the working time since `start` is at most `working`.
    ///
    /// Where that is used up exactly at closing time the instant is the next opening: until then no
    /// working time passes, so whoever is done by the opening has kept the target. A `working` of 0 or
    /// below ends at `start` itself, or, where that is closed, at the next opening.
    pub fn deadline(&self, start: Timestamp, working: Span) -> Timestamp {
        let working = working.0.max(0);
        match &self.week {
            None => start.plus(Span(working)),
            Some(week) => week.deadline(start, working),
        }
    }

    /// Whether it is open at an instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let Some(week) = &self.week else { return true };
        week.openings(week.day_of(at)).any(|(opens, closes)| opens <= at && at < closes)
    }
}

impl Week {
    fn between(&self, from: Timestamp, to: Timestamp) -> i64 {
        let (first, last) = (self.day_of(from).max(0), self.day_of(to).min(DAYS - 1));
        if last - first <= 2 * BLOCK {
            return self.worked(first..=last, from, to);
        }
        self.until(last, to) - self.until(first, from)
    }

    fn deadline(&self, start: Timestamp, working: i64) -> Timestamp {
        let first = self.day_of(start).max(0);
        let mut left = working;
        for day in first..(first + BLOCK).min(DAYS) {
            if let Some(end) = self.use_up(day, start, &mut left) {
                return end;
            }
        }
        if first >= DAYS {
            return Timestamp::MAX;
        }
        let total = self.until(first, start).saturating_add(working);
        let before = self.before();
        let block = before.partition_point(|worked| *worked <= total);
        if block == before.len() {
            return Timestamp::MAX;
        }
        let block = block.saturating_sub(1);
        let mut left = total - before[block];
        let first = block as i64 * BLOCK;
        (first..(first + BLOCK).min(DAYS))
            .find_map(|day| self.use_up(day, Timestamp::MIN, &mut left))
            .unwrap_or(Timestamp::MAX)
    }

    /// Takes the working time of a day from `start` on from what is left. The instant at which more than
    /// that would be used, if it lies in this day.
    fn use_up(&self, day: i64, start: Timestamp, left: &mut i64) -> Option<Timestamp> {
        for (opens, closes) in self.openings(day) {
            let opens = opens.max(start);
            if opens >= closes {
                continue;
            }
            let open = closes.0 - opens.0;
            if *left < open {
                return Some(opens.plus(Span(*left)));
            }
            *left -= open;
        }
        None
    }

    /// The working time from the beginning of the known days to an instant of a known day.
    fn until(&self, day: i64, at: Timestamp) -> i64 {
        let block = day / BLOCK;
        let before = self.before().get(block as usize).copied().unwrap_or_default();
        before + self.worked(block * BLOCK..=day, Timestamp::MIN, at)
    }

    fn before(&self) -> &[i64] {
        self.before.get_or_init(|| {
            let mut before = vec![0];
            let mut sum = 0;
            for first in (0..DAYS).step_by(BLOCK as usize) {
                let last = (first + BLOCK).min(DAYS) - 1;
                sum += self.worked(first..=last, Timestamp::MIN, Timestamp::MAX);
                before.push(sum);
            }
            before
        })
    }

    /// The working time of some days in `[from, to)`.
    fn worked(&self, days: std::ops::RangeInclusive<i64>, from: Timestamp, to: Timestamp) -> i64 {
        days.flat_map(|day| self.openings(day))
            .map(|(opens, closes)| (closes.min(to).0 - opens.max(from).0).max(0))
            .sum()
    }

    /// The spans of a day as instants, in the order of time; none of a day that is not known.
    fn openings(&self, day: i64) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        // Day 0, the first of January 1970, was a Thursday.
        let weekday = (day + 3).rem_euclid(7) as usize;
        let known = (0..DAYS).contains(&day);
        let openings = match known {
            true => self.timetable.openings(local(day, 0).date(), weekday),
            false => &[],
        };
        openings.iter().map(move |(opens, closes)| {
            let instant = |minute: u16| instant_of(local(day, minute), self.zone);
            (instant(*opens), instant(*closes))
        })
    }

    /// The day, counted from 1970-01-01 by the zone's clock, that holds an instant: from its midnight to
    /// the next. -1 and [`DAYS`] stand for all that come before and after the known ones.
    fn day_of(&self, at: Timestamp) -> i64 {
        let near = at.0.clamp(-2 * Span::DAY.0, (DAYS + 2) * Span::DAY.0);
        let utc = DateTime::<Utc>::from_timestamp_micros(near).unwrap_or(DateTime::UNIX_EPOCH);
        let shown = utc.with_timezone(&self.zone).naive_local().and_utc().timestamp_micros();
        let mut day = shown.div_euclid(Span::DAY.0).clamp(-1, DAYS);
        // A change of the clock may put the instant on the other side of a midnight than it shows.
        let midnight = |day: i64| instant_of(local(day, 0), self.zone);
        while day >= 0 && midnight(day) > at {
            day -= 1;
        }
        while day < DAYS && midnight(day + 1) <= at {
            day += 1;
        }
        day
    }
}

/// A minute of a known day on the clock; minute 1440 is the next midnight.
fn local(day: i64, minute: u16) -> chrono::NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::days(day) + TimeDelta::minutes(minute.into())
}

#[cfg(test)]
mod tests;
