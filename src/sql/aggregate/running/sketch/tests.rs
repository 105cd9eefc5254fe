//! Sketches as they slide, against a sketch of the window's values made at once.

use proptest::prelude::*;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use std::sync::Arc;

use super::*;
use crate::sql::aggregate::functions::sketch::SketchInput;
use crate::sql::aggregate::functions::sketch::grouped::GroupedSketches;
use crate::sql::aggregate::functions::sketch::layout;

const READINGS: [SketchReading; 5] = [
    SketchReading::Sketch,
    SketchReading::Count,
    SketchReading::Quantile(Edge::Middle, 0.5),
    SketchReading::Quantile(Edge::Lower, 0.93),
    SketchReading::Quantile(Edge::Upper, 0.2),
];

/// The state of a pane's values, those at even places in group 0, at odd ones in group 1.
fn pane(values: &[f64]) -> Vec<ArrayRef> {
    let mut made = GroupedSketches::new(SketchInput::Numbers, SketchReading::Sketch);
    let groups: Vec<usize> = (0..values.len()).map(|place| place % 2).collect();
    let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    made.update_batch(&[column], &groups, None, 2).unwrap();
    made.state(EmitTo::All).unwrap()
}

/// The values of a group among the panes of a window, as a sketch made at once.
fn at_once(window: &[Vec<f64>], group: usize) -> Vec<u8> {
    let values: Vec<f64> =
        window.iter().flat_map(|pane| pane.iter().copied().skip(group).step_by(2)).collect();
    let mut one = GroupedSketches::new(SketchInput::Numbers, SketchReading::Sketch);
    let column: ArrayRef = Arc::new(Float64Array::from(values));
    one.update_batch(&[Arc::clone(&column)], &vec![0; column.len()], None, 1).unwrap();
    one.evaluate(EmitTo::All).unwrap().as_binary::<i32>().value(0).to_vec()
}

fn same_as_at_once(running: &mut RunningSketch, window: &[Vec<f64>]) {
    running.read(&[1, 0]).unwrap();
    let columns = running.take_outputs();
    for (row, group) in [1, 0].into_iter().enumerate() {
        let bytes = at_once(window, group);
        assert_eq!(columns[0].as_binary::<i32>().value(row), bytes);
        let sketch = layout::read(&bytes).unwrap();
        let count = columns[1].as_primitive::<Int64Type>().value(row);
        assert_eq!(count as u64, sketch.count());
        for (column, reading) in columns.iter().zip(READINGS).skip(2) {
            let SketchReading::Quantile(edge, q) = reading else { panic!("a quantile") };
            let found = column.as_primitive::<Float64Type>().iter().nth(row).flatten();
            assert_eq!(found, sketch.percentile(q, edge));
        }
    }
}

/// Panes of few and of many values, some of more than are listed.
fn panes() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let value = prop_oneof![
        8 => (-90_000i32..90_000).prop_map(|n| f64::from(n) / 64.0),
        1 => (-2i32..3).prop_map(f64::from),
        1 => any::<f64>().prop_filter("not NaN", |value| !value.is_nan()),
    ];
    let length = prop_oneof![4 => 0usize..900, 2 => 0usize..30, 1 => 2_300usize..2_600];
    let pane = length.prop_flat_map(move |n| prop::collection::vec(value.clone(), n));
    prop::collection::vec(pane, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_slides_is_what_is_made_at_once(
        panes in panes(),
        size in 1usize..6,
        read in prop::collection::vec(any::<bool>(), 20),
        clear_at in 0usize..20,
    ) {
        let states: Vec<Vec<ArrayRef>> = panes.iter().map(|values| pane(values)).collect();
        let groups: Vec<Vec<u32>> =
            states.iter().map(|state| (0..state[0].len() as u32).collect()).collect();
        let mut running = RunningSketch::new(&READINGS);
        running.grow(2);
        let mut first = 0;
        for next in 0..panes.len() {
            running.add(&groups[next], &states[next], next as i64).unwrap();
            if next + 1 - first > size {
                running.retract(&groups[first], &states[first], first as i64).unwrap();
                first += 1;
            }
            if next == clear_at {
                running.reset(&[0, 1]);
                first = next + 1;
            }
            if read[next] {
                same_as_at_once(&mut running, &panes[first..=next]);
            }
        }
        for leaving in first..panes.len() {
            running.retract(&groups[leaving], &states[leaving], leaving as i64).unwrap();
            same_as_at_once(&mut running, &panes[leaving + 1..]);
        }
        prop_assert!(running.groups.iter().all(|group| group.size() == 0 || group.count == 0));
    }
}

#[test]
fn a_group_that_hovers_about_the_limit_keeps_its_buckets() {
    let mut group = SlidingGroup::default();
    let few: Vec<ArrayRef> = pane(&(0..2 * 1_000).map(f64::from).collect::<Vec<f64>>());
    let more: Vec<ArrayRef> = pane(&(5_000..5_000 + 2 * 50).map(f64::from).collect::<Vec<f64>>());
    let (few, more) = (States::of(&few).row(0), States::of(&more).row(0));
    group.add(few);
    assert!(group.is_exact() && group.buckets.is_none());
    group.add(more);
    assert!(!group.is_exact() && group.buckets.is_some());
    assert!(group.retract(more));
    assert!(group.is_exact() && group.buckets.is_some());
    assert!(!group.retract(more), "it has left already");
}

#[test]
fn a_state_that_never_came_cannot_leave() {
    let mut running = RunningSketch::new(&READINGS);
    running.grow(1);
    let state = pane(&[1.0]);
    running.add(&[0], &pane(&[2.0]), 0).unwrap();
    assert!(running.retract(&[0], &state, 0).is_err());
}
