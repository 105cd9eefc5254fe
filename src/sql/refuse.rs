//! What SQL must not do here: give another answer when it runs again.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{TableFactor, Visit, Visitor};

use super::functions::percentile;
use super::query::Way;
use crate::flow::Span;

/// Aggregates whose result depends on the order of rows or is not bounded in error, with what to
/// write instead.
const REFUSED_AGGREGATES: &[(&str, &str)] = &[
    ("approx_percentile_cont", APPROXIMATE),
    ("approx_percentile_cont_with_weight", APPROXIMATE),
    ("approx_median", APPROXIMATE),
    ("median", "write percentile_cont(0.5) WITHIN GROUP (ORDER BY x), which is exact"),
];

const APPROXIMATE: &str = "its error is unbounded and it depends on the order of rows; write \
     percentile_cont(p) WITHIN GROUP (ORDER BY x), which is exact, or \
     sketch_quantile(quantile_sketch(x), p), which is so up to 1024 distinct values and within 0.5 % \
     beyond";

/// Aggregates of ours that cannot tell repeated values apart from states.
const WITHOUT_DISTINCT: &[&str] = &[percentile::NAME, "quantile_sketch", "sketch_merge"];

/// Aggregates whose result is a matter of which row comes first, unless they say which that is.
const IN_ORDER: &[&str] = &["first_value", "last_value", "nth_value", "array_agg", "string_agg"];

/// Functions that read the clock.
const CLOCK: &[&str] = &["now", "current_timestamp", "current_date", "current_time", "today"];

/// Refuses functions that read the clock or chance, and aggregates that depend on row order.
pub fn refuse_unrepeatable(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                refuse(expr)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Refuses a sample of a table, which the planner would pass over in silence.
pub fn refuse_samples(state: &SessionState, sql: &str) -> Result<()> {
    let dialect = state.config_options().sql_parser.dialect;
    let Statement::Statement(statement) = state.sql_to_statement(sql, &dialect)? else {
        return Ok(());
    };
    match statement.visit(&mut Samples) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => plan_err!(
            "TABLESAMPLE would give other rows when the input is replayed; choose rows by what \
             they hold, as WHERE specimen_id LIKE '%7'"
        ),
    }
}

/// Stops at a table of which a sample is asked for.
struct Samples;

impl Visitor for Samples {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        match table {
            TableFactor::Table { sample: Some(_), .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn refuse(expr: &Expr) -> Result<()> {
    match expr {
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            let volatile = call.func.signature().volatility == Volatility::Volatile;
            if volatile || CLOCK.contains(&name) {
                return plan_err!(
                    "{name}() gives another answer when the input is replayed; use the relation's \
                     event time, or window_end in an alert"
                );
            }
            Ok(())
        }
        Expr::AggregateFunction(call) => {
            let name = call.func.name();
            if call.params.distinct && WITHOUT_DISTINCT.contains(&name) {
                return plan_err!("{name} does not take DISTINCT");
            }
            if IN_ORDER.contains(&name) && call.params.order_by.is_empty() {
                return plan_err!(
                    "{name} without an order gives another answer when rows come in another \
                     order; write ORDER BY within it, as {name}(x ORDER BY x)"
                );
            }
            match REFUSED_AGGREGATES.iter().find(|(refused, _)| *refused == name) {
                Some((_, instead)) => plan_err!("{name} is not offered: {instead}"),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The most windows that one row may be in where windows are recomputed: each holds the row and runs
/// the whole query over it again. A day every five minutes has 288.
pub const MOST_RECOMPUTED: i64 = 288;

/// Refuses a recomputed window that overlaps more of its like than [`MOST_RECOMPUTED`].
pub fn refuse_long_recompute(way: &Way, table: &str, size: Span, slide: Span) -> Result<()> {
    let Way::Recompute(reason) = way else { return Ok(()) };
    let overlap = size.0 / slide.0.max(1);
    if overlap <= MOST_RECOMPUTED {
        return Ok(());
    }
    let longer = Span((size.0 + MOST_RECOMPUTED - 1) / MOST_RECOMPUTED);
    plan_err!(
        "{table} is computed anew for every window, because {reason}, and each row is in {overlap} \
         windows of {size} every {slide}; at most {MOST_RECOMPUTED} are recomputed: slide by \
         {longer} or more, or write the query so that it is computed incrementally \
         (`turnaround explain`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::session;

    async fn refusal(select: &str) -> String {
        let sql = format!("SELECT {select} FROM (VALUES (1.0, 2)) AS t (x, k)");
        let plan = turnaround_planner::plan(&session::bare().state(), &sql).await.unwrap();
        refuse_unrepeatable(&plan).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn approximate_percentiles_are_refused_with_what_to_write() {
        for select in [
            "approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY x)",
            "approx_percentile_cont_with_weight(k, 0.9) WITHIN GROUP (ORDER BY x)",
            "approx_median(x)",
        ] {
            let message = refusal(select).await;
            assert!(message.contains("is not offered"), "{select}: {message}");
            assert!(message.contains("percentile_cont(p) WITHIN GROUP"), "{message}");
            assert!(message.contains("quantile_sketch(x)"), "{message}");
        }
        assert_eq!(refusal("sketch_quantile(quantile_sketch(x), 0.9)").await, "");
    }

    #[test]
    fn a_sample_is_refused_wherever_it_stands() {
        let state = session::bare().state();
        let told = |sql: &str| refuse_samples(&state, sql).err().map(|error| error.to_string());
        assert_eq!(told("SELECT 1 FROM t JOIN u USING (k)"), None);
        let within = "SELECT 1 FROM (SELECT * FROM t TABLESAMPLE BERNOULLI (10)) AS s";
        assert!(told(within).expect("a sample").contains("choose rows by what they hold"));
    }

    #[tokio::test]
    async fn distinct_percentiles_are_refused() {
        let message = refusal("quantile_sketch(DISTINCT x)").await;
        assert!(message.contains("does not take DISTINCT"), "{message}");
    }

    #[tokio::test]
    async fn an_aggregate_of_the_first_row_must_say_which_that_is() -> Result<()> {
        let context = session::bare();
        let plan = async |sql: &str| turnaround_planner::plan(&context.state(), sql).await;
        let given = "FROM (VALUES (1), (2)) AS t(v)";
        for call in ["first_value(v)", "array_agg(v)", "string_agg(CAST(v AS VARCHAR), ',')"] {
            let refused = refuse_unrepeatable(&plan(&format!("SELECT {call} {given}")).await?);
            let told = refused.expect_err("it has no order").to_string();
            assert!(told.contains("write ORDER BY within it"), "{told}");
        }
        let ordered = format!("SELECT first_value(v ORDER BY v) {given}");
        refuse_unrepeatable(&plan(&ordered).await?)
    }

    #[test]
    fn a_long_window_is_recomputed_only_so_often() {
        let way = Way::Recompute("it joins two relations".to_owned());
        let minutes = |minutes: i64| Span(minutes * Span::MINUTE.0);
        let day = minutes(24 * 60);
        refuse_long_recompute(&way, "t", day, minutes(5)).expect("288 are let through");
        let refused = refuse_long_recompute(&way, "t_30d", minutes(30 * 24 * 60), minutes(60));
        let told = refused.expect_err("720 are not").to_string();
        // A 288th of 30 days is two hours and a half.
        for part in ["t_30d", "it joins two relations", "720 windows", "slide by 150m or more"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
