//! Running exact percentiles: a sorted multiset per group.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, exec_err};

use super::Running;
use crate::sql::functions::percentile::interpolate;

/// Values in a run of a sorted multiset before it divides: a run is moved by one `memmove`, which
/// at this size costs less than a cache miss.
const RUN_LIMIT: usize = 512;

/// A multiset of doubles in order, in runs of at most [`RUN_LIMIT`].
#[derive(Clone, Debug, Default)]
pub struct SortedValues {
    runs: Vec<Vec<f64>>,
    len: usize,
}

impl SortedValues {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The run that holds, or would hold, a value.
    fn run_of(&self, value: f64) -> usize {
        if self.runs.len() == 1 {
            return 0;
        }
        let after = self.runs.partition_point(|run| run[run.len() - 1].total_cmp(&value).is_lt());
        after.min(self.runs.len() - 1)
    }

    /// Adds a value.
    pub fn insert(&mut self, value: f64) {
        self.len += 1;
        if self.runs.is_empty() {
            self.runs.push(vec![value]);
            return;
        }
        let index = self.run_of(value);
        let run = &mut self.runs[index];
        let place = run.partition_point(|kept| kept.total_cmp(&value).is_lt());
        run.insert(place, value);
        if run.len() > RUN_LIMIT {
            let upper = run.split_off(RUN_LIMIT / 2);
            self.runs.insert(index + 1, upper);
        }
    }

    /// Takes a value out; false when it is not there.
    pub fn remove(&mut self, value: f64) -> bool {
        if self.runs.is_empty() {
            return false;
        }
        let index = self.run_of(value);
        let run = &mut self.runs[index];
        let place = run.partition_point(|kept| kept.total_cmp(&value).is_lt());
        if run.get(place).is_none_or(|kept| kept.total_cmp(&value).is_ne()) {
            return false;
        }
        run.remove(place);
        self.len -= 1;
        if run.is_empty() {
            self.runs.remove(index);
        }
        true
    }

    /// Takes everything out, keeping the first run's memory.
    pub fn clear(&mut self) {
        self.runs.truncate(1);
        match self.runs.first_mut() {
            Some(run) if run.capacity() <= RUN_LIMIT => run.clear(),
            Some(_) | None => self.runs.clear(),
        }
        if self.runs.first().is_some_and(Vec::is_empty) {
            self.runs.clear();
        }
        self.len = 0;
    }

    /// The value of a rank.
    fn at(&self, rank: usize) -> f64 {
        let mut rest = rank;
        for run in &self.runs {
            if let Some(value) = run.get(rest) {
                return *value;
            }
            rest -= run.len();
        }
        f64::NAN
    }

    /// The continuous percentile, none of no values.
    pub fn percentile(&self, q: f64) -> Option<f64> {
        match self.runs.as_slice() {
            [only] => interpolate(only.len(), q, |rank| only[rank]),
            _ => interpolate(self.len, q, |rank| self.at(rank)),
        }
    }
}

/// Percentiles of one expression over one shared multiset.
#[derive(Debug)]
pub struct RunningPercentile {
    values: Vec<SortedValues>,
    fractions: Vec<f64>,
    outputs: Vec<Vec<Option<f64>>>,
}

impl RunningPercentile {
    /// A running multiset that is read at these fractions.
    pub fn new(fractions: Vec<f64>) -> RunningPercentile {
        let outputs = vec![Vec::new(); fractions.len()];
        RunningPercentile { values: Vec::new(), fractions, outputs }
    }
}

/// The values of state row `row`.
fn state_values<'a>(inner: &'a [f64], offsets: &[i32], row: usize) -> &'a [f64] {
    &inner[offsets[row] as usize..offsets[row + 1] as usize]
}

impl Running for RunningPercentile {
    fn grow(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize(groups, SortedValues::default());
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        let inner = lists.values().as_primitive::<Float64Type>().values();
        let offsets = lists.value_offsets();
        for (row, group) in groups.iter().enumerate() {
            let held = &mut self.values[*group as usize];
            for value in state_values(inner, offsets, row) {
                held.insert(*value);
            }
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        let inner = lists.values().as_primitive::<Float64Type>().values();
        let offsets = lists.value_offsets();
        for (row, group) in groups.iter().enumerate() {
            let held = &mut self.values[*group as usize];
            for value in state_values(inner, offsets, row) {
                if !held.remove(*value) {
                    return exec_err!("cannot take {value} out of a window that does not hold it");
                }
            }
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.values[*group as usize].clear();
        }
    }

    fn read(&mut self, groups: &[u32]) {
        for (fraction, output) in self.fractions.iter().zip(&mut self.outputs) {
            let results =
                groups.iter().map(|group| self.values[*group as usize].percentile(*fraction));
            output.extend(results);
        }
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        let taken = self.outputs.iter_mut().map(std::mem::take);
        taken.map(|output| Arc::new(Float64Array::from(output)) as ArrayRef).collect()
    }

    fn size(&self) -> usize {
        let held: usize = self.values.iter().map(SortedValues::len).sum();
        held * size_of::<f64>() + self.values.capacity() * size_of::<SortedValues>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sorted_multiset_is_a_sorted_list(
            values in prop::collection::vec(0i32..400, 1..3_000),
            leave in prop::collection::vec(any::<bool>(), 3_000),
            q in 0.0f64..=1.0,
        ) {
            let mut held = SortedValues::default();
            let mut expected = Vec::new();
            for value in &values {
                held.insert(f64::from(*value));
            }
            for (value, leaves) in values.iter().zip(&leave) {
                if *leaves {
                    prop_assert!(held.remove(f64::from(*value)));
                } else {
                    expected.push(f64::from(*value));
                }
            }
            prop_assert!(!held.remove(-1.0));
            expected.sort_by(f64::total_cmp);
            prop_assert_eq!(held.len(), expected.len());
            let listed: Vec<f64> = held.runs.concat();
            prop_assert_eq!(&listed, &expected);
            let want = interpolate(expected.len(), q, |rank| expected[rank]);
            prop_assert_eq!(held.percentile(q), want);
        }
    }
}
