//! Running exact percentiles: a sorted multiset per group.
//!
//! What enters and leaves is noted, and goes into the multisets when the window is read: each group
//! is then touched once for all that the slide brought, instead of once for each chunk, and is read
//! at once, while it is in the cache. A group that nothing has come to reads as it did before.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, exec_datafusion_err};

use super::Running;
use super::changes::Changes;
use super::sorted_values::{SortedValues, from_sortable, to_sortable};

/// Percentiles of one expression over one shared multiset.
#[derive(Debug)]
pub struct RunningPercentile {
    values: Vec<SortedValues>,
    coming: Changes,
    leaving: Changes,
    places: Vec<usize>,
    fractions: Vec<f64>,
    /// By fraction the present result of each group.
    results: Vec<Vec<Option<f64>>>,
    outputs: Vec<Vec<Option<f64>>>,
}

impl RunningPercentile {
    /// A running multiset that is read at these fractions.
    pub fn new(fractions: Vec<f64>) -> RunningPercentile {
        let (coming, leaving) = (Changes::default(), Changes::default());
        let [results, outputs] = [(); 2].map(|()| vec![Vec::new(); fractions.len()]);
        let (values, places) = (Vec::new(), Vec::new());
        RunningPercentile { values, coming, leaving, places, fractions, results, outputs }
    }

    /// Brings the multisets up to what has entered and left.
    fn settle(&mut self) -> Result<()> {
        let (coming, leaving) = (self.coming.gather(), self.leaving.gather());
        let only_leaving = leaving.groups().filter(|(group, _)| coming.of(*group).is_empty());
        let only_leaving = only_leaving.map(|(group, _)| (group, &[] as &[i64]));
        for (group, come) in coming.groups().chain(only_leaving) {
            let held = &mut self.values[group as usize];
            let gone = leaving.of(group);
            held.look_at(come.len() + gone.len());
            held.insert_sorted(come, &mut self.places);
            held.remove_sorted(gone, &mut self.places).map_err(|missing| {
                let value = from_sortable(missing);
                exec_datafusion_err!("cannot take {value} out of a window that does not hold it")
            })?;
            for (fraction, results) in self.fractions.iter().zip(&mut self.results) {
                results[group as usize] = held.percentile(*fraction);
            }
        }
        self.coming.clear();
        self.leaving.clear();
        Ok(())
    }
}

/// Notes the values of states.
fn note(changes: &mut Changes, groups: &[u32], states: &[ArrayRef]) {
    let lists = states[0].as_list::<i32>();
    let inner = lists.values().as_primitive::<Float64Type>().values();
    let offsets = lists.value_offsets();
    for (row, group) in groups.iter().enumerate() {
        let values = state_values(inner, offsets, row);
        if !values.is_empty() {
            changes.extend(*group, values.iter().copied().map(to_sortable));
        }
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
            self.coming.grow(groups);
            self.leaving.grow(groups);
            self.results.iter_mut().for_each(|results| results.resize(groups, None));
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        note(&mut self.coming, groups, states);
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        note(&mut self.leaving, groups, states);
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        self.coming.clear();
        self.leaving.clear();
        for group in groups {
            self.values[*group as usize].clear();
            self.results.iter_mut().for_each(|results| results[*group as usize] = None);
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        self.settle()?;
        for (results, output) in self.results.iter().zip(&mut self.outputs) {
            output.extend(groups.iter().map(|group| results[*group as usize]));
        }
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        let taken = self.outputs.iter_mut().map(std::mem::take);
        taken.map(|output| Arc::new(Float64Array::from(output)) as ArrayRef).collect()
    }

    fn size(&self) -> usize {
        let held: usize = self.values.iter().map(SortedValues::len).sum();
        held * size_of::<f64>()
            + self.values.capacity()
                * (size_of::<SortedValues>() + self.fractions.len() * size_of::<Option<f64>>())
            + self.coming.size()
            + self.leaving.size()
    }
}
