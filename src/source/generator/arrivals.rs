//! When tubes are collected: a Poisson process whose rate follows the hour and the weekday of
//! the laboratory, or the starter kit's fixed number a day.

use super::figures::{
    INPATIENT_HOURS, KIT_PER_DAY, OUTPATIENT_HOURS, OUTPATIENT_SHARE, OUTPATIENT_WEEKDAYS,
    TUBES_PER_BURST,
};
use super::lab::Lab;

const HOUR_US: i64 = 3_600_000_000;

/// Where tubes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Emergency department and wards.
    Wards,
    /// Outpatient clinics and practices.
    Clinics,
    /// The starter kit's rows.
    Kit,
}

/// The instant of the first collection of `stream` after `after`, microseconds since the epoch.
/// `from` is where the feed begins.
pub(super) fn next_collection(lab: &mut Lab, stream: Stream, from: i64, after: i64) -> i64 {
    match stream {
        Stream::Wards | Stream::Clinics => next_burst(lab, stream, after),
        Stream::Kit => next_row(lab, from),
    }
}

/// Inverts the integrated rate, hour by hour.
fn next_burst(lab: &mut Lab, stream: Stream, after: i64) -> i64 {
    let mut needed = lab.dice.exponential();
    let mut at = after;
    loop {
        let local = at + lab.zone.offset_s(at.div_euclid(1_000_000)) * 1_000_000;
        let hour_end = at + HOUR_US - local.rem_euclid(HOUR_US);
        let rate = bursts_per_hour(lab.per_day, stream, local.div_euclid(HOUR_US));
        let expected = rate * (hour_end - at) as f64 / HOUR_US as f64;
        if needed < expected {
            return at + (needed / rate * HOUR_US as f64) as i64;
        }
        needed -= expected;
        at = hour_end;
    }
}

/// The rate in a local hour, counted from the epoch.
fn bursts_per_hour(per_day: f64, stream: Stream, local_hour: i64) -> f64 {
    let hour = local_hour.rem_euclid(24) as usize;
    // 1970-01-01 was a Thursday; the table begins on Monday.
    let weekday = (local_hour.div_euclid(24) + 3).rem_euclid(7) as usize;
    let percent = |table: &[f64], index: usize| table.get(index).map_or(0.0, |share| share / 100.0);
    let per_day = per_day / TUBES_PER_BURST;
    match stream {
        Stream::Wards => per_day * (1.0 - OUTPATIENT_SHARE) * percent(&INPATIENT_HOURS, hour),
        Stream::Clinics => {
            let week = per_day * 7.0 * OUTPATIENT_SHARE;
            week * percent(&OUTPATIENT_WEEKDAYS, weekday) * percent(&OUTPATIENT_HOURS, hour)
        }
        Stream::Kit => 0.0,
    }
}

/// The k-th of a day's rows stands at a random place within the k-th 1200th of the day's work:
/// exactly 1200 every 24 hours, busy and quiet as the hours are.
fn next_row(lab: &mut Lab, from: i64) -> i64 {
    let per_day = u64::from(KIT_PER_DAY);
    let (day, k) = (lab.visits / per_day, lab.visits % per_day);
    let mut share = (k as f64 + lab.dice.unit()) / per_day as f64 * 100.0;
    let first_hour = from.div_euclid(HOUR_US).rem_euclid(24) as usize;
    let hours = INPATIENT_HOURS.iter().cycle().skip(first_hour).take(24);
    let mut within_day = 24 * HOUR_US - 1_000_000;
    for (index, percent) in hours.enumerate() {
        if share < *percent {
            within_day = ((index as f64 + share / percent) * HOUR_US as f64) as i64;
            break;
        }
        share -= percent;
    }
    from + day as i64 * 24 * HOUR_US + within_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_shares_add_up() {
        assert!((INPATIENT_HOURS.iter().sum::<f64>() - 100.0).abs() < 0.11);
        assert!((OUTPATIENT_HOURS.iter().sum::<f64>() - 100.0).abs() < 1e-9);
        assert!((OUTPATIENT_WEEKDAYS.iter().sum::<f64>() - 100.0).abs() < 0.11);
    }

    #[test]
    fn clinics_are_busiest_on_monday_morning_and_closed_at_night() {
        // 2026-03-02 09:00 is local hour 492,297 since the epoch: 20,514 days of 24 hours and 9.
        let monday_nine = 20_514 * 24 + 9;
        let monday = bursts_per_hour(1900.0, Stream::Clinics, monday_nine);
        // 1900 tubes a day are 1000 bursts; 35 % of a week is 2450; 27.5 % of it; 17 % of that.
        assert!((monday - 2450.0 * 0.275 * 0.17).abs() < 1e-9, "{monday}");
        assert!(bursts_per_hour(1900.0, Stream::Clinics, monday_nine + 24) < monday);
        assert_eq!(bursts_per_hour(1900.0, Stream::Clinics, monday_nine - 6), 0.0);
    }
}
