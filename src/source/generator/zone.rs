//! How far local time is ahead of UTC.

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;

/// A time zone that remembers its offset of the last hour asked for.
#[derive(Clone, Debug)]
pub(super) struct ZoneOffset {
    pub(super) tz: Tz,
    hour: i64,
    offset: i64,
}

impl ZoneOffset {
    pub(super) fn new(tz: Tz) -> ZoneOffset {
        ZoneOffset { tz, hour: i64::MIN, offset: 0 }
    }

    /// Seconds that local time is ahead of UTC at `at`.
    pub(super) fn offset_s(&mut self, at: i64) -> i64 {
        let hour = at.div_euclid(3600);
        if hour != self.hour {
            self.hour = hour;
            self.offset = offset_s(self.tz, hour * 3600);
        }
        self.offset
    }
}

/// Seconds that local time is ahead of UTC at `at`.
pub(super) fn offset_s(tz: Tz, at: i64) -> i64 {
    DateTime::from_timestamp(at, 0).map_or(0, |instant| {
        i64::from(tz.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc())
    })
}

/// The instant at which a clock there shows `local_s`, given as seconds since the epoch's midnight
/// by that clock. An instant that the clock passes over counts from before the change.
pub(super) fn at_local(tz: Tz, local_s: i64) -> i64 {
    let near = local_s - offset_s(tz, local_s);
    local_s - offset_s(tz, near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_knows_summer() {
        let mut zone = ZoneOffset::new(chrono_tz::America::New_York);
        assert_eq!(zone.offset_s(1_772_323_200), -5 * 3600);
        assert_eq!(zone.offset_s(1_772_323_200 + 8 * 86_400), -4 * 3600);
    }

    #[test]
    fn three_in_the_morning_is_found_on_the_night_of_a_change() {
        // 2026-03-08 in New York: midnight is 05:00Z, three o'clock, an hour early, 07:00Z.
        let midnight = 20_520 * 86_400;
        let tz = chrono_tz::America::New_York;
        assert_eq!(at_local(tz, midnight), midnight + 5 * 3600);
        assert_eq!(at_local(tz, midnight + 3 * 3600), midnight + 7 * 3600);
    }
}
