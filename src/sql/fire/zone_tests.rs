//! Periods of two zones that begin and end at the same instants: one window of the table.

use std::collections::HashMap;

use arrow::array::AsArray;

use super::tests::{Row, SQL, Step, results, row, run_steps};
use crate::flow::{Span, Timestamp};
use crate::sql::collect::calendar_family::LabCalendars;
use crate::sql::collect::family::Family;
use crate::window::{Calendar, CalendarUnit, Lateness};

fn at(text: &str) -> i64 {
    Timestamp::parse_rfc3339(&format!("2026-01-05T{text}Z")).unwrap().0
}

/// From 14:00 to 22:00 UTC it is 14:00 to 22:00 in London, where lab `a` is, and 06:00 to 14:00 in
/// Los Angeles, where `b` is.
fn shifts() -> Family {
    let starts = vec![6 * 60, 14 * 60, 22 * 60];
    let shift = |zone| Calendar::new(CalendarUnit::Shift { starts: starts.clone() }, zone);
    let calendars = vec![shift(chrono_tz::Europe::London), shift(chrono_tz::America::Los_Angeles)];
    let by_lab = HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]);
    let lateness = Lateness::new(Span::HOUR, Span(30 * Span::MINUTE.0));
    Family::Calendar(LabCalendars::by_lab(calendars, by_lab).revised(lateness))
}

fn step(first: usize, rows: Vec<Row>, watermark: &str) -> Step {
    Step { partition: 0, first, rows, watermark: at(watermark) }
}

/// Revision, lab and tests, in the order of the rows.
fn told(sql: &str, steps: &[Step]) -> (Vec<usize>, Vec<(u32, String, i64)>) {
    let (out, _) = run_steps(sql, steps, shifts(), None);
    let windows = out.iter().map(|batch| batch.windows.len()).collect();
    let figures = results(&out);
    let rows = out.iter().flat_map(|batch| {
        let labs = batch.rows["lab"].as_string::<i32>();
        labs.iter().flatten().map(|lab| (batch.revision, lab.to_owned())).collect::<Vec<_>>()
    });
    let of = |(revision, lab): (u32, String)| {
        let key = (at("14:00:00"), at("22:00:00"), revision, Some(lab.clone()));
        (revision, lab, figures[&key].n)
    };
    (windows, rows.map(of).collect())
}

#[test]
fn a_late_row_of_one_zone_revises_the_rows_of_the_other_as_well() {
    let recomputed = SQL.replace(
        "FROM t",
        "FROM (SELECT * FROM (SELECT lab, x, v, row_number() OVER (ORDER BY at) AS k FROM t) AS u \
         WHERE k > 0) AS t",
    );
    let on_time =
        vec![row(at("15:00:00"), i64::MIN, "a", 1.0), row(at("16:00:00"), i64::MIN, "b", 2.0)];
    let late = vec![row(at("17:00:00"), at("22:10:00"), "b", 4.0)];
    let of = |revision, lab: &str, n| (revision, lab.to_owned(), n);
    let expected = [of(0, "a", 1), of(0, "b", 1), of(1, "a", 1), of(1, "b", 2)];
    // The revision is due by itself, and together with the first firing.
    for watermarks in [["22:10:00", "22:40:00"], ["21:00:00", "22:40:00"]] {
        let steps = [step(0, on_time.clone(), watermarks[0]), step(2, late.clone(), watermarks[1])];
        for sql in [SQL, &recomputed] {
            let (windows, rows) = told(sql, &steps);
            assert_eq!(windows, [1, 1], "one object for each revision: {sql}");
            assert_eq!(rows, expected, "{sql}");
        }
    }
}
