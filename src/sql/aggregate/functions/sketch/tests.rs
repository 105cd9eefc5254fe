//! Sketches against the multisets that they stand for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::SketchInput;
use super::buckets::bounds;
use super::grouped::GroupedSketches;
use super::layout::{self, Malformed};
use super::lists;
use super::readings::SketchReading;
use super::state::{EXACT_LIMIT, Edge, Sketch, SketchEntries};
use crate::sql::aggregate::registry::register;
use crate::sql::plan::planner;

/// The bytes of the sketch of some values, taken in at once.
pub(crate) fn sketch_of(values: &[f64]) -> Vec<u8> {
    let mut one = GroupedSketches::new(SketchInput::Numbers, SketchReading::Sketch);
    one.update_batch(&[floats(values)], &vec![0; values.len()], None, 1).unwrap();
    let column = one.evaluate(EmitTo::All).unwrap();
    column.as_binary::<i32>().value(0).to_vec()
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn read(bytes: &[u8]) -> Sketch {
    layout::read(bytes).unwrap()
}

fn is_exact(bytes: &[u8]) -> bool {
    matches!(read(bytes).entries(), SketchEntries::Exact(_))
}

fn distinct(values: &[f64]) -> usize {
    let bits = |value: &f64| if *value == 0.0 { 0 } else { value.to_bits() };
    values.iter().map(bits).collect::<std::collections::BTreeSet<u64>>().len()
}

/// The neighbours of a percentile among sorted values, and the weight of the second.
fn neighbours(sorted: &[f64], q: f64) -> (f64, f64, f64) {
    let h = (sorted.len() - 1) as f64 * q;
    let below = h.floor() as usize;
    (sorted[below], sorted[(below + 1).min(sorted.len() - 1)], h - h.floor())
}

/// Finite values that are hard for a sketch.
pub(crate) fn adversarial(most: usize) -> impl Strategy<Value = Vec<f64>> {
    let spread = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    let boundary = (-143_221i32..=143_221, -2i64..3, any::<bool>()).prop_map(|(key, by, low)| {
        let edge = if low { bounds(key).0 } else { bounds(key).1 };
        let bits = (edge.abs().to_bits() as i64 + by).clamp(0, f64::MAX.to_bits() as i64);
        f64::from_bits(bits as u64).copysign(edge)
    });
    let near = (3_000i32..3_040, -2i64..3).prop_map(|(key, by)| {
        f64::from_bits((bounds(key + 68_000).0.to_bits() as i64 + by) as u64)
    });
    let minutes = (0u32..40_000).prop_map(|cents| f64::from(cents) / 100.0);
    let few = (-3i32..4).prop_map(f64::from);
    let signed = (-1e6f64..1e6).boxed();
    let kinds =
        [spread.boxed(), boundary.boxed(), near.boxed(), minutes.boxed(), few.boxed(), signed];
    let value = prop::collection::vec(any::<prop::sample::Index>(), 1..3).prop_map(move |picked| {
        let parts = picked.iter().map(|index| index.get(&kinds).clone());
        prop::strategy::Union::new(parts).boxed()
    });
    value.prop_flat_map(move |value| prop::collection::vec(value, 1..most))
}

#[test]
fn small_groups_are_exact_by_hand() {
    let quantile = |values: &[f64], q| read(&sketch_of(values)).percentile(q, Edge::Middle);
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
    assert_eq!(quantile(&[20.0, 10.0], 0.5), Some(15.0));
    assert_eq!(quantile(&[20.0, 10.0], 0.9), Some(19.0));
    assert_eq!(quantile(&[4.0, 1.0, 2.0], 0.5), Some(2.0));
    assert_eq!(quantile(&[4.0, 1.0, 2.0], 0.75), Some(3.0));
    assert_eq!(quantile(&[4.0, 1.0, 2.0], 1.0), Some(4.0));
    assert_eq!(quantile(&[1.0, 1.0, 1.0, 9.0], 0.5), Some(1.0));
    assert_eq!(quantile(&[-0.0, 0.0], 0.5), Some(0.0));
    assert_eq!(quantile(&[f64::NEG_INFINITY, 1.0], 0.5), Some(f64::NEG_INFINITY));
    assert!(quantile(&[f64::NAN, 1.0], 1.0).unwrap().is_nan(), "NaN is the last");
}

#[test]
fn the_limit_is_at_1024_distinct_values() {
    let up_to = |n: usize| (0..n).map(|n| n as f64).collect::<Vec<f64>>();
    let twice = [up_to(EXACT_LIMIT), up_to(EXACT_LIMIT)].concat();
    assert!(is_exact(&sketch_of(&twice)));
    assert_eq!(read(&sketch_of(&twice)).count(), 2048);
    assert!(!is_exact(&sketch_of(&up_to(EXACT_LIMIT + 1))));
}

#[test]
fn infinities_and_nan_keep_their_places_among_buckets() {
    let mut values: Vec<f64> = (0..2_000).map(|n| f64::from(n) - 1000.0).collect();
    values.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    let sketch = read(&sketch_of(&values));
    // 2003 values: the least is −∞, the last but one +∞, the last NaN.
    assert_eq!(sketch.percentile(0.0, Edge::Middle), Some(f64::NEG_INFINITY));
    assert_eq!(sketch.percentile(2001.0 / 2002.0, Edge::Lower), Some(f64::INFINITY));
    assert!(sketch.percentile(1.0, Edge::Middle).unwrap().is_nan());
    assert_eq!(sketch.percentile(1001.0 / 2002.0, Edge::Upper), Some(0.0));
}

#[test]
fn the_layout_is_as_described() {
    assert_eq!(sketch_of(&[]), [1, 0, 0]);
    // 1.5 is 0x3ff8 0000 0000 0000; it comes 300 = 0b10_0101100 times.
    let values = [vec![-0.0], vec![1.5; 300]].concat();
    let expected = [
        vec![1, 0, 2],
        vec![0, 0, 0, 0, 0, 0, 0, 0, 1],
        vec![0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0xac, 0x02],
    ];
    assert_eq!(sketch_of(&values), expected.concat());
    // 1025 doubles that follow 1 share its bucket, 70 * 1022 + 2 = 71542; zigzag 143084 =
    // 0b1000_1011101_1101100. Minus 1 has key −71542, zigzag 143083, and the way is 143084.
    let mut values: Vec<f64> = (0..1025).map(|n| f64::from_bits(1.0f64.to_bits() + n)).collect();
    assert_eq!(sketch_of(&values), [1, 1, 1, 0xec, 0xdd, 0x08, 0x81, 0x08]);
    values.push(-1.0);
    let expected = [1, 1, 2, 0xeb, 0xdd, 0x08, 0x01, 0xec, 0xdd, 0x08, 0x81, 0x08];
    assert_eq!(sketch_of(&values), expected);
}

#[test]
fn bytes_that_no_sketch_has_are_refused() {
    let one = [0, 0, 0, 0, 0, 0, 0xf8, 0x3f];
    let with = |head: &[u8], tail: &[u8]| [head, &one, tail].concat();
    let refused = |bytes: &[u8]| layout::read(bytes).unwrap_err();
    assert!(layout::read(&with(&[1, 0, 1], &[1])).is_ok());
    assert_eq!(refused(&[]), Malformed::Short);
    assert_eq!(refused(&[1]), Malformed::Short);
    assert_eq!(refused(&[2, 0, 0]), Malformed::Version(2));
    assert_eq!(refused(&[1, 7, 0]), Malformed::Form(7));
    assert_eq!(refused(&[1, 0, 0, 0]), Malformed::Long);
    assert_eq!(refused(&with(&[1, 0, 1], &[])), Malformed::Short);
    assert_eq!(refused(&with(&[1, 0, 1], &[0])), Malformed::Number, "a count of zero");
    assert_eq!(refused(&with(&[1, 0, 1], &[0x81, 0])), Malformed::Number, "a padded varint");
    assert_eq!(refused(&[with(&[1, 0, 2], &[1]), with(&[], &[1])].concat()), Malformed::Order);
    assert_eq!(refused(&[1, 0, 0x81, 0x08]), Malformed::TooMuch);
    assert_eq!(refused(&[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 1]), Malformed::Number, "minus zero");
    assert_eq!(refused(&[1, 1, 1, 2, 0x80, 0x08]), Malformed::Number, "1024 need no buckets");
    assert!(layout::read(&[1, 1, 1, 2, 0x81, 0x08]).is_ok());
    assert_eq!(refused(&[1, 1, 2, 2, 0x81, 0x08, 0, 1]), Malformed::Order);
    assert_eq!(refused(&[1, 1, 1, 0xff, 0xff, 0xff, 0x7f, 0x81, 8]), Malformed::Number);
    let endless = [vec![1, 1, 1, 2], vec![0xff; 9], vec![1]].concat();
    assert_eq!(refused(&endless), Malformed::TooMuch, "2^64 - 1 values");
    let longer = [vec![1, 1, 1, 2], vec![0xff; 9], vec![2]].concat();
    assert_eq!(refused(&longer), Malformed::Number, "beyond 64 bits");
    assert_eq!(refused(&[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Malformed::Short);
}

/// The sketch of parts, each taken in by an accumulator of its own and merged in this order, as
/// states or, where `as_bytes` says so, by `sketch_merge`.
fn merged(parts: &[Vec<f64>], as_bytes: bool) -> Vec<u8> {
    let input = if as_bytes { SketchInput::Sketches } else { SketchInput::Numbers };
    let mut whole = GroupedSketches::new(input, SketchReading::Sketch);
    whole.merge_batch(&lists::ListBuilder::default().finish().unwrap(), &[], 1).unwrap();
    for part in parts {
        if as_bytes {
            let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&sketch_of(part)]));
            whole.update_batch(&[bytes], &[0], None, 1).unwrap();
        } else {
            let mut one = GroupedSketches::new(SketchInput::Numbers, SketchReading::Sketch);
            one.update_batch(&[floats(part)], &vec![0; part.len()], None, 1).unwrap();
            let states = one.state(EmitTo::All).unwrap();
            whole.merge_batch(&states, &[0], 1).unwrap();
        }
    }
    let column = whole.evaluate(EmitTo::All).unwrap();
    column.as_binary::<i32>().value(0).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn neither_order_nor_division_leaves_a_trace(
        values in adversarial(5_000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        as_bytes in any::<bool>(),
    ) {
        let whole = sketch_of(&values);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(values.len())).collect();
        cuts.extend([0, values.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<Vec<f64>> =
            cuts.windows(2).map(|cut| values[cut[0]..cut[1]].to_vec()).collect();
        prop_assert_eq!(&merged(&parts, as_bytes), &whole);
        parts.reverse();
        parts.iter_mut().for_each(|part| part.reverse());
        prop_assert_eq!(&merged(&parts, as_bytes), &whole);
        // (a + b) + (c + …) by sketches of sketches.
        let (left, right) = parts.split_at(parts.len() / 2);
        let mut pair = read(&merged(left, as_bytes));
        prop_assert!(pair.absorb(read(&merged(right, as_bytes)).entries()));
        let mut bytes = Vec::new();
        layout::write(pair.entries(), &mut bytes);
        prop_assert_eq!(&bytes, &whole);
        prop_assert_eq!(pair.count(), values.len() as u64);
        prop_assert_eq!(read(&whole), pair);
        prop_assert_eq!(is_exact(&whole), distinct(&values) <= EXACT_LIMIT);
    }

    #[test]
    fn percentiles_are_within_half_a_percent(values in adversarial(5_000), q in 0.0f64..=1.0) {
        let sketch = read(&sketch_of(&values));
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for q in [0.0, 0.5, 0.99, 1.0, q] {
            let (low, high, weight) = neighbours(&sorted, q);
            let found = sketch.percentile(q, Edge::Middle).unwrap();
            let lower = sketch.percentile(q, Edge::Lower).unwrap();
            let upper = sketch.percentile(q, Edge::Upper).unwrap();
            let span = high - low;
            let truth = if span.is_finite() {
                low + weight * span
            } else {
                low * (1.0 - weight) + high * weight
            };
            if matches!(sketch.entries(), SketchEntries::Exact(_)) {
                prop_assert_eq!(found, truth);
                prop_assert_eq!((lower, upper), (truth, truth));
                continue;
            }
            // Of the value itself, where its neighbours have one sign.
            let size = (1.0 - weight) * low.abs() + weight * high.abs();
            let bound = 0.005 * size + 2.3e-308;
            prop_assert!((found - truth).abs() <= bound, "{found} for {truth} at {q}");
            prop_assert!(lower <= truth && truth <= upper, "{truth} outside {lower}, {upper}");
            prop_assert!(lower <= found && found <= upper);
            prop_assert!(upper - lower <= 2.1 * bound + 1e-14 * size, "{lower} to {upper}");
        }
    }
}

/// A session of several partitions, so that states travel from partial to final aggregates, over a
/// table of `lab`, `x` in these batches.
fn session(batches: &[Vec<(&str, Option<f64>)>]) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(4).with_batch_size(16);
    let context = SessionContext::new_with_config(config);
    register(&context);
    let partitions: Vec<Vec<RecordBatch>> = batches
        .iter()
        .map(|rows| {
            let labs: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
            let xs: ArrayRef = Arc::new(rows.iter().map(|r| r.1).collect::<Float64Array>());
            vec![
                RecordBatch::try_from_iter_with_nullable([("lab", labs, true), ("x", xs, true)])
                    .unwrap(),
            ]
        })
        .collect();
    let schema = partitions[0][0].schema();
    let table = MemTable::try_new(schema, partitions).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

async fn answer(context: &SessionContext, sql: &str) -> RecordBatch {
    let frame = planner::query(context, sql).await.unwrap();
    let schema = Arc::clone(frame.schema().inner());
    let batches = frame.collect().await.unwrap();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn column(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

#[tokio::test]
async fn sql_groups_merges_and_reads() {
    let first: Vec<(&str, Option<f64>)> =
        vec![("a", Some(1.0)), ("b", Some(10.0)), ("a", Some(4.0)), ("c", None)];
    let second = vec![("a", Some(2.0)), ("b", Some(20.0)), ("b", None)];
    let many = (0..3_000).map(|n| ("d", Some(f64::from(n)))).collect();
    let context = session(&[first, second, many]);
    let sql = "SELECT lab, sketch_count(s) AS n, sketch_quantile(s, 0.75) AS q, \
         sketch_quantile_lower(s, 0.75) AS l, sketch_quantile_upper(s, 0.75) AS u, p \
         FROM (SELECT lab, quantile_sketch(x) AS s, \
                 percentile_cont(0.75) WITHIN GROUP (ORDER BY x) AS p FROM t GROUP BY lab) \
         ORDER BY lab";
    let rows = answer(&context, sql).await;
    let counts: Vec<_> = rows.column(1).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(counts, [Some(3), Some(2), Some(0), Some(3000)]);
    let (quantiles, exact) = (column(&rows, "q"), column(&rows, "p"));
    assert_eq!(quantiles[..3], [Some(3.0), Some(17.5), None]);
    assert_eq!(exact, [Some(3.0), Some(17.5), None, Some(2249.25)]);
    let (lower, upper) = (column(&rows, "l"), column(&rows, "u"));
    assert_eq!((&lower[..3], &upper[..3]), (&quantiles[..3], &quantiles[..3]));
    let (low, found, high) = (lower[3].unwrap(), quantiles[3].unwrap(), upper[3].unwrap());
    assert!((found - 2249.25).abs() <= 0.005 * 2249.25, "{found}");
    assert!(low < 2249.25 && 2249.25 < high, "{low} to {high}");

    let bytes = answer(
        &context,
        "SELECT (SELECT quantile_sketch(x) FROM t) = \
             (SELECT sketch_merge(s) FROM (SELECT quantile_sketch(x) AS s FROM t GROUP BY lab)), \
             (SELECT sketch_count(sketch_merge(s)) FROM \
                 (SELECT quantile_sketch(x) FILTER (WHERE x < 20) AS s FROM t GROUP BY lab))",
    );
    let bytes = bytes.await;
    assert!(bytes.column(0).as_boolean().value(0), "merged sketches are the sketch of all");
    // 1, 2, 4, 10 and 0 to 19.
    assert_eq!(bytes.column(1).as_primitive::<Int64Type>().value(0), 24);
}

#[tokio::test]
async fn sql_reads_a_window_function_and_refuses_what_is_no_sketch() {
    let context = session(&[vec![("a", Some(1.0)), ("a", Some(3.0)), ("a", Some(8.0))]]);
    let running = "SELECT x, sketch_quantile(quantile_sketch(x) OVER (ORDER BY x), 0.5) AS q \
         FROM t ORDER BY x";
    let rows = answer(&context, running).await;
    assert_eq!(column(&rows, "q"), [Some(1.0), Some(2.0), Some(3.0)]);
    let nulls = "SELECT sketch_quantile(NULL, 0.5) AS a, \
         sketch_quantile(quantile_sketch(x), NULL) AS b FROM t";
    let rows = answer(&context, nulls).await;
    assert_eq!((column(&rows, "a"), column(&rows, "b")), (vec![None], vec![None]));
    for (sql, says) in [
        ("SELECT sketch_count(X'010007') FROM t", "bytes that are no sketch"),
        ("SELECT sketch_merge(X'') FROM t", "bytes that are no sketch"),
        ("SELECT sketch_quantile(quantile_sketch(x), 1.5) FROM t", "within 0 and 1, not 1.5"),
        ("SELECT sketch_quantile('text', 0.5) FROM t", "takes a sketch"),
        ("SELECT quantile_sketch(lab) FROM t", "takes one number"),
        ("SELECT quantile_sketch(DISTINCT x), count(*) FROM t", "does not take DISTINCT"),
    ] {
        let failed = match planner::query(&context, sql).await {
            Ok(frame) => frame.collect().await.err(),
            Err(error) => Some(error),
        };
        let message = failed.map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(says), "{sql}: {message}");
    }
}

#[test]
fn groups_leave_in_the_order_of_their_numbers() {
    let mut many = GroupedSketches::new(SketchInput::Numbers, SketchReading::Count);
    let xs = floats(&[1.0, 2.0, 3.0, 4.0]);
    many.update_batch(&[xs], &[0, 2, 2, 1], None, 3).unwrap();
    let first = many.evaluate(EmitTo::First(2)).unwrap();
    assert_eq!(first.as_primitive::<Int64Type>(), &Int64Array::from(vec![1, 1]));
    many.update_batch(&[floats(&[5.0])], &[1], None, 2).unwrap();
    let rest = many.evaluate(EmitTo::All).unwrap();
    assert_eq!(rest.as_primitive::<Int64Type>(), &Int64Array::from(vec![2, 1]));
    assert_eq!(rest.null_count(), 0);
}
