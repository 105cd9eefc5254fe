//! Running exact percentiles: a sorted multiset per group.
//!
//! What enters and leaves is noted, and goes into the multisets when the window is read: each group
//! is then touched once for all that the slide brought, instead of once for each chunk, and is read
//! at once, while it is in the cache. A group that nothing has come to reads as it did before.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::common::{Result, exec_datafusion_err};

use super::Running;
use super::changes::{Changes, side_by_side};
use super::sorted_values::{Room, SortedValues, from_sortable, to_sortable};

/// Percentiles of one expression over one shared multiset.
#[derive(Debug)]
pub struct RunningPercentile {
    values: Vec<SortedValues>,
    coming: Changes,
    leaving: Changes,
    room: Room,
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
        let (values, room) = (Vec::new(), Room::default());
        RunningPercentile { values, coming, leaving, room, fractions, results, outputs }
    }

    /// Brings the multisets up to what has entered and left.
    fn settle(&mut self) -> Result<()> {
        let total = self.values.len();
        let (coming, leaving) = (self.coming.gather(total), self.leaving.gather(total));
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        for (group, came, went) in side_by_side(&coming, &leaving) {
            sorted_keys(came, &mut come);
            sorted_keys(went, &mut gone);
            let held = &mut self.values[group as usize];
            held.change(&gone, &come, &mut self.room).map_err(|missing| {
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

/// Values as keys, ascending. They mostly come sorted.
fn sorted_keys(values: &[f64], keys: &mut Vec<i64>) {
    keys.clear();
    keys.extend(values.iter().copied().map(to_sortable));
    if !keys.is_sorted() {
        keys.sort_unstable();
    }
}

impl Running for RunningPercentile {
    fn grow(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize(groups, SortedValues::default());
            self.results.iter_mut().for_each(|results| results.resize(groups, None));
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        self.coming.note(groups, states);
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        // What leaves is taken out first, so it must have entered.
        if !self.coming.is_empty() {
            self.settle()?;
        }
        self.leaving.note(groups, states);
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
