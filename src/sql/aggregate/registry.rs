//! Every aggregate that is known, once: whether it is ours, whether it sees the order of rows, how it
//! slides, whether it is refused and why. One that is not here sees the order of rows and is merged
//! anew for each window: right, but dear.

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use super::functions::percentile::{self, PercentileCont};
use super::functions::sketch::readings::ReadingKind;
use super::functions::sketch::scalars::SketchScalar;
use super::functions::sketch::{SketchAggregate, SketchInput};
use super::functions::sum::SumOrAvg;

/// What is known of an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate {
    /// Its name in SQL.
    pub name: &'static str,
    /// Makes the function, where it is ours.
    pub ours: Option<fn() -> AggregateUDF>,
    /// What the order of rows does to it.
    pub order: Order,
    /// Whether DISTINCT can be asked of it.
    pub takes_distinct: bool,
    /// How it slides.
    pub slides: Slides,
    /// Why it is not offered, and what to write instead.
    pub refused: Option<(&'static str, &'static str)>,
}

/// What the order of rows does to an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing: the same bits in whatever order rows come.
    Free,
    /// Other bits, as where floats are added up: rows are brought into an order of their own first.
    Seen,
    /// Another answer, unless the query says which order is meant.
    Stated,
}

/// How states become results as a window slides; of some only for types that are told elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slides {
    /// A running count.
    Count,
    /// A running sum.
    Sum,
    /// The mean, from a running sum.
    Avg,
    /// A running multiset of values.
    Percentile,
    /// A running sketch.
    Sketch,
    /// The least of panes.
    Min,
    /// The greatest of panes.
    Max,
    /// Merged anew for each window.
    Merged,
}

const APPROXIMATE: &str = "its error is unbounded and it depends on the order of rows";
const EXACT: &str = "write percentile_cont(p) WITHIN GROUP (ORDER BY x), which is exact, or \
     sketch_quantile(quantile_sketch(x), p), which is so up to 1024 distinct values and within 0.5 % \
     beyond";
const MEDIAN: &str = "of whole numbers it gives a whole one, cut";
const EXACT_MEDIAN: &str = "write percentile_cont(0.5) WITHIN GROUP (ORDER BY x), which is exact";

const fn of(name: &'static str, order: Order, slides: Slides) -> Aggregate {
    Aggregate { name, ours: None, order, takes_distinct: true, slides, refused: None }
}

const fn free(name: &'static str) -> Aggregate {
    of(name, Order::Free, Slides::Merged)
}

const fn in_order(name: &'static str) -> Aggregate {
    of(name, Order::Stated, Slides::Merged)
}

const fn refused(name: &'static str, why: &'static str, instead: &'static str) -> Aggregate {
    Aggregate { refused: Some((why, instead)), ..of(name, Order::Seen, Slides::Merged) }
}

const fn ours(name: &'static str, make: fn() -> AggregateUDF, slides: Slides) -> Aggregate {
    Aggregate { ours: Some(make), ..of(name, Order::Free, slides) }
}

const fn without_distinct(aggregate: Aggregate) -> Aggregate {
    Aggregate { takes_distinct: false, ..aggregate }
}

/// All of them.
pub const REGISTRY: &[Aggregate] = &[
    ours("sum", || SumOrAvg::sum().into(), Slides::Sum),
    ours("avg", || SumOrAvg::avg().into(), Slides::Avg),
    without_distinct(ours(
        percentile::NAME,
        || PercentileCont::default().into(),
        Slides::Percentile,
    )),
    without_distinct(ours("quantile_sketch", || sketch(SketchInput::Numbers), Slides::Sketch)),
    without_distinct(ours("sketch_merge", || sketch(SketchInput::Sketches), Slides::Sketch)),
    of("count", Order::Free, Slides::Count),
    of("min", Order::Free, Slides::Min),
    of("max", Order::Free, Slides::Max),
    free("bool_and"),
    free("bool_or"),
    free("bit_and"),
    free("bit_or"),
    free("bit_xor"),
    free("approx_distinct"),
    free("grouping"),
    in_order("first_value"),
    in_order("last_value"),
    in_order("nth_value"),
    in_order("array_agg"),
    in_order("string_agg"),
    refused("approx_percentile_cont", APPROXIMATE, EXACT),
    refused("approx_percentile_cont_with_weight", APPROXIMATE, EXACT),
    refused("approx_median", APPROXIMATE, EXACT),
    refused("median", MEDIAN, EXACT_MEDIAN),
];

/// Makes our functions known to a session, in place of those of the same name.
pub fn register(context: &SessionContext) {
    for make in REGISTRY.iter().filter_map(|aggregate| aggregate.ours) {
        context.register_udaf(make());
    }
    for function in SketchScalar::all() {
        context.register_udf(ScalarUDF::from(function));
    }
}

fn sketch(input: SketchInput) -> AggregateUDF {
    SketchAggregate::new(input, ReadingKind::Sketch).into()
}

/// What is known of a function. A sketch's has a name for each way of reading it.
pub fn known(function: &AggregateUDF) -> Aggregate {
    match function.inner().downcast_ref::<SketchAggregate>() {
        Some(_) => ours("quantile_sketch", || sketch(SketchInput::Numbers), Slides::Sketch),
        None => named(function.name()),
    }
}

/// What is known of a name.
pub fn named(name: &str) -> Aggregate {
    let found = REGISTRY.iter().find(|aggregate| aggregate.name == name);
    found.copied().unwrap_or(of("", Order::Seen, Slides::Merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_once_and_ours_bear_their_names() {
        for (place, aggregate) in REGISTRY.iter().enumerate() {
            let same = REGISTRY.iter().filter(|other| other.name == aggregate.name).count();
            assert_eq!(same, 1, "{}", aggregate.name);
            if let Some(make) = aggregate.ours {
                assert_eq!(make().name(), aggregate.name, "{place}");
                assert_eq!(known(&make()).slides, aggregate.slides);
            }
        }
        let stranger = named("covar_pop");
        assert_eq!((stranger.order, stranger.slides), (Order::Seen, Slides::Merged));
    }
}
