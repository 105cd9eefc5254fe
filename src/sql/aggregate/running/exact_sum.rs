//! Running exact sums and means.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::common::Result;

use super::Running;
use crate::sql::aggregate::functions::exact_sum::{SumReading, Sums};

/// `sum(x)` and `avg(x)` of doubles over one shared sum.
#[derive(Debug)]
pub struct RunningSum {
    sums: Sums,
    groups: usize,
    readings: Vec<SumReading>,
    outputs: Vec<Vec<Option<f64>>>,
}

impl RunningSum {
    /// A running sum that is read in these ways.
    pub fn new(readings: Vec<SumReading>) -> RunningSum {
        let outputs = vec![Vec::new(); readings.len()];
        RunningSum { sums: Sums::default(), groups: 0, readings, outputs }
    }
}

impl Running for RunningSum {
    fn grow(&mut self, groups: usize) {
        self.groups = self.groups.max(groups);
        self.sums.grow(groups);
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        self.sums.merge(groups, states, false)
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        self.sums.merge(groups, states, true)
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.sums.reset(*group as usize);
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        for (reading, output) in self.readings.iter().zip(&mut self.outputs) {
            output.extend(groups.iter().map(|group| self.sums.read(*group as usize, *reading)));
        }
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        let taken = self.outputs.iter_mut().map(std::mem::take);
        taken.map(|output| Arc::new(Float64Array::from(output)) as ArrayRef).collect()
    }

    fn size(&self) -> usize {
        self.groups * (size_of::<i128>() + size_of::<i64>())
    }
}
