//! Working time by hand, and its laws.

use std::sync::Arc;

use chrono::{NaiveDate, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::Hours;
use crate::flow::{Span, Timestamp};
use crate::reference::timetable::{Opening, Timetable};

use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};

const DAYS: [Weekday; 7] = [Mon, Tue, Wed, Thu, Fri, Sat, Sun];
const BERLIN: Tz = Tz::Europe__Berlin;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn minutes(minutes: i64) -> Span {
    Span(minutes * Span::MINUTE.0)
}

fn hours(zone: Tz, openings: &[(&[Weekday], u16, u16)], holidays: &[&str]) -> Hours {
    let openings: Vec<Opening> = openings
        .iter()
        .flat_map(|(days, opens, closes)| {
            days.iter().map(|weekday| Opening { weekday: *weekday, opens: *opens, closes: *closes })
        })
        .collect();
    let holidays = holidays.iter().map(|date| date.parse::<NaiveDate>().unwrap());
    Hours::new(Arc::new(Timetable::new(&openings, holidays).unwrap()), zone)
}

/// Monday to Friday 08:00 to 17:00, Saturday 09:00 to 12:00; Easter Monday 2026 is a holiday.
fn office() -> Hours {
    hours(BERLIN, &[(&DAYS[..5], 480, 1020), (&[Sat], 540, 720)], &["2026-04-06"])
}

#[track_caller]
fn worked(hours: &Hours, from: &str, to: &str, expected: i64) {
    assert_eq!(hours.working_between(at(from), at(to)), minutes(expected), "{from} to {to}");
}

#[track_caller]
fn ends(hours: &Hours, start: &str, working: i64, expected: &str) {
    assert_eq!(hours.deadline(at(start), minutes(working)), at(expected), "{start} + {working}");
}

#[test]
fn nights_and_weekends_do_not_count() {
    // 2026-03-02 is a Monday, at UTC+1 until 29 March.
    let office = office();
    worked(&office, "2026-03-02T10:00:00+01:00", "2026-03-02T12:30:00+01:00", 150);
    worked(&office, "2026-03-02T16:30:00+01:00", "2026-03-03T08:15:00+01:00", 45);
    worked(&office, "2026-03-02T18:00:00+01:00", "2026-03-03T07:00:00+01:00", 0);
    // Friday afternoon to Monday morning: an hour, three on Saturday, half an hour.
    worked(&office, "2026-03-06T16:00:00+01:00", "2026-03-09T08:30:00+01:00", 270);
    // A week: 5 x 9 + 3 hours.
    worked(&office, "2026-03-02T00:00:00+01:00", "2026-03-09T00:00:00+01:00", 2880);
    // The week of Easter Monday: 4 x 9 + 3 hours.
    worked(&office, "2026-04-06T00:00:00+02:00", "2026-04-13T00:00:00+02:00", 2340);
    worked(&office, "2026-03-03T08:15:00+01:00", "2026-03-02T16:30:00+01:00", -45);
}

#[test]
fn a_deadline_is_the_latest_instant_that_keeps_the_target() {
    let office = office();
    ends(&office, "2026-03-02T10:00:00+01:00", 60, "2026-03-02T11:00:00+01:00");
    ends(&office, "2026-03-02T16:30:00+01:00", 60, "2026-03-03T08:30:00+01:00");
    ends(&office, "2026-03-06T16:30:00+01:00", 240, "2026-03-09T08:30:00+01:00");
    // Received in the night: counted from the opening.
    ends(&office, "2026-03-03T03:00:00+01:00", 60, "2026-03-03T09:00:00+01:00");
    // Over Easter: Saturday's three hours, then Tuesday.
    ends(&office, "2026-04-04T09:00:00+02:00", 240, "2026-04-07T09:00:00+02:00");
}

#[test]
fn what_is_used_up_at_closing_time_ends_at_the_next_opening() {
    let office = office();
    ends(&office, "2026-03-02T16:00:00+01:00", 60, "2026-03-03T08:00:00+01:00");
    ends(&office, "2026-03-06T16:00:00+01:00", 60, "2026-03-07T09:00:00+01:00");
    ends(&office, "2026-03-07T11:00:00+01:00", 60, "2026-03-09T08:00:00+01:00");
    ends(&office, "2026-03-07T11:00:00+01:00", 0, "2026-03-07T11:00:00+01:00");
    ends(&office, "2026-03-07T12:00:00+01:00", 0, "2026-03-09T08:00:00+01:00");
    ends(&office, "2026-03-07T11:00:00+01:00", -5, "2026-03-07T11:00:00+01:00");
    // Two spans that touch are as one.
    let halves = hours(BERLIN, &[(&[Mon], 480, 720), (&[Mon], 720, 1020)], &[]);
    ends(&halves, "2026-03-02T11:00:00+01:00", 60, "2026-03-02T12:00:00+01:00");
}

#[test]
fn a_day_has_23_24_or_25_hours() {
    let around = hours(BERLIN, &[(&DAYS, 0, 1440)], &[]);
    worked(&around, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23 * 60);
    worked(&around, "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", 24 * 60);
    worked(&around, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25 * 60);
    let sundays = hours(BERLIN, &[(&[Sun], 0, 1440)], &[]);
    worked(&sundays, "2026-03-22T00:00:00Z", "2026-04-04T00:00:00Z", 24 * 60 - 60 + 23 * 60);
    worked(&sundays, "2026-10-23T00:00:00Z", "2026-10-30T00:00:00Z", 25 * 60);
    ends(&sundays, "2026-10-23T00:00:00Z", 24 * 60 + 30, "2026-10-25T22:30:00Z");
    ends(&sundays, "2026-10-23T00:00:00Z", 25 * 60, "2026-10-31T23:00:00Z");
}

#[test]
fn spans_in_the_hours_of_a_change_are_between_first_instants() {
    // 02:30 comes twice on 25 October: the first is 00:30 UTC. 02:00 to 03:00 does not exist on 29 March.
    let night = hours(BERLIN, &[(&[Sun], 90, 150)], &[]);
    worked(&night, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 60);
    worked(&night, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 30);
    let gap = hours(BERLIN, &[(&[Sun], 135, 165)], &[]);
    worked(&gap, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 0);
    ends(&gap, "2026-03-28T23:00:00Z", 0, "2026-04-05T00:15:00Z");
    let after = hours(BERLIN, &[(&[Sun], 150, 240)], &[]);
    worked(&after, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 150);
}

#[test]
fn a_midnight_that_comes_twice_belongs_to_one_day() {
    // Newfoundland went from 00:01 back to 23:01 of the day before, on Sunday 7 November 2010 at 02:31 UTC.
    let newfoundland = Tz::America__St_Johns;
    let sunday = hours(newfoundland, &[(&[Sun], 0, 1440)], &[]);
    assert!(sunday.is_open(at("2010-11-07T02:30:30Z")));
    assert!(sunday.is_open(at("2010-11-07T02:45:00Z")));
    assert!(!sunday.is_open(at("2010-11-07T02:29:59Z")));
    // From its first midnight, 02:30 UTC, to Monday's, 03:30 UTC.
    worked(&sunday, "2010-11-06T12:00:00Z", "2010-11-09T00:00:00Z", 25 * 60);
}

#[test]
fn it_is_open_from_the_opening_until_before_the_closing() {
    let office = office();
    let open = |text| office.is_open(at(text));
    assert!(!open("2026-03-02T07:59:59.999999+01:00"));
    assert!(open("2026-03-02T08:00:00+01:00"));
    assert!(open("2026-03-02T16:59:59.999999+01:00"));
    assert!(!open("2026-03-02T17:00:00+01:00"));
    assert!(!open("2026-03-08T10:00:00+01:00"), "a Sunday");
    assert!(!open("2026-04-06T10:00:00+02:00"), "a holiday");
}

#[test]
fn always_open_is_wall_time() {
    let always = Hours::always();
    worked(&always, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23 * 60);
    ends(&always, "2026-03-28T23:00:00Z", 90, "2026-03-29T00:30:00Z");
    assert!(always.is_open(Timestamp::MIN));
    assert_eq!(always.deadline(Timestamp::MAX, Span::DAY), Timestamp::MAX);
}

#[test]
fn long_spans_are_what_their_years_hold() {
    let around = hours(Tz::UTC, &[(&DAYS, 0, 1440)], &[]);
    let half_past = hours(Tz::UTC, &[(&DAYS, 30, 31)], &[]);
    // 2000 to 2099: 36,525 days.
    let century = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    worked(&around, century.0, century.1, 36_525 * 1440);
    worked(&half_past, century.0, century.1, 36_525);
    ends(&half_past, century.0, 36_525, "2100-01-01T00:30:00Z");
    ends(&half_past, century.0, 36_524, "2099-12-31T00:30:00Z");
    // A day of a week, 100 days on.
    let mondays = hours(Tz::UTC, &[(&[Mon], 0, 60)], &[]);
    ends(&mondays, "2026-03-02T00:00:00Z", 15 * 60 + 1, "2026-06-15T00:01:00Z");
}

#[test]
fn nobody_is_open_before_1970_or_after_2199() {
    let around = hours(BERLIN, &[(&DAYS, 0, 1440)], &[]);
    // Berlin's 1970 begins at 23:00 UTC, its 2200 too.
    worked(&around, "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 60);
    worked(&around, "2199-12-31T22:00:00Z", "9999-01-01T00:00:00Z", 60);
    assert!(!around.is_open(at("1969-12-31T22:59:59Z")) && !around.is_open(Timestamp::MIN));
    assert!(!around.is_open(at("2199-12-31T23:00:00Z")) && !around.is_open(Timestamp::MAX));
    ends(&around, "1950-01-01T00:00:00Z", 5, "1969-12-31T23:05:00Z");
    let never = around.deadline(at("2026-03-01T00:00:00Z"), Span(i64::MAX));
    assert_eq!(never, Timestamp::MAX);
    assert_eq!(around.deadline(at("2200-01-01T00:00:00Z"), Span::HOUR), Timestamp::MAX);
    // 230 years of 365.2425 days, less the days that 2100 lacks, and the end.
    let all = around.working_between(Timestamp::MIN, Timestamp::MAX);
    assert_eq!(all, minutes(84_006 * 1440));
}

fn zones() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![
        BERLIN,
        Tz::America__New_York,
        Tz::Asia__Kolkata,
        Tz::America__Santiago,
        Tz::Australia__Lord_Howe,
        Tz::UTC,
    ])
}

/// Weeks with up to eight spans, and holidays in 2026.
fn any_hours() -> impl Strategy<Value = Hours> {
    let cuts = prop::collection::btree_set(0_u16..=1440, 2..6);
    let days = prop::collection::vec((0_usize..7, cuts), 1..5);
    let holidays = prop::collection::vec(1_u32..=365, 0..30);
    (zones(), days, holidays).prop_map(|(zone, days, holidays)| {
        let mut openings = Vec::new();
        let mut seen = [false; 7];
        for (day, cuts) in days {
            if std::mem::replace(&mut seen[day], true) {
                continue;
            }
            let cuts: Vec<u16> = cuts.into_iter().collect();
            openings.extend(cuts.chunks_exact(2).map(|pair| Opening {
                weekday: DAYS[day],
                opens: pair[0],
                closes: pair[1],
            }));
        }
        let holidays = holidays.into_iter().filter_map(|day| NaiveDate::from_yo_opt(2026, day));
        Hours::new(Arc::new(Timetable::new(&openings, holidays).unwrap()), zone)
    })
}

/// An instant of 2026, or near to a change of some clock.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let year = at("2026-01-01T00:00:00Z").0;
    let near = |text: &str| {
        let middle = at(text).0;
        (middle - 2 * Span::DAY.0..middle + 2 * Span::DAY.0).prop_map(Timestamp)
    };
    prop_oneof![
        (year..year + 365 * Span::DAY.0).prop_map(Timestamp),
        near("2026-03-29T01:00:00Z"),
        near("2026-10-25T01:00:00Z"),
        near("2026-03-08T07:00:00Z"),
        near("2026-11-01T06:00:00Z"),
        near("2026-09-06T04:00:00Z"),
    ]
}

proptest! {
    // Each case sums two centuries of days.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn working_time_is_additive(
        hours in any_hours(), a in any_instant(), b in any_instant(), c in any_instant(),
    ) {
        let between = |from, to| hours.working_between(from, to).0;
        prop_assert_eq!(between(a, b) + between(b, c), between(a, c));
        let (from, to) = (a.min(b), a.max(b));
        prop_assert!((0..=to.0 - from.0).contains(&between(from, to)));
    }

}

proptest! {
    #[test]
    fn a_deadline_is_the_latest_instant(
        hours in any_hours(),
        start in any_instant(),
        working in prop_oneof![0..30 * Span::HOUR.0, 0..400 * Span::HOUR.0],
        whole in any::<bool>(),
    ) {
        // Whole minutes are often used up exactly at closing time.
        let working = if whole { working / Span::MINUTE.0 * Span::MINUTE.0 } else { working };
        let start = if whole { Timestamp(start.0 / Span::MINUTE.0 * Span::MINUTE.0) } else { start };
        let end = hours.deadline(start, Span(working));
        if end == Timestamp::MAX {
            // Two minutes a week are not enough: so much is not worked in all the days that are known.
            let known = Timestamp::parse_rfc3339("2200-01-01T00:00:00Z").unwrap();
            prop_assert!(hours.working_between(start, known) <= Span(working));
            return Ok(());
        }
        prop_assert!(end >= start);
        prop_assert_eq!(hours.working_between(start, end), Span(working));
        let later = end.plus(Span(1));
        prop_assert_eq!(hours.working_between(start, later), Span(working + 1));
        prop_assert!(hours.is_open(end));
    }

    #[test]
    fn a_minute_is_worked_exactly_when_it_is_open(hours in any_hours(), start in any_instant()) {
        let first = start.0 / Span::MINUTE.0 * Span::MINUTE.0;
        let minute = |n: i64| Timestamp(first + n * Span::MINUTE.0);
        let open = (0..2 * 1440).filter(|n| hours.is_open(minute(*n))).count();
        let worked = hours.working_between(minute(0), minute(2 * 1440));
        prop_assert_eq!(worked, minutes(open as i64));
    }
}
