//! Local time: which zone a laboratory lives in, and how an instant reads there.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::flow::{Timestamp, Window};

/// The zones of the laboratories; one that is not listed is in UTC.
#[derive(Clone, Debug, Default)]
pub struct LabZones(BTreeMap<String, Tz>);

impl LabZones {
    /// From lab id to zone.
    pub fn new(labs: BTreeMap<String, Tz>) -> LabZones {
        LabZones(labs)
    }

    /// The zone of a laboratory; UTC for what concerns none in particular.
    pub fn of(&self, lab: Option<&str>) -> Tz {
        lab.and_then(|lab| self.0.get(lab)).copied().unwrap_or(Tz::UTC)
    }
}

fn local(at: Timestamp, zone: Tz) -> Option<DateTime<Tz>> {
    DateTime::<Utc>::from_timestamp_micros(at.0).map(|instant| instant.with_timezone(&zone))
}

/// `2026-03-01 12:00 CET`.
pub(super) fn instant_text(at: Timestamp, zone: Tz) -> String {
    local(at, zone)
        .map_or_else(|| at.to_rfc3339(), |time| time.format("%Y-%m-%d %H:%M %Z").to_string())
}

/// `2026-03-01 12:00–13:00 CET`; the date and the zone's name twice when they differ.
pub(super) fn window_text(window: Window, zone: Tz) -> String {
    let (Some(start), Some(end)) = (local(window.start, zone), local(window.end, zone)) else {
        return format!("{} – {}", window.start, window.end);
    };
    let one_offset = start.format("%Z").to_string() == end.format("%Z").to_string();
    if one_offset && start.date_naive() == end.date_naive() {
        return format!("{}–{}", start.format("%Y-%m-%d %H:%M"), end.format("%H:%M %Z"));
    }
    let from = if one_offset { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M %Z" };
    format!("{} – {}", start.format(from), end.format("%Y-%m-%d %H:%M %Z"))
}

/// The instant at which the quiet hours end that `at` lies in; `None` when it lies in none. Quiet
/// hours are local minutes of the day `[from, to)` and may wrap past midnight.
pub(super) fn quiet_until(at: Timestamp, zone: Tz, hours: (u16, u16)) -> Option<Timestamp> {
    let (from, to) = (u32::from(hours.0), u32::from(hours.1));
    let time = local(at, zone)?;
    let minute = time.hour() * 60 + time.minute();
    let quiet =
        if from <= to { from <= minute && minute < to } else { minute >= from || minute < to };
    if !quiet {
        return None;
    }
    let midnight = time.date_naive().and_hms_opt(0, 0, 0)?;
    let days = TimeDelta::days(i64::from(minute >= to));
    Some(instant_of(midnight + days + TimeDelta::minutes(i64::from(to)), zone))
}

/// The instant of a local time: the first of two; of a time that the clocks skip, the one an hour
/// on.
fn instant_of(time: NaiveDateTime, zone: Tz) -> Timestamp {
    let find = |time: NaiveDateTime| zone.from_local_datetime(&time).earliest();
    let found = find(time).or_else(|| find(time + TimeDelta::hours(1)));
    let micros = found.map_or(time.and_utc().timestamp_micros(), |at| at.timestamp_micros());
    Timestamp(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    use chrono_tz::Europe::Berlin;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn windows_read_in_local_time_also_over_midnight_and_clock_changes() {
        let text = |start, end, zone| window_text(Window { start: at(start), end: at(end) }, zone);
        assert_eq!(
            text("2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z", Berlin),
            "2026-03-01 12:00–13:00 CET"
        );
        assert_eq!(
            text("2026-03-01T22:00:00Z", "2026-03-01T23:30:00Z", Berlin),
            "2026-03-01 23:00 – 2026-03-02 00:30 CET"
        );
        assert_eq!(
            text("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", Berlin),
            "2026-03-29 00:00 CET – 2026-03-30 00:00 CEST"
        );
        assert_eq!(
            text("2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z", Tz::UTC),
            "2026-03-01 11:00–12:00 UTC"
        );
    }

    #[test]
    fn quiet_hours_end_in_local_time() {
        let night = (22 * 60, 7 * 60);
        let until = |text| quiet_until(at(text), Berlin, night).map(Timestamp::to_rfc3339);
        // CET is UTC+1 in winter, UTC+2 from 2026-03-29 on.
        assert_eq!(until("2026-03-01T20:59:00Z"), None);
        assert_eq!(until("2026-03-01T21:00:00Z").as_deref(), Some("2026-03-02T06:00:00Z"));
        assert_eq!(until("2026-03-02T03:00:00Z").as_deref(), Some("2026-03-02T06:00:00Z"));
        assert_eq!(until("2026-03-02T06:00:00Z"), None);
        assert_eq!(until("2026-03-28T23:30:00Z").as_deref(), Some("2026-03-29T05:00:00Z"));
        let noon = (12 * 60, 14 * 60);
        let until = |text| quiet_until(at(text), Tz::UTC, noon).map(Timestamp::to_rfc3339);
        assert_eq!(until("2026-03-01T12:00:00Z").as_deref(), Some("2026-03-01T14:00:00Z"));
        assert_eq!(until("2026-03-01T14:00:00Z"), None);
        let evening = (20 * 60, 24 * 60);
        let late = quiet_until(at("2026-03-01T23:00:00Z"), Tz::UTC, evening);
        assert_eq!(late, Some(at("2026-03-02T00:00:00Z")));
        assert_eq!(quiet_until(at("2026-03-01T12:00:00Z"), Tz::UTC, (60, 60)), None);
    }
}
