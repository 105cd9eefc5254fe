//! Labs, instruments and assays from their rows.

use std::sync::Arc;

use chrono::Weekday;
use chrono_tz::Tz;

use super::*;
use crate::flow::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn rows() -> DeadlineRows {
    // Mondays 08:00 to 16:00.
    let monday = Opening { weekday: Weekday::Mon, opens: 480, closes: 960 };
    let mondays = Arc::new(Timetable::new(&[monday], []).unwrap());
    let lab = |lab_id: &str, zone, calendar: Option<&str>| LabRow {
        lab_id: lab_id.to_owned(),
        zone,
        calendar: calendar.map(str::to_owned),
        max_silence: Some(Span::HOUR),
    };
    let instrument = |machine_id: &str, heartbeat, calendar: Option<&str>| InstrumentRow {
        lab_id: "berlin".to_owned(),
        machine_id: machine_id.to_owned(),
        heartbeat,
        calendar: calendar.map(str::to_owned),
    };
    DeadlineRows {
        calendars: [("mondays".to_owned(), mondays)].into(),
        labs: vec![
            lab("berlin", Some(Tz::Europe__Berlin), Some("mondays")),
            lab("utc", None, Some("mondays")),
            lab("open", Some(Tz::Europe__Berlin), None),
        ],
        instruments: vec![
            instrument("CH1", Some(Span::MINUTE), Some("mondays")),
            instrument("CH2", None, None),
        ],
        assays: vec![AssayRow {
            assay: "APTT".to_owned(),
            max_hold: Some(Span(4 * Span::HOUR.0)),
            ..AssayRow::default()
        }],
        ..DeadlineRows::default()
    }
}

#[test]
fn a_calendar_is_read_by_each_lab_s_own_clock() {
    let reference = Reference::new(&rows(), 4.0);
    // 07:30 UTC on a Monday in winter is 08:30 in Berlin.
    let early = at("2026-03-02T07:30:00Z");
    let open = |lab| reference.labs.of(lab).hours.is_open(early);
    assert_eq!(["berlin", "utc", "open", "unlisted"].map(open), [true, false, true, true]);
    assert_eq!(reference.labs.of("berlin").zone, Tz::Europe__Berlin);
    assert_eq!(reference.labs.of("berlin").max_silence, Some(Span::HOUR));
    assert_eq!(reference.labs.of("unlisted").max_silence, None);
    assert_eq!(reference.labs.of("unlisted").zone, Tz::UTC);
}

#[test]
fn instruments_serve_by_their_calendar_in_their_lab_s_zone() {
    let instruments = Reference::new(&rows(), 4.0).instruments;
    let (early, sunday) = (at("2026-03-02T07:30:00Z"), at("2026-03-01T12:00:00Z"));
    let first = instruments.of("berlin", "CH1");
    assert_eq!(first.heartbeat, Some(Span::MINUTE));
    assert!(first.hours.is_open(early) && !first.hours.is_open(sunday));
    for (lab, machine) in [("berlin", "CH2"), ("utc", "CH1")] {
        let always = instruments.of(lab, machine);
        assert_eq!(always.heartbeat, None);
        assert!(always.hours.is_open(sunday));
    }
}

#[test]
fn a_hold_is_known_of_assays_that_have_one() {
    let assays = Reference::new(&rows(), 4.0).assays;
    assert_eq!(assays.max_hold("APTT"), Some(Span(14_400_000_000)));
    assert_eq!(assays.max_hold("K"), None);
}
