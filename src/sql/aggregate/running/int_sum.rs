//! Running sums of integers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Decimal128Type;
use datafusion::common::Result;

use super::Running;
use crate::sql::aggregate::functions::int_sum::too_large;

/// `sum(x)` of 64-bit integers. Null while no pane of the window has a value; an error when it does
/// not fit.
#[derive(Debug, Default)]
pub struct RunningIntSum {
    sums: Vec<i128>,
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
        let sums = states[0].as_primitive::<Decimal128Type>();
        for (row, group) in groups.iter().enumerate() {
            if sums.is_valid(row) {
                let group = *group as usize;
                self.sums[group] += sums.value(row);
                self.known[group] += 1;
            }
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let sums = states[0].as_primitive::<Decimal128Type>();
        for (row, group) in groups.iter().enumerate() {
            if sums.is_valid(row) {
                let group = *group as usize;
                self.sums[group] -= sums.value(row);
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
        for group in groups {
            let group = *group as usize;
            let sum = (self.known[group] > 0).then_some(self.sums[group]);
            let fit = |sum: i128| i64::try_from(sum).map_err(|_| too_large(sum));
            self.output.push(sum.map(fit).transpose()?);
        }
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(std::mem::take(&mut self.output)))]
    }

    fn size(&self) -> usize {
        self.sums.capacity() * (size_of::<i128>() + size_of::<u32>())
    }
}
