//! Two partitions that run together in any way: the windows, and every revision of them, are those
//! of the definition, which knows of no order between partitions.

use proptest::prelude::*;

use super::tests::{Row, SQL, Step, Windows, arrivals, by_definition, results, run_steps};
use crate::flow::Span;
use crate::sql::collect::calendar_family::LabCalendars;
use crate::sql::collect::family::Family;
use crate::window::{Calendar, CalendarUnit, Lateness};

/// Batches of two partitions, taken from one or the other by `turns`, each with the watermark of
/// the job after it: the least of theirs.
fn together(partitions: &[Vec<Row>; 2], turns: &[(bool, usize)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut done, mut watermarks) = ([0, 0], [i64::MIN; 2]);
    let mut turns = turns.iter().cycle();
    while (0..2).any(|partition| done[partition] < partitions[partition].len()) {
        let (second, length) = turns.next().unwrap();
        let wanted = usize::from(*second);
        let ended = done[wanted] == partitions[wanted].len();
        let partition = if ended { 1 - wanted } else { wanted };
        let (rows, first) = (&partitions[partition], done[partition]);
        let end = (first + length).min(rows.len());
        let next = rows.get(end).map_or(i64::MIN, |next| next.watermark);
        watermarks[partition] = next.max(watermarks[partition]);
        steps.push(Step {
            partition: partition as i32,
            first,
            rows: rows[first..end].to_vec(),
            watermark: watermarks[0].min(watermarks[1]),
        });
        done[partition] = end;
    }
    steps
}

fn turns() -> impl Strategy<Value = Vec<(bool, usize)>> {
    prop::collection::vec((any::<bool>(), 1usize..12), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn windows_of_two_partitions_do_not_depend_on_how_they_interleave(
        one in arrivals(),
        other in arrivals(),
        turns in turns(),
        shape in prop::sample::select(vec![(10, 10), (20, 10), (60, 5)]),
        (allowed, step) in (0i64..50, 1i64..30),
    ) {
        let lateness = Lateness::new(Span(allowed), Span(step));
        let windows = Windows { lateness, ..Windows::of(shape) };
        let partitions = [one, other];
        let steps = together(&partitions, &turns);
        let found = run_steps(SQL, &steps, windows.fixed(), None).0;
        let rows = partitions.concat();
        prop_assert_eq!(results(&found), by_definition(&rows, windows, step, allowed));
    }

    #[test]
    fn days_of_two_partitions_do_not_depend_on_how_they_interleave(
        one in arrivals(),
        other in arrivals(),
        turns in turns(),
        (allowed, step) in (0i64..50, 1i64..30),
    ) {
        // An hour to the microsecond, so that rows fall into several days.
        let scaled = |rows: Vec<Row>| -> Vec<Row> {
            let hours = |of: i64| of.saturating_mul(Span::HOUR.0);
            let rows = rows.into_iter();
            rows.map(|row| Row { time: hours(row.time), watermark: hours(row.watermark), ..row })
                .collect()
        };
        let partitions = [one, other].map(scaled);
        let (allowed, step) = (allowed * Span::HOUR.0, step * Span::HOUR.0);
        let lateness = Lateness::new(Span(allowed), Span(step));
        let calendar = Calendar::new(CalendarUnit::Day, chrono_tz::UTC);
        let family = Family::Calendar(LabCalendars::fixed(calendar).revised(lateness));
        let steps = together(&partitions, &turns);
        let found = run_steps(SQL, &steps, family, None).0;
        let days = Windows { lateness, ..Windows::of((Span::DAY.0, Span::DAY.0)) };
        let rows = partitions.concat();
        prop_assert_eq!(results(&found), by_definition(&rows, days, step, allowed));
    }
}
