//! Rows that pass without a window: which of them are late, and which run and day each belongs to.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::NaiveDate;
use datafusion::common::Result;
use tokio::runtime::Runtime;

use super::Engine;
use super::tests::{Row, relation_rows, schema, shape_of};
use crate::flow::{
    LateEvent, Offset, OffsetRange, Partition, ReferenceRows, RowCut, Span, Timestamp, Window,
};
use crate::sql::collect::batch_input::{BatchInput, RowSources};
use crate::sql::collect::collected::{Partial, Tally};
use crate::sql::collect::family::Family;
use crate::sql::collect::row_family::RowFamily;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::planner;
use crate::sql::plan::query;
use crate::sql::plan::query::Query;
use crate::sql::plan::relation::RelationDef;

const SQL: &str = "SELECT lab, v FROM t WHERE v IS NOT NULL";
const HOUR: i64 = Span::HOUR.0;
const OFFSETS: [i64; 5] = [10, 11, 12, 13, 14];

/// The day of 1970-01-01 settles an hour after its end: at 25 hours.
fn family() -> Family {
    Family::Rows(RowFamily::new(Span::HOUR))
}

fn rows() -> Vec<Row> {
    let row = |time: i64, watermark: i64, lab, v| Row { time, watermark, lab, x: None, v };
    vec![
        row(HOUR, i64::MIN, "b", Some(1)),
        row(25 * HOUR, 0, "b", Some(2)),
        row(2 * HOUR, 25 * HOUR - 1, "a", Some(3)),
        row(3 * HOUR, 25 * HOUR, "a", Some(4)),
        row(3 * HOUR, 25 * HOUR, "a", None),
    ]
}

fn with_query<T>(run: impl FnOnce(Arc<Query>, Executor) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let def = RelationDef { name: "t".into(), schema: schema(), event_time: "at" };
    let none: [ReferenceRows; 0] = [];
    let context = runtime.block_on(planner::over(&[def], &none, &[])).unwrap();
    let query = Arc::new(runtime.block_on(query::plan(&context, SQL, true)).unwrap());
    run(query, Executor::new(context.task_ctx(), runtime.handle().clone()))
}

fn collected(cuts: Option<&[RowCut]>, live: bool) -> Result<Partial> {
    with_query(|query, executor| {
        let (query, inputs) = (query.as_ref(), [relation_rows(&rows())]);
        let sources = RowSources { offsets: &OFFSETS, cuts, events: None };
        let batch =
            BatchInput { query, inputs: &inputs, sources, live, judged: true, executor: &executor };
        family().kind().partial(&batch)
    })
}

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(1970, 1, number).unwrap()
}

/// By part the day, the first and the last offset, and the values.
fn passed(partial: &Partial) -> Vec<(NaiveDate, i64, i64, Vec<i64>)> {
    let parts = partial.passed.iter().map(|part| {
        let values = part.rows.column(1).as_primitive::<Int64Type>().values().to_vec();
        (part.date, part.first, part.last, values)
    });
    parts.collect()
}

#[test]
fn a_row_is_late_once_its_day_has_settled() {
    let partial = collected(None, false).unwrap();
    assert_eq!(partial.tallies, [Tally { counted: 3, late: 1, other: 1 }]);
    let missed = Window { start: Timestamp(0), end: Timestamp(24 * HOUR) };
    assert_eq!(partial.late_events, [vec![LateEvent { event: 3, missed: Some(missed) }]]);
    assert_eq!(partial.counted_events, [true, true, true, false, false]);
    // Where nothing is to be seen before its day settles, a day is one part.
    let expected = [(day(1), 10, 12, vec![1, 3]), (day(2), 11, 11, vec![2])];
    assert_eq!(passed(&partial), expected);
}

#[test]
fn runs_are_cut_by_the_watermark_before_a_row_unless_its_source_says_otherwise() {
    let expected =
        [(day(1), 10, 10, vec![1]), (day(2), 11, 11, vec![2]), (day(1), 12, 12, vec![3])];
    assert_eq!(passed(&collected(None, true).unwrap()), expected);
    // All of one record: of a day they are one run, sorted by every column.
    let cuts = [RowCut { offset: 200_000, watermark: 90_000_000 }; 5];
    let partial = collected(Some(&cuts), true).unwrap();
    let expected = [(day(1), 200_000, 200_000, vec![3, 1]), (day(2), 200_000, 200_000, vec![2])];
    assert_eq!(passed(&partial), expected);
    // 200,000 is in the fourth 65,536 and in the first 524,288; 90 seconds are in the second minute
    // and in the first hour.
    let run = partial.passed.iter().map(|part| (part.run, part.hour));
    assert_eq!(run.collect::<Vec<_>>(), [((3, 1), (0, 0)); 2]);
    let error = collected(Some(&cuts[..4]), true).unwrap_err().to_string();
    assert!(error.contains("5 rows' sources have 4 cuts"), "{error}");
}

#[test]
fn a_day_tells_where_its_rows_came_from_until_it_is_forgotten() {
    with_query(|query, executor| {
        let family = Arc::new(family());
        let shape = shape_of(&query, &family);
        let columns: Vec<String> =
            shape.schema.fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(columns, ["lab", "v", "date"]);
        assert_eq!((shape.order(), shape.deciding()), (vec![0, 1, 2], 1));
        let mut engine = Engine::new(query, family, vec![shape], None, executor);
        let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
        engine.collect(collected(None, true).unwrap(), &partition).unwrap();
        let of_day = |engine: &Engine, number| {
            let ranges = engine.origins_of_day(0, day(number));
            ranges.get(&partition).copied()
        };
        let range = |from, to| Some(OffsetRange { from: Offset(from), to: Offset(to) });
        assert_eq!((of_day(&engine, 1), of_day(&engine, 2)), (range(10, 13), range(11, 12)));
        assert_eq!(engine.first_held(Timestamp::MIN), None);
        let settled = |at| engine.settled_before(0, Timestamp(at), Span::HOUR);
        assert_eq!(settled(25 * HOUR - 1), Some(day(1)));
        assert_eq!(settled(25 * HOUR), Some(day(2)));
        engine.forget_origins(day(2));
        assert_eq!((of_day(&engine, 1), of_day(&engine, 2)), (None, range(11, 12)));
        assert_eq!(engine.tallies().next().unwrap().1.counted, 3);
    });
}
