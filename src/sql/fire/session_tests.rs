//! Sessions, in every way of computing them, against rows sorted and cut where the gap has passed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::Engine;
use super::tests::{
    Results, Row, SQL, collected, figures, relation_rows, results, row, schema, shape_of,
};
use crate::flow::ReferenceRows;
use crate::flow::{OffsetRange, OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::collected::Tally;
use crate::sql::collect::family::Family;
use crate::sql::collect::session_family::SessionFamily;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::planner;
use crate::sql::plan::query;
use crate::sql::plan::query::{Below, Way};
use crate::sql::plan::relation::RelationDef;
use crate::window::Extent;

/// Sessions expect nothing.
const NOTHING: Extent =
    Extent { begins_at: Timestamp::MAX, ends_at: Timestamp::MIN, complete_from: Timestamp::MIN };

/// The three ways: row-wise below the aggregate, a join below it, recompute.
const WAYS: [&str; 3] = [
    "FROM t",
    "FROM t JOIN ref.labs AS r ON r.name = t.lab",
    "FROM (SELECT * FROM (SELECT lab, x, v, row_number() OVER (ORDER BY at) AS k FROM t) AS u \
     WHERE k > 0) AS t",
];

fn labs() -> ReferenceRows {
    let field = Field::new("name", DataType::Utf8, false);
    let names = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![names]).unwrap();
    ReferenceRows { name: "labs".into(), rows }
}

fn is_way(number: usize, way: &Way) -> bool {
    match way {
        Way::Incremental(incremental) => match incremental.below {
            Below::Branches(_) => number == 0,
            Below::Plan(_) => number == 1,
        },
        Way::Recompute(_) => number == 2,
        Way::RowLevel(_) => false,
    }
}

/// Runs rows, divided into batches of these lengths, through sessions of labs.
fn run(way: usize, filter: &str, rows: &[Row], batches: &[usize], gap: i64) -> Ran {
    run_waiting(way, filter, rows, batches, (gap, 0))
}

/// As [`run`], for rows that may be late by a wait.
fn run_waiting(
    way: usize,
    filter: &str,
    rows: &[Row],
    batches: &[usize],
    (gap, wait): (i64, i64),
) -> Ran {
    let runtime = Runtime::new().unwrap();
    let def = RelationDef { name: "t".into(), schema: schema(), event_time: "at" };
    let context = runtime.block_on(planner::over(&[def], &[labs()], &[])).unwrap();
    let sql = SQL.replace("FROM t", &format!("{} {filter}", WAYS[way]));
    let planned = Arc::new(runtime.block_on(query::plan(&context, &sql, false)).unwrap());
    assert!(is_way(way, &planned.way), "not way {way}");
    let by = [("lab".to_owned(), DataType::Utf8)];
    let family = SessionFamily::new(Span(gap), Span(wait), &by).unwrap();
    let family = Arc::new(Family::Session(family));
    let shape = shape_of(&planned, &family);
    let executor = Executor::new(context.task_ctx(), runtime.handle().clone());
    let (query, of) = (Arc::clone(&planned), Arc::clone(&family));
    let mut engine = Engine::new(query, of, vec![shape], None, executor.clone());
    let mut out = Vec::new();
    let mut start = 0;
    let mut lengths = batches.iter().copied().cycle();
    let mut watermark = i64::MIN;
    let mut largest_parts = 0;
    let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
    while start < rows.len() {
        let end = (start + lengths.next().unwrap().max(1)).min(rows.len());
        let offsets: Vec<i64> = (start as i64..end as i64).collect();
        let inputs = [relation_rows(&rows[start..end])];
        let part = collected((&planned, &family), &inputs, &offsets, &executor);
        engine.collect(part, &partition).unwrap();
        largest_parts = largest_parts.max(engine.state.most_parts());
        watermark = rows.get(end).map_or(watermark, |next| next.watermark.max(watermark));
        out.extend(engine.advance(Timestamp(watermark), NOTHING).unwrap());
        start = end;
    }
    out.extend(engine.advance(Timestamp::MAX, NOTHING).unwrap());
    assert_eq!(engine.first_held(Timestamp::MAX), None);
    let tally = engine.tallies().next().unwrap().1;
    let windows = out.iter().flat_map(|batch| &batch.windows);
    let origins = windows.map(|window| {
        let ranges: Vec<OffsetRange> = engine.origins_of(*window, 0).into_values().collect();
        (*window, ranges.first().map(|range| (range.from.0, range.to.0)))
    });
    Ran { origins: origins.collect(), out, tally, largest_parts }
}

struct Ran {
    out: Vec<OutputBatch>,
    tally: Tally,
    largest_parts: usize,
    /// By window: the first offset that it counts and the one after the last.
    origins: BTreeMap<Window, Option<(i64, i64)>>,
}

/// The places of the rows that each window counts.
fn origins_by_definition(rows: &[Row], found: &Results) -> BTreeMap<Window, Option<(i64, i64)>> {
    let mut origins = BTreeMap::new();
    for (start, end, _, lab) in found.keys() {
        let window = Window { start: Timestamp(*start), end: Timestamp(*end) };
        for (place, row) in rows.iter().enumerate() {
            let counts = row.time >= row.watermark && (*start..*end).contains(&row.time);
            if counts && lab.as_deref() == Some(row.lab) {
                let place = place as i64;
                let held = origins.entry(window).or_insert(Some((place, place + 1)));
                *held = held.map(|(from, to)| (from.min(place), to.max(place + 1)));
            }
        }
    }
    origins
}

/// The rows that count, by lab and time, in a new session where the gap has passed; of those that
/// `keep` keeps the figures.
fn by_definition(rows: &[Row], gap: i64, keep: fn(&Row) -> bool) -> Results {
    let mut counted: Vec<&Row> = rows.iter().filter(|row| row.time >= row.watermark).collect();
    counted.sort_by_key(|row| (row.lab, row.time));
    let mut sessions: Vec<Vec<&Row>> = Vec::new();
    for row in counted {
        match sessions.last_mut() {
            Some(open) if open[0].lab == row.lab && row.time - open[open.len() - 1].time < gap => {
                open.push(row);
            }
            _ => sessions.push(vec![row]),
        }
    }
    let mut found = Results::new();
    for session in sessions {
        let (start, end) = (session[0].time, session[session.len() - 1].time + gap);
        let lab = session[0].lab.to_owned();
        let kept: Vec<&Row> = session.into_iter().filter(|row| keep(row)).collect();
        if !kept.is_empty() {
            found.insert((start, end, 0, Some(lab)), figures(&kept));
        }
    }
    found
}

#[test]
fn a_late_row_joins_nothing_and_a_row_between_joins_two() {
    let rows = [
        row(0, i64::MIN, "a", 1.0),
        row(18, 0, "a", 3.0),
        row(18, 5, "b", 7.0),
        // Nine after the first and nine before the second: all one.
        row(9, 5, "a", 5.0),
        // Before its partition's watermark, though a session is open there.
        row(12, 13, "a", 100.0),
        row(40, 13, "a", 9.0),
    ];
    for way in 0..WAYS.len() {
        let ran = run(way, "", &rows, &[1], 10);
        let found = results(&ran.out);
        let lines: Vec<_> = found
            .iter()
            .map(|((start, end, _, lab), of)| (*start, *end, lab.clone().unwrap(), of.n, of.p))
            .collect();
        let expected = [
            (0, 28, "a".to_owned(), 3, Some(3.0)),
            (18, 28, "b".to_owned(), 1, Some(7.0)),
            (40, 50, "a".to_owned(), 1, Some(9.0)),
        ];
        assert_eq!(lines, expected, "way {way}");
        assert_eq!(ran.tally, Tally { counted: 5, late: 1, other: 0 }, "way {way}");
    }
}

/// Two labs whose sessions have the same bounds are one window, its rows in the order of the grain.
#[test]
fn sessions_with_the_same_bounds_are_one_window() {
    let rows = [row(5, i64::MIN, "b", 1.0), row(5, i64::MIN, "a", 2.0)];
    let ran = run(0, "", &rows, &[1], 10);
    let windows: Vec<usize> = ran.out.iter().map(|batch| batch.windows.len()).collect();
    assert_eq!(windows, [1]);
    let labs = ran.out[0].rows.column_by_name("lab").unwrap();
    assert_eq!(labs.as_ref(), &StringArray::from(vec!["a", "b"]) as &dyn arrow::array::Array);
}

/// Rows in the order of arrival: each row's watermark is the largest time before it, less 10.
fn arrivals() -> impl Strategy<Value = Vec<Row>> {
    let one = (
        -14i64..16,
        prop::sample::select(vec!["a", "a", "a", "b", "c"]),
        prop::option::weighted(0.9, -4i32..5),
        prop::option::weighted(0.9, 0i64..5),
    );
    prop::collection::vec(one, 1..150).prop_map(|steps| {
        let mut rows = Vec::new();
        let mut clock = 0;
        let mut watermark = i64::MIN;
        for (step, lab, x, v) in steps {
            clock += 3;
            let time = clock + step;
            rows.push(Row { time, watermark, lab, x: x.map(f64::from), v });
            watermark = watermark.max(time - 10);
        }
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sessions_are_what_their_definition_says(
        rows in arrivals(),
        batches in prop::collection::vec(1usize..20, 1..4),
        gap in prop::sample::select(vec![2, 9, 20, 1_000]),
        way in 0..WAYS.len(),
    ) {
        let ran = run(way, "", &rows, &batches, gap);
        let found = results(&ran.out);
        prop_assert_eq!(&found, &by_definition(&rows, gap, |_| true));
        prop_assert_eq!(ran.origins, origins_by_definition(&rows, &found));
        let late = rows.iter().filter(|row| row.time < row.watermark).count() as u64;
        let expected = Tally { counted: rows.len() as u64 - late, late, other: 0 };
        prop_assert_eq!(ran.tally, expected);
    }

    /// A row that is late by no more than the wait counts as if the watermark stood so far back.
    #[test]
    fn rows_that_are_waited_for_count(
        rows in arrivals(),
        batches in prop::collection::vec(1usize..20, 1..4),
        (gap, wait) in (prop::sample::select(vec![5, 20]), 0i64..40),
        way in 0..WAYS.len(),
    ) {
        let ran = run_waiting(way, "", &rows, &batches, (gap, wait));
        let back = |row: Row| Row { watermark: row.watermark.saturating_sub(wait), ..row };
        let waited: Vec<Row> = rows.into_iter().map(back).collect();
        let found = results(&ran.out);
        prop_assert_eq!(&ran.origins, &origins_by_definition(&waited, &found));
        prop_assert_eq!(found, by_definition(&waited, gap, |_| true));
    }

    /// What the query leaves out still holds a session together, in every way of computing it.
    #[test]
    fn a_filter_does_not_cut_sessions(
        rows in arrivals(),
        gap in prop::sample::select(vec![5, 20]),
        way in 0..WAYS.len(),
    ) {
        let ran = run(way, "WHERE v > 2", &rows, &[7], gap);
        let kept = |row: &Row| row.v.is_some_and(|v| v > 2);
        prop_assert_eq!(results(&ran.out), by_definition(&rows, gap, kept));
    }
}

/// A session that does not end holds few parts, however many batches have come for it.
#[test]
fn a_session_that_lasts_is_kept_merged() {
    let rows: Vec<Row> = (0..2_000)
        .map(|number| Row {
            time: number,
            watermark: number - 1,
            lab: "a",
            x: Some((number % 7) as f64),
            v: Some(number % 5),
        })
        .collect();
    for way in [0, 2] {
        let ran = run(way, "", &rows, &[1], 10);
        assert_eq!(results(&ran.out), by_definition(&rows, 10, |_| true), "way {way}");
        assert!(ran.largest_parts <= super::session_parts::PARTS_TO_MERGE, "{}", ran.largest_parts);
    }
}
