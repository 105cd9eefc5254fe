//! Functions of our own; those that SQL knows are registered under the names that its users know.
//!
//! Each aggregate is a function of the multiset of its inputs: neither the order of rows, nor how they
//! were divided into batches, panes and partitions can change a bit of the result.

pub mod distinct_sum;
pub mod exact_sum;
pub mod extreme;
pub mod fixed_point;
pub mod int_sum;
pub mod percentile;
pub mod sketch;
pub mod sum;

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

/// Whether an aggregate's filter lets a row pass.
#[inline(always)]
fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// The state of each row by itself, from an accumulator that holds nothing yet.
fn state_of_each(
    mut empty: impl GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let rows = values[0].len();
    let each: Vec<usize> = (0..rows).collect();
    empty.update_batch(values, &each, filter, rows)?;
    empty.state(EmitTo::All)
}
