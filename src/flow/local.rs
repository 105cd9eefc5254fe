//! Local time: which instant a time on a zone's clock stands for.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::Timestamp;

/// The first instant at which the zone's clock shows `local`. Of a time that comes twice that is the
/// first of the two; of one that the clock skips, the first instant after the gap.
pub fn instant_of(local: NaiveDateTime, zone: Tz) -> Timestamp {
    if let Some(found) = zone.from_local_datetime(&local).earliest() {
        return Timestamp(found.timestamp_micros());
    }
    after_gap(local, zone)
}

/// The first instant at which the clock shows `local` or more, around a gap. Zones are never more than
/// 14 hours from UTC and have no other change so near to a gap.
fn after_gap(local: NaiveDateTime, zone: Tz) -> Timestamp {
    let middle = local.and_utc().timestamp();
    let reach = TimeDelta::hours(36).num_seconds();
    let (mut before, mut after) = (middle - reach, middle + reach);
    while before + 1 < after {
        let between = before + (after - before) / 2;
        let shown = DateTime::<Utc>::from_timestamp(between, 0)
            .map(|instant| instant.with_timezone(&zone).naive_local());
        if shown.is_some_and(|shown| shown < local) {
            before = between;
        } else {
            after = between;
        }
    }
    Timestamp(after.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use chrono_tz::Tz;

    use super::*;

    fn check(zone: Tz, local: (i32, u32, u32, u32, u32), expected: &str) {
        let (year, month, day, hour, minute) = local;
        let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        let found = instant_of(date.and_hms_opt(hour, minute, 0).unwrap(), zone);
        assert_eq!(found.to_rfc3339(), expected, "{zone} {local:?}");
    }

    #[test]
    fn times_that_come_twice_are_the_first() {
        // Berlin goes from 03:00 CEST back to 02:00 CET on 25 October 2026, at 01:00 UTC.
        let berlin = Tz::Europe__Berlin;
        check(berlin, (2026, 10, 25, 1, 59), "2026-10-24T23:59:00Z");
        check(berlin, (2026, 10, 25, 2, 30), "2026-10-25T00:30:00Z");
        check(berlin, (2026, 10, 25, 3, 0), "2026-10-25T02:00:00Z");
    }

    #[test]
    fn times_that_a_clock_skips_are_the_first_after_the_gap() {
        // Berlin goes from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
        let berlin = Tz::Europe__Berlin;
        check(berlin, (2026, 3, 29, 1, 59), "2026-03-29T00:59:00Z");
        for minute in [0, 7, 30, 59] {
            check(berlin, (2026, 3, 29, 2, minute), "2026-03-29T01:00:00Z");
        }
        check(berlin, (2026, 3, 29, 3, 0), "2026-03-29T01:00:00Z");
        // Lord Howe's gap is of half an hour, from 02:00 to 02:30 at UTC+11.
        check(Tz::Australia__Lord_Howe, (2026, 10, 4, 2, 10), "2026-10-03T15:30:00Z");
        // Samoa had no 30 December 2011: from UTC-10 to UTC+14.
        check(Tz::Pacific__Apia, (2011, 12, 30, 12, 0), "2011-12-30T10:00:00Z");
    }
}
