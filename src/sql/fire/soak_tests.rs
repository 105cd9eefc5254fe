//! Many small batches: what is kept of them is bounded by their groups, and what comes of them is
//! what the definition of windows says.

use std::sync::Arc;

use arrow::array::Array;
use tokio::runtime::Runtime;

use super::Engine;
use super::tests::{
    Row, SQL, Windows, by_definition, collected, expecting, relation_rows, results, row, schema,
    shape_of,
};
use crate::flow::ReferenceRows;
use crate::flow::{OutputBatch, Partition, Span, Timestamp};
use crate::sql::collect::calendar_family::LabCalendars;
use crate::sql::collect::family::Family;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::planner;
use crate::sql::plan::query;
use crate::sql::plan::query::Query;
use crate::sql::plan::relation::RelationDef;
use crate::window::{Calendar, CalendarUnit, Lateness};

const EVENTS: i64 = 3_000;
const PARTITIONS: i64 = 12;

/// An event at each instant, by turns of three labs; one in seven comes up to 240 late.
fn feed() -> Vec<Row> {
    let event = |n: i64| {
        let time = if n % 7 == 3 { n - 150 - n % 90 } else { n };
        row(time, n - 11, ["a", "b", "c"][(n % 3) as usize], (n % 40) as f64)
    };
    (0..EVENTS).map(event).collect()
}

struct Bench {
    runtime: Runtime,
    query: Arc<Query>,
    family: Arc<Family>,
    executor: Executor,
    engine: Engine,
}

impl Bench {
    fn new(family: Family) -> Bench {
        let runtime = Runtime::new().unwrap();
        let def = RelationDef { name: "t".into(), schema: schema(), event_time: "at" };
        let none: [ReferenceRows; 0] = [];
        let context = runtime.block_on(planner::over(&[def], &none, &[])).unwrap();
        let query = Arc::new(runtime.block_on(query::plan(&context, SQL, false)).unwrap());
        let family = Arc::new(family);
        let executor = Executor::new(context.task_ctx(), runtime.handle().clone());
        let shapes = vec![shape_of(&query, &family)];
        let engine =
            Engine::new(Arc::clone(&query), Arc::clone(&family), shapes, None, executor.clone());
        Bench { runtime, query, family, executor, engine }
    }

    fn collect(&mut self, rows: &[Row], first: i64) {
        let _entered = self.runtime.enter();
        let index = (first % PARTITIONS) as i32;
        let partition = Arc::new(Partition { topic: "t".into(), index });
        let offsets: Vec<i64> = (first..first + rows.len() as i64).collect();
        let rows = [relation_rows(rows)];
        let of = (self.query.as_ref(), self.family.as_ref());
        let part = collected(of, &rows, &offsets, &self.executor);
        self.engine.collect(part, &partition).unwrap();
    }

    /// How many parts are held.
    fn parts(&self) -> usize {
        self.engine.state.chunks().count()
    }
}

/// Each event as a batch of its own: what fires, the most parts held, and the most bytes in the
/// first half and in the second.
fn soak(rows: &[Row], family: Family) -> (Vec<OutputBatch>, usize, [usize; 2]) {
    let mut bench = Bench::new(family);
    let (mut out, mut parts, mut bytes) = (Vec::new(), 0, [0; 2]);
    for (n, row) in rows.iter().enumerate() {
        bench.collect(std::slice::from_ref(row), n as i64);
        let next = rows.get(n + 1).unwrap_or(row);
        let watermark = Timestamp(next.watermark);
        out.extend(bench.engine.advance(watermark, expecting(watermark)).unwrap());
        parts = parts.max(bench.parts());
        let half = &mut bytes[2 * n / rows.len()];
        *half = bench.engine.size().max(*half);
    }
    out.extend(bench.engine.advance(Timestamp::MAX, expecting(Timestamp(0))).unwrap());
    (out, parts, bytes)
}

#[test]
fn small_batches_are_kept_by_group() {
    let lateness = Lateness::new(Span(300), Span(100));
    for (shape, most) in [((500, 500), 200), ((500, 100), 250)] {
        let windows = Windows { lateness, ..Windows::of(shape) };
        let rows = feed();
        let (out, parts, bytes) = soak(&rows, windows.fixed());
        assert!(parts <= most, "{shape:?}: {parts} parts");
        assert!(bytes[1] * 4 <= bytes[0] * 5, "{shape:?}: {bytes:?}");
        assert_eq!(results(&out), by_definition(&rows, windows, 100, 300));
    }
}

#[test]
fn small_batches_of_a_calendar_day_are_kept_by_group() {
    let unit = Span::MINUTE.0;
    let minutes = |row: Row| Row { time: row.time * unit, watermark: row.watermark * unit, ..row };
    let rows: Vec<Row> = feed().into_iter().map(minutes).collect();
    let lateness = Lateness::new(Span(300 * unit), Span(100 * unit));
    let calendar = Calendar::new(CalendarUnit::Day, chrono_tz::UTC);
    let family = Family::Calendar(LabCalendars::fixed(calendar).revised(lateness));
    let (out, parts, _) = soak(&rows, family);
    assert!(parts <= 200, "{parts} parts");
    let days = Windows { lateness, ..Windows::of((Span::DAY.0, Span::DAY.0)) };
    assert_eq!(results(&out), by_definition(&rows, days, 100 * unit, 300 * unit));
}

/// A row that came late with 20,000 others keeps little more than itself, once theirs has fired.
#[test]
fn a_late_row_lets_go_of_its_batch() {
    let windows = Windows::of((1_000, 1_000));
    let lateness = Lateness::new(Span(50_000), Span(50_000));
    let mut bench = Bench::new(Windows { lateness, ..windows }.fixed());
    let mut rows: Vec<Row> = (0..20_000)
        .map(|n| row(40_000 + n % 500, 39_000, "a", (n * 7919 % 20_011) as f64))
        .collect();
    rows.push(row(5, 39_000, "a", 1.0));
    bench.collect(&rows, 0);
    // Chunks stand in the order of their panes, and no other row is in the first.
    let held = bench.engine.state.chunks().next().unwrap();
    assert_eq!(held.rows, [1]);
    let states = held.states.iter();
    let bytes: usize = states.flatten().map(|state| state.get_buffer_memory_size()).sum();
    assert!(0 < bytes && bytes < 100_000, "{bytes} bytes are held for one row");
}
