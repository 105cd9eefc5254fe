//! Days, weeks, months and shifts in laboratories' own zones through the binary, over the hours in
//! which their clocks change: some worked out by hand, a year of them by Python's zoneinfo.

use serde_json::{Value, json};

use crate::binary::{Place, count, repository};
use crate::servers;

/// A place with the case's project in `project/`.
fn place() -> Place {
    let place = Place::new();
    let case = repository().join("tests/cases/calendars");
    for name in ["pipelines/work.yaml", "sql/marts/work.sql", "data/reference/labs.csv"] {
        let text = std::fs::read(case.join(name)).expect("the case is there");
        place.write(&format!("project/{name}"), text);
    }
    place
}

const ONCE: [&str; 12] = [
    "run",
    "--once",
    "--json",
    "--project",
    "project",
    "--source",
    "file:feed.ndjson",
    "--lake",
    "lake",
    "--no-archive",
    "--as-of",
    "2027-01-01T00:00:00Z",
];

/// Lab and time of each test, in the order of time.
const TESTS: &[(&str, &str)] = &[
    // New York goes from 02:00 to 03:00 on 8 March, at 07:00 UTC.
    ("lab-west", "2026-03-08T04:30:00Z"),
    ("lab-west", "2026-03-08T09:30:00Z"),
    ("lab-west", "2026-03-08T10:00:00Z"),
    // Oslo goes from 02:00 to 03:00 on 29 March, at 01:00 UTC.
    ("lab-north", "2026-03-29T00:30:00Z"),
    ("lab-north", "2026-03-29T03:59:59Z"),
    ("lab-north", "2026-03-29T04:00:00Z"),
    // Oslo goes from 03:00 back to 02:00 on 25 October, at 01:00 UTC.
    ("lab-north", "2026-10-24T22:30:00Z"),
    ("lab-north", "2026-10-25T04:30:00Z"),
    ("lab-north", "2026-10-25T22:30:00Z"),
    // New York goes from 02:00 back to 01:00 on 1 November, at 06:00 UTC.
    ("lab-west", "2026-11-01T03:30:00Z"),
    ("lab-west", "2026-11-01T04:30:00Z"),
    ("lab-west", "2026-11-01T10:59:00Z"),
];

/// Of a table: lab, first and last instant, beginning on the lab's clock, tests.
type Expected = (&'static str, &'static str, &'static str, &'static str, u64);

#[rustfmt::skip]
const SHIFTS: &[Expected] = &[
    // The night that loses an hour lasts seven.
    ("lab-west",  "2026-03-08T03:00:00Z", "2026-03-08T10:00:00Z", "2026-03-07T22:00:00", 2),
    ("lab-west",  "2026-03-08T10:00:00Z", "2026-03-08T18:00:00Z", "2026-03-08T06:00:00", 1),
    ("lab-north", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z", "2026-03-28T22:00:00", 2),
    ("lab-north", "2026-03-29T04:00:00Z", "2026-03-29T12:00:00Z", "2026-03-29T06:00:00", 1),
    // The night that has an hour twice lasts nine.
    ("lab-north", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z", "2026-10-24T22:00:00", 2),
    ("lab-north", "2026-10-25T21:00:00Z", "2026-10-26T05:00:00Z", "2026-10-25T22:00:00", 1),
    ("lab-west",  "2026-11-01T02:00:00Z", "2026-11-01T11:00:00Z", "2026-10-31T22:00:00", 3),
];

#[rustfmt::skip]
const WEEKS: &[Expected] = &[
    // 7 x 24 hours less one, from Monday.
    ("lab-west",  "2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z", "2026-03-02T00:00:00", 3),
    ("lab-north", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-23T00:00:00", 3),
    // And one more; 25 October 22:30 UTC is still that Sunday.
    ("lab-north", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-19T00:00:00", 3),
    ("lab-west",  "2026-10-26T04:00:00Z", "2026-11-02T05:00:00Z", "2026-10-26T00:00:00", 3),
];

#[rustfmt::skip]
const MONTHS: &[Expected] = &[
    ("lab-west",  "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z", "2026-03-01T00:00:00", 3),
    ("lab-north", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "2026-03-01T00:00:00", 3),
    ("lab-north", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "2026-10-01T00:00:00", 3),
    // 03:30 UTC on 1 November is 23:30 on 31 October in New York.
    ("lab-west",  "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z", "2026-10-01T00:00:00", 1),
    ("lab-west",  "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", "2026-11-01T00:00:00", 2),
];

#[test]
fn weeks_months_and_shifts_are_those_worked_out_by_hand() {
    let place = place();
    let lines = TESTS.iter().enumerate().map(|(number, (lab, at))| {
        let row = json!({"lab_id": lab, "specimen_id": format!("S-{number}"), "assay": "K",
                         "status": "COMPLETED", "received_at": at, "processed_at": at});
        format!("{row}\n")
    });
    place.write("feed.ndjson", lines.collect::<String>());
    place.run(&["check", "--project", "project"]).succeeded();
    assert_eq!(count(&place.counters(&ONCE), "counted"), TESTS.len() as u64);
    for (table, expected) in [("shift", SHIFTS), ("week", WEEKS), ("month", MONTHS)] {
        let sql = format!(
            "SELECT lab_id, CAST(window_start AS VARCHAR) AS start, \
             CAST(window_end AS VARCHAR) AS until, local_start, CAST(date AS VARCHAR) AS date, n \
             FROM work_{table} ORDER BY start, lab_id"
        );
        let mut expected: Vec<Value> = expected
            .iter()
            .map(|(lab, start, until, local, n)| {
                json!({"lab_id": lab, "start": start, "until": until, "local_start": local,
                       "date": &local[..10], "n": n})
            })
            .collect();
        expected.sort_by_key(|row| format!("{}{}", row["start"], row["lab_id"]));
        assert_eq!(place.query("lake", &sql), expected, "{table}");
    }
}

#[test]
fn a_year_of_periods_is_what_zoneinfo_makes_of_it() {
    let test = "calendars::a_year_of_periods_is_what_zoneinfo_makes_of_it";
    let Some(python) = servers::python(test) else { return };
    let place = place();
    let script = "tests/oracle/calendars.py";
    place.python(&python, script, &["make", "feed.ndjson"]);
    assert_eq!(count(&place.counters(&ONCE), "counted"), 6_600);
    let told = place.python(&python, script, &["compare", "feed.ndjson", "lake/tables"]);
    assert_eq!(told.matches(", the same").count(), 5, "{told}");
}
