//! Running counts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use datafusion::common::Result;

use super::Running;

/// `count(x)`: the state is the number of values.
#[derive(Debug, Default)]
pub struct RunningCount {
    counts: Vec<i64>,
    output: Vec<i64>,
}

impl Running for RunningCount {
    fn grow(&mut self, groups: usize) {
        if groups > self.counts.len() {
            self.counts.resize(groups, 0);
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>().values();
        for (group, count) in groups.iter().zip(counts) {
            self.counts[*group as usize] += count;
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>().values();
        for (group, count) in groups.iter().zip(counts) {
            self.counts[*group as usize] -= count;
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.counts[*group as usize] = 0;
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        self.output.extend(groups.iter().map(|group| self.counts[*group as usize]));
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(std::mem::take(&mut self.output)))]
    }

    fn size(&self) -> usize {
        (self.counts.capacity() + self.output.capacity()) * size_of::<i64>()
    }
}
