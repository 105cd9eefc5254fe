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

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::Result;
use datafusion::logical_expr::{AggregateUDF, EmitTo, GroupsAccumulator, ScalarUDF};
use datafusion::prelude::SessionContext;

use sketch::readings::Kind;
use sketch::scalars::SketchScalar;
use sketch::{Input, SketchAggregate};

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

/// Makes our functions known to a session, in place of those of the same name.
pub fn register(context: &SessionContext) {
    for function in aggregates() {
        context.register_udaf(function.as_ref().clone());
    }
    for function in SketchScalar::all() {
        context.register_udf(ScalarUDF::from(function));
    }
}

/// Every aggregate.
fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::from(percentile::PercentileCont::default())),
        Arc::new(AggregateUDF::from(sum::SumOrAvg::sum())),
        Arc::new(AggregateUDF::from(sum::SumOrAvg::avg())),
        Arc::new(AggregateUDF::from(SketchAggregate::new(Input::Numbers, Kind::Sketch))),
        Arc::new(AggregateUDF::from(SketchAggregate::new(Input::Sketches, Kind::Sketch))),
    ]
}
