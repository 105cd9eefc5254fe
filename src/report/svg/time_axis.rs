//! A span of event time → ticks at round local hours.

use chrono::Timelike as _;
use chrono_tz::Tz;

use crate::flow::{Span, Timestamp};
use crate::report::words::local;

/// A tick of a time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeTick {
    /// Where.
    pub at: Timestamp,
    /// `Mon 2` at midnight, else `12:00`.
    pub label: String,
    /// Whether a day begins here.
    pub is_midnight: bool,
}

/// Ticks at the local hours that `every` divides, within `[from, to)`. A day that daylight saving
/// makes shorter or longer keeps its ticks at its own hours.
pub fn ticks(from: Timestamp, to: Timestamp, tz: Tz, every: u32) -> Vec<TimeTick> {
    let mut ticks = Vec::new();
    // Zones differ from UTC by whole quarters of an hour.
    let quarter = 15 * Span::MINUTE.0;
    let mut at = Timestamp(from.0.div_euclid(quarter) * quarter);
    while at < to {
        let there = local(at, tz);
        if at >= from && there.minute() == 0 && there.hour().is_multiple_of(every.max(1)) {
            let is_midnight = there.hour() == 0;
            let label = if is_midnight { "%a %-d" } else { "%H:%M" };
            ticks.push(TimeTick { at, label: there.format(label).to_string(), is_midnight });
        }
        at = at.plus(Span(quarter));
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_at_local_hours() {
        // From 2026-03-01T00:00Z, which is 19:00 of the day before in New York.
        let from = Timestamp(1_772_323_200_000_000);
        let to = from.plus(Span(18 * Span::HOUR.0));
        let found = ticks(from, to, Tz::America__New_York, 12);
        let hours: Vec<(i64, &str, bool)> = found
            .iter()
            .map(|tick| ((tick.at.0 - from.0) / Span::HOUR.0, &*tick.label, tick.is_midnight))
            .collect();
        assert_eq!(hours, [(5, "Sun 1", true), (17, "12:00", false)]);
    }

    #[test]
    fn half_hour_zones_and_short_days_keep_their_own_midnights() {
        // Kolkata is 5.5 hours ahead: its midnight is 18:30 UTC.
        let from = Timestamp(1_772_323_200_000_000);
        let found = ticks(from, from.plus(Span::DAY), Tz::Asia__Kolkata, 24);
        assert_eq!(found[0].at.0 - from.0, 18 * Span::HOUR.0 + 30 * Span::MINUTE.0);
        // New York skips an hour on 2026-03-08: midnight to midnight is 23 hours.
        let from = Timestamp(1_772_953_200_000_000 - 7 * Span::HOUR.0);
        let found = ticks(from, from.plus(Span(3 * Span::DAY.0)), Tz::America__New_York, 24);
        let nights: Vec<i64> =
            found.windows(2).map(|two| (two[1].at.0 - two[0].at.0) / Span::HOUR.0).collect();
        assert!(nights.contains(&23), "{nights:?}");
    }
}
