//! What SQL must not do here: give another answer when it runs again.

use std::fmt;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, TableFactor, Visit, Visitor};

use crate::sql::aggregate::registry::{self, Order};

/// Functions that read the clock.
const CLOCK: &[&str] = &["now", "current_timestamp", "current_date", "current_time", "today"];

/// What is refused although it is sound SQL.
#[derive(Debug)]
pub struct Refusal {
    /// The words of the text that ask for it, any of them; `now(` is a call.
    pub words: Vec<String>,
    /// What is wrong: lower case, no full stop.
    pub what: String,
    /// How to mend it: lower case, no full stop.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// As an error of planning.
    pub fn new(words: &[&str], what: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Refusal { words, what: what.into(), remedy: remedy.into() }
    }

    fn of_call(
        name: &str,
        aliases: &[String],
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Refusal {
        let names = || std::iter::once(name).chain(aliases.iter().map(String::as_str));
        // A call by its bracket first: a column may bear the name.
        let calls = names().map(|name| format!("{name}("));
        let words = calls.chain(names().map(str::to_owned)).collect();
        Refusal { words, what: what.into(), remedy: remedy.into() }
    }
}

impl From<Refusal> for DataFusionError {
    fn from(refusal: Refusal) -> DataFusionError {
        DataFusionError::External(Box::new(refusal))
    }
}

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

/// Refuses what is no query, and a sample of a table, which the planner would pass over in silence.
pub fn refuse_statement(state: &SessionState, sql: &str) -> Result<()> {
    let dialect = state.config_options().sql_parser.dialect;
    let parsed = state.sql_to_statement(sql, &dialect)?;
    let Statement::Statement(statement) = parsed else {
        return Err(no_query().into());
    };
    if !matches!(*statement, ast::Statement::Query(_)) {
        return Err(no_query().into());
    }
    match statement.visit(&mut Samples) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Refusal::new(
            &["tablesample"],
            "TABLESAMPLE would give other rows when the input is replayed",
            "choose rows by what they hold, as WHERE specimen_id LIKE '%7'",
        )
        .into()),
    }
}

fn no_query() -> Refusal {
    Refusal::new(
        &[],
        "this is no query",
        "write one SELECT, or WITH … SELECT: tables are written by the pipeline itself",
    )
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
                let what = format!("{name}() gives another answer when the input is replayed");
                let remedy = if volatile && !CLOCK.contains(&name) {
                    "compute it from what the row holds, as md5(specimen_id)"
                } else {
                    "use the relation's event time, or window_end in an alert"
                };
                return Err(Refusal::of_call(name, call.func.aliases(), what, remedy).into());
            }
            Ok(())
        }
        Expr::AggregateFunction(call) => refuse_aggregate(call),
        _ => Ok(()),
    }
}

fn refuse_aggregate(call: &AggregateFunction) -> Result<()> {
    let (name, aliases) = (call.func.name(), call.func.aliases());
    let refused =
        |what: String, remedy: String| Err(Refusal::of_call(name, aliases, what, remedy).into());
    let known = registry::named(name);
    if call.params.distinct && !known.takes_distinct {
        return refused(format!("{name} does not take DISTINCT"), "take DISTINCT out".to_owned());
    }
    if known.order == Order::Stated && call.params.order_by.is_empty() {
        return refused(
            format!("{name} without an order gives another answer when rows come in another order"),
            format!("write ORDER BY within it, as {name}(x ORDER BY x)"),
        );
    }
    match known.refused {
        Some((why, instead)) => {
            refused(format!("{name} is not offered: {why}"), instead.to_owned())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::planner;

    async fn refusal(select: &str) -> String {
        let sql = format!("SELECT {select} FROM (VALUES (1.0, 2)) AS t (x, k)");
        let plan = turnaround_planner::plan(&planner::bare().state(), &sql).await.unwrap();
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
        let state = planner::bare().state();
        let told = |sql: &str| refuse_statement(&state, sql).err().map(|error| error.to_string());
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
        let context = planner::bare();
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
}
