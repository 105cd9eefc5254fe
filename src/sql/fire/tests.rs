//! Windows as they slide, against a computation by hand over all rows at once.

// long because one definition of what windows hold, and the cases that are held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::Engine;
use super::expect::Expected;
use super::output::OutputShape;
use super::reclaim::Reclaiming;
use crate::flow::ReferenceRows;
use crate::flow::event::timestamp_type;
use crate::flow::{OutputBatch, Partition, Span, Timestamp};
use crate::keep::held::Keeper;
use crate::sql::aggregate::running::percentile::tests::ALWAYS_CUT;
use crate::sql::collect::batch_input::{BatchInput, RowSources};
use crate::sql::collect::calendar_family::LabCalendars;
use crate::sql::collect::collected::Partial;
use crate::sql::collect::family::Family;
use crate::sql::collect::fixed_family::FixedFamily;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::places::Places;
use crate::sql::plan::planner;
use crate::sql::plan::query;
use crate::sql::plan::query::{Query, Way};
use crate::sql::plan::relation::RelationDef;
use crate::sql::plan::relation_rows::RelationRows;
use crate::window::{Calendar, CalendarUnit, Extent, Lateness, PaneGrid};

pub(crate) const SQL: &str = "SELECT lab, count(*) AS n, sum(v) AS s, avg(x) AS a, min(x) AS low, \
     max(x) AS high, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS p, \
     count(DISTINCT v) AS d, count(*) FILTER (WHERE v > 2) AS f, \
     sketch_quantile(quantile_sketch(x), 0.5) AS sp, sketch_count(quantile_sketch(x)) AS sn \
     FROM t GROUP BY lab";

/// One row: time, the partition's watermark before it, lab, a float and an integer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) watermark: i64,
    pub(crate) lab: &'static str,
    pub(crate) x: Option<f64>,
    pub(crate) v: Option<i64>,
}

/// What a window says of a lab.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) n: i64,
    pub(crate) s: Option<i64>,
    pub(crate) a: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) p: Option<f64>,
    pub(crate) d: i64,
    pub(crate) f: i64,
    pub(crate) sp: Option<f64>,
    pub(crate) sn: i64,
}

/// By window start, window end, revision and lab.
pub(crate) type Results = BTreeMap<(i64, i64, u32, Option<String>), Figures>;

/// The first offset and the one after the last, by window start, window end and revision.
pub(crate) type OriginsTold = BTreeMap<(i64, i64, u32), Option<(i64, i64)>>;

/// Windows, and for how long they are revised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) size: i64,
    pub(crate) slide: i64,
    pub(crate) lateness: Lateness,
}

impl Windows {
    pub(crate) fn of((size, slide): (i64, i64)) -> Windows {
        Windows { size, slide, lateness: Lateness::NONE }
    }

    pub(crate) fn fixed(self) -> Family {
        let grid = PaneGrid::over([Span(self.size), Span(self.slide)]).revised(self.lateness);
        let shapes = vec![grid.shape(Span(self.size), Span(self.slide))];
        Family::Fixed(FixedFamily { grid, shapes })
    }
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("lab", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("at", timestamp_type(), true),
    ]))
}

pub(crate) fn relation_rows(rows: &[Row]) -> RelationRows {
    let schema = Places::new(&[0, 1, 2, 3]).said_by(&schema());
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.time));
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.lab))),
        Arc::new(rows.iter().map(|row| row.x).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.v).collect::<Int64Array>()),
        Arc::new(times.with_timezone("UTC")),
    ];
    RelationRows {
        relation: "t".into(),
        rows: RecordBatch::try_new(schema, columns).unwrap(),
        time: Int64Array::from_iter_values(rows.iter().map(|row| row.time)),
        watermark_before: Int64Array::from_iter_values(rows.iter().map(|row| row.watermark)),
        source_row: UInt32Array::from_iter_values(0..rows.len() as u32),
        lab: Some(StringArray::from_iter_values(rows.iter().map(|row| row.lab))),
        barred: None,
    }
}

/// Runs rows, divided into batches of these lengths, through windows.
fn run(
    sql: &str,
    rows: &[Row],
    batches: &[usize],
    windows: Windows,
    expected: Option<RecordBatch>,
) -> Vec<OutputBatch> {
    run_family(sql, rows, batches, windows.fixed(), expected).0
}

fn run_family(
    sql: &str,
    rows: &[Row],
    batches: &[usize],
    family: Family,
    expected: Option<RecordBatch>,
) -> (Vec<OutputBatch>, OriginsTold) {
    let mut steps = Vec::new();
    let mut lengths = batches.iter().copied().cycle();
    let (mut first, mut watermark) = (0, i64::MIN);
    while first < rows.len() {
        let end = (first + lengths.next().unwrap().max(1)).min(rows.len());
        // The watermark that stands before the next row is that after this batch.
        watermark = rows.get(end).map_or(watermark, |next| next.watermark.max(watermark));
        steps.push(Step { partition: 0, first, rows: rows[first..end].to_vec(), watermark });
        first = end;
    }
    run_steps(sql, &steps, family, expected)
}

/// A batch of a partition, and the job's watermark after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) partition: i32,
    /// The offset of the first row.
    pub(crate) first: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) watermark: i64,
}

pub(crate) fn run_steps(
    sql: &str,
    steps: &[Step],
    family: Family,
    expected: Option<RecordBatch>,
) -> (Vec<OutputBatch>, OriginsTold) {
    let mut told = OriginsTold::new();
    let (mut engine, executor, _runtime) = engine_of(sql, family, expected);
    let (planned, family) = (Arc::clone(engine.query()), Arc::clone(engine.family()));
    let mut out = Vec::new();
    for step in steps {
        let partition = Arc::new(Partition { topic: "t".into(), index: step.partition });
        let offsets: Vec<i64> =
            (step.first as i64..(step.first + step.rows.len()) as i64).collect();
        let rows = [relation_rows(&step.rows)];
        let part = collected((&planned, &family), &rows, &offsets, &executor);
        engine.collect(part, &partition).unwrap();
        let watermark = Timestamp(step.watermark);
        out.extend(engine.advance(watermark, expecting(watermark)).unwrap());
        told.extend(origins(&engine, &out));
    }
    let largest = steps.iter().flat_map(|step| &step.rows).map(|row| row.time).max().unwrap_or(0);
    out.extend(engine.advance(Timestamp::MAX, expecting(Timestamp(largest))).unwrap());
    told.extend(origins(&engine, &out));
    (out, told)
}

/// What a family collects of rows that stood at these offsets.
pub(crate) fn collected(
    (query, family): (&Query, &Family),
    inputs: &[RelationRows],
    offsets: &[i64],
    executor: &Executor,
) -> Partial {
    let sources = RowSources::of_events(offsets);
    let batch = BatchInput { query, inputs, sources, live: false, judged: false, executor };
    family.kind().partial(&batch).unwrap()
}

/// An engine of one table, what runs its plans, and the runtime that these need.
fn engine_of(
    sql: &str,
    family: Family,
    expected: Option<RecordBatch>,
) -> (Engine, Executor, Runtime) {
    let runtime = Runtime::new().unwrap();
    let def = RelationDef { name: "t".into(), schema: schema(), event_time: "at" };
    let none: [ReferenceRows; 0] = [];
    let context = runtime.block_on(planner::over(&[def], &none, &[])).unwrap();
    let planned = Arc::new(runtime.block_on(query::plan(&context, sql, false)).unwrap());
    let family = Arc::new(family);
    let shape = shape_of(&planned, &family);
    let executor = Executor::new(context.task_ctx(), runtime.handle().clone());
    let mut groups = None;
    if let Way::Incremental(incremental) = &planned.way {
        groups =
            expected.map(|rows| Expected::new(&rows, &incremental.aggregate_schema, 1).unwrap());
    }
    let mut engine = Engine::new(planned, family, vec![shape], groups, executor.clone());
    // Groups that are gone are looked for at once, and most rows that wait for recompute do so on
    // disk.
    engine.reclaiming = Reclaiming::at_once();
    engine.kit.keeper = Keeper::new(4_000);
    (engine, executor, runtime)
}

/// The shape of a family's one table, by lab.
pub(crate) fn shape_of(query: &Query, family: &Family) -> OutputShape {
    let forms = family.kind().forms();
    OutputShape::new("w", query, &["lab".to_owned()], forms[0]).unwrap()
}

pub(crate) fn expecting(until: Timestamp) -> Extent {
    Extent { begins_at: Timestamp::MIN, ends_at: until, complete_from: Timestamp::MIN }
}

/// For every window and revision that has fired, the offsets that it comes from.
fn origins(engine: &Engine, out: &[OutputBatch]) -> OriginsTold {
    let windows =
        out.iter().flat_map(|batch| batch.windows.iter().map(|window| (*window, batch.revision)));
    let told = windows.map(|(window, revision)| {
        let ranges = engine.origins_of(window, revision).into_values();
        let range = ranges.map(|range| (range.from.0, range.to.0)).next();
        ((window.start.0, window.end.0, revision), range)
    });
    told.collect()
}

pub(crate) fn results(out: &[OutputBatch]) -> Results {
    let mut found = Results::new();
    for batch in out {
        let rows = &batch.rows;
        let int = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>();
        let float = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let time = |name: &str| {
            rows.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>()
        };
        let labs = rows.column_by_name("lab").unwrap().as_string::<i32>();
        let nullable = |column: &Float64Array, row: usize| column.iter().nth(row).flatten();
        for row in 0..rows.num_rows() {
            let key = (
                time("window_start").value(row),
                time("window_end").value(row),
                batch.revision,
                labs.iter().nth(row).flatten().map(str::to_owned),
            );
            let figures = Figures {
                n: int("n").value(row),
                s: int("s").iter().nth(row).flatten(),
                a: nullable(float("a"), row),
                low: nullable(float("low"), row),
                high: nullable(float("high"), row),
                p: nullable(float("p"), row),
                d: int("d").value(row),
                f: int("f").value(row),
                sp: nullable(float("sp"), row),
                sn: int("sn").value(row),
            };
            assert!(found.insert(key, figures).is_none(), "a window fired twice");
        }
    }
    found
}

/// The figures of some rows, by their definitions.
pub(crate) fn figures(rows: &[&Row]) -> Figures {
    let mut xs: Vec<f64> = rows.iter().filter_map(|row| row.x).collect();
    xs.sort_by(f64::total_cmp);
    let vs: Vec<i64> = rows.iter().filter_map(|row| row.v).collect();
    let median = match xs.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(xs[odd / 2]),
        even => Some((xs[even / 2 - 1] + xs[even / 2]) / 2.0),
    };
    Figures {
        n: rows.len() as i64,
        s: (!vs.is_empty()).then(|| vs.iter().sum()),
        a: (!xs.is_empty()).then(|| xs.iter().sum::<f64>() / xs.len() as f64),
        low: xs.first().copied(),
        high: xs.last().copied(),
        p: median,
        d: vs.iter().collect::<BTreeSet<_>>().len() as i64,
        f: vs.iter().filter(|v| **v > 2).count() as i64,
        sp: median,
        sn: xs.len() as i64,
    }
}

/// The definition over all rows at once. A row counts in the revisions of the windows it falls into
/// from the step of `step` after the window's end on, in which its partition's watermark stood;
/// a revision is given when rows are new in it, and then holds all groups of the window.
pub(crate) fn by_definition(rows: &[Row], windows: Windows, step: i64, allowed: i64) -> Results {
    let mut held: BTreeMap<(i64, i64), Vec<(u32, &Row)>> = BTreeMap::new();
    for row in rows {
        let last = row.time.div_euclid(windows.slide) * windows.slide;
        for start in (0..windows.size / windows.slide).map(|back| last - back * windows.slide) {
            let end = start + windows.size;
            let behind = row.watermark.saturating_sub(end);
            let revision = match behind {
                on_time if on_time < 0 => 0,
                late if late < allowed => late / step + 1,
                _ => continue,
            };
            held.entry((start, end)).or_default().push((revision as u32, row));
        }
    }
    let mut results = Results::new();
    for ((start, end), rows) in held {
        let revisions: BTreeSet<u32> = rows.iter().map(|(revision, _)| *revision).collect();
        for revision in revisions {
            let counted = rows.iter().filter(|(at, _)| *at <= revision).map(|(_, row)| *row);
            let mut by_lab: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
            for row in counted {
                by_lab.entry(row.lab).or_default().push(row);
            }
            for (lab, rows) in by_lab {
                results.insert((start, end, revision, Some(lab.to_owned())), figures(&rows));
            }
        }
    }
    results
}

pub(crate) fn row(time: i64, watermark: i64, lab: &'static str, x: f64) -> Row {
    Row { time, watermark, lab, x: Some(x), v: Some(x as i64) }
}

/// Windows of a day, every hour, revised for two days; two rows, 2.9 million days apart. Of each, the
/// day that follows and the three after it matter, up to when the last revision would be due.
#[test]
fn an_end_far_away_is_reached_without_a_step_for_every_day_before_it() {
    let lateness = Lateness::new(Span(2 * Span::DAY.0), Span::DAY);
    let windows = Windows { size: Span::DAY.0, slide: Span::HOUR.0, lateness };
    let (mut engine, executor, _runtime) = engine_of(SQL, windows.fixed(), None);
    // 9999-01-01T00:00:00Z, by `date -u -d 9999-01-01 +%s`.
    let far = 253_370_764_800_000_000;
    let rows = [row(Span::HOUR.0, i64::MIN, "a", 1.0), row(far, i64::MIN, "a", 2.0)];
    let (query, family) = (Arc::clone(engine.query()), Arc::clone(engine.family()));
    let part = collected((&query, &family), &[relation_rows(&rows)], &[0, 1], &executor);
    engine.collect(part, &Arc::new(Partition { topic: "t".into(), index: 0 })).unwrap();
    let (mut reached, mut days, mut out) = (Timestamp(0), 0, Vec::new());
    while let Some(first) = engine.first_held(reached) {
        reached = Timestamp::midnight(reached.max(first).date().succ_opt().unwrap());
        out.extend(engine.advance(reached, expecting(Timestamp::MIN)).unwrap());
        days += 1;
        assert!(days < 100, "it goes on at {reached}");
    }
    assert_eq!((days, reached), (8, Timestamp(far + 4 * Span::DAY.0)));
    assert_eq!(results(&out).len(), 48, "each row is in 24 windows");
}

#[test]
fn a_row_that_is_late_for_one_window_counts_in_the_next() {
    let rows = [
        row(5, i64::MIN, "a", 1.0),
        row(15, i64::MIN, "a", 3.0),
        // [-10, 10) has ended by this row's watermark, [0, 20) has not.
        row(6, 12, "a", 100.0),
    ];
    let found = results(&run(SQL, &rows, &[1], Windows::of((20, 10)), None));
    let of = |start: i64| {
        let figures = &found[&(start, start + 20, 0, Some("a".to_owned()))];
        (figures.n, figures.p)
    };
    assert_eq!(found.len(), 3);
    assert_eq!(of(-10), (1, Some(1.0)));
    assert_eq!(of(0), (3, Some(3.0)));
    assert_eq!(of(10), (1, Some(3.0)));
}

#[test]
fn an_expected_group_has_zero_rows_where_nothing_came() {
    let labs = Arc::new(StringArray::from(vec!["a", "b"]));
    let field = Field::new("lab", DataType::Utf8, false);
    let expected = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![labs]).unwrap();
    let rows = [row(5, i64::MIN, "a", 1.0), row(35, i64::MIN, "a", 3.0)];
    let found = results(&run(SQL, &rows, &[9], Windows::of((10, 10)), Some(expected)));
    let counts: Vec<(i64, String, i64, Option<f64>)> = found
        .iter()
        .map(|((start, _, _, lab), figures)| {
            (*start, lab.clone().unwrap_or_default(), figures.n, figures.p)
        })
        .collect();
    let line = |start, lab: &str, n, p| (start, lab.to_owned(), n, p);
    let expected = [
        line(0, "a", 1, Some(1.0)),
        line(0, "b", 0, None),
        line(10, "a", 0, None),
        line(10, "b", 0, None),
        line(20, "a", 0, None),
        line(20, "b", 0, None),
        line(30, "a", 1, Some(3.0)),
        line(30, "b", 0, None),
    ];
    assert_eq!(counts, expected);
}

/// Rows in the order of arrival: each row's watermark is the largest time before it, less 10.
pub(crate) fn arrivals() -> impl Strategy<Value = Vec<Row>> {
    let one = (
        -30i64..40,
        prop::sample::select(vec!["a", "b", "c"]),
        prop::option::weighted(0.9, -4i32..5),
        prop::option::weighted(0.9, 0i64..5),
    );
    prop::collection::vec(one, 1..60).prop_map(|steps| {
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
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn sliding_windows_are_what_their_definition_says(
        rows in arrivals(),
        batches in prop::collection::vec(1usize..20, 1..4),
        shape in prop::sample::select(vec![(10, 10), (20, 10), (30, 10), (60, 5)]),
        (allowed, step) in (0i64..50, 1i64..30),
        cuts: bool,
    ) {
        ALWAYS_CUT.set(cuts);
        let lateness = Lateness::new(Span(allowed), Span(step));
        let windows = Windows { lateness, ..Windows::of(shape) };
        let family = windows.fixed();
        let (found, origins) = run_family(SQL, &rows, &batches, family, None);
        prop_assert_eq!(results(&found), by_definition(&rows, windows, step, allowed));
        for ((start, end, revision), told) in origins {
            let counts = |row: &Row| {
                let counted_by = end + (step * i64::from(revision)).min(allowed);
                (start..end).contains(&row.time) && row.watermark < counted_by
            };
            let first = rows.iter().position(counts).map(|at| at as i64);
            let last = rows.iter().rposition(counts).map(|at| at as i64);
            prop_assert_eq!(told, first.zip(last).map(|(first, last)| (first, last + 1)));
        }
    }

    #[test]
    fn recomputing_gives_the_same(
        rows in arrivals(),
        batches in prop::collection::vec(1usize..20, 1..4),
        (allowed, step) in (0i64..50, 1i64..30),
    ) {
        // A window function below the aggregate cannot be divided into partial states; one whose
        // result nobody read would be optimized away.
        let inner = "SELECT * FROM (SELECT lab, x, v, row_number() OVER (ORDER BY at) AS k FROM t) \
            AS u WHERE k > 0";
        let recomputed = SQL.replace("FROM t", &format!("FROM ({inner}) AS t"));
        let lateness = Lateness::new(Span(allowed), Span(step));
        let windows = Windows { lateness, ..Windows::of((30, 10)) };
        let found = results(&run(&recomputed, &rows, &batches, windows, None));
        prop_assert_eq!(found, by_definition(&rows, windows, step, allowed));
    }

    #[test]
    fn calendar_days_are_revised_by_the_same_rule(
        rows in arrivals(),
        batches in prop::collection::vec(1usize..20, 1..4),
        (allowed, step) in (0i64..50, 1i64..30),
    ) {
        // An hour to the microsecond of the other tests, so that rows fall into several days.
        let scaled: Vec<Row> = rows
            .into_iter()
            .map(|row| Row {
                time: row.time * Span::HOUR.0,
                watermark: row.watermark.saturating_mul(Span::HOUR.0),
                ..row
            })
            .collect();
        let (allowed, step) = (allowed * Span::HOUR.0, step * Span::HOUR.0);
        let lateness = Lateness::new(Span(allowed), Span(step));
        let calendar = Calendar::new(CalendarUnit::Day, chrono_tz::UTC);
        let family = Family::Calendar(LabCalendars::fixed(calendar).revised(lateness));
        let found = results(&run_family(SQL, &scaled, &batches, family, None).0);
        let days = Windows { lateness, ..Windows::of((Span::DAY.0, Span::DAY.0)) };
        prop_assert_eq!(found, by_definition(&scaled, days, step, allowed));
    }
}
