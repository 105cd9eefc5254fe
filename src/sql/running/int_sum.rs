//! Running sums of integers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use datafusion::common::Result;

use super::Running;

/// `sum(x)` of 64-bit integers, wrapping as DataFusion's does. Null while no pane of the window
/// has a value.
#[derive(Debug, Default)]
pub struct RunningIntSum {
    sums: Vec<i64>,
    /// States in the window that are not null.
    known: Vec<u32>,
    output: Vec<Option<i64>>,
}

impl Running for RunningIntSum {
    fn grow(&mut self, groups: usize) {
        if groups > self.sums.len() {
            self.sums.resize(groups, 0);
            self.known.resize(groups, 0);
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let sums = states[0].as_primitive::<Int64Type>();
        for (row, group) in groups.iter().enumerate() {
            if sums.is_valid(row) {
                let group = *group as usize;
                self.sums[group] = self.sums[group].wrapping_add(sums.value(row));
                self.known[group] += 1;
            }
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let sums = states[0].as_primitive::<Int64Type>();
        for (row, group) in groups.iter().enumerate() {
            if sums.is_valid(row) {
                let group = *group as usize;
                self.sums[group] = self.sums[group].wrapping_sub(sums.value(row));
                self.known[group] -= 1;
            }
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.sums[*group as usize] = 0;
            self.known[*group as usize] = 0;
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        let results = groups.iter().map(|group| {
            let group = *group as usize;
            (self.known[group] > 0).then_some(self.sums[group])
        });
        self.output.extend(results);
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(std::mem::take(&mut self.output)))]
    }

    fn size(&self) -> usize {
        self.sums.capacity() * 12
    }
}
