//! Aggregate functions of our own, registered under the names that SQL users know.
//!
//! Each one is a function of the multiset of its inputs: neither the order of rows, nor how they
//! were divided into batches, panes and partitions can change a bit of the result.

pub mod exact_sum;
pub mod fixed_point;
pub mod percentile;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

/// Every function to register with a session, replacing those of the same name.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::from(percentile::PercentileCont::default())),
        Arc::new(AggregateUDF::from(exact_sum::ExactSum::sum())),
        Arc::new(AggregateUDF::from(exact_sum::ExactSum::avg())),
    ]
}
