//! The one door to DataFusion's SQL planner.
//!
//! `SessionState::create_logical_plan` and `statement_to_plan` are `async`, and the compiler makes
//! the code of an `async fn` where it is awaited: the planner and the parser of SQL would be
//! compiled again into every crate that awaits them, which was nine tenths of what the compiler had
//! to optimise in `turnaround`. A boxed future is made here and nowhere else.

use std::future::Future;
use std::pin::Pin;

use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;

/// A logical plan to be awaited.
pub type Planned<'a> = Pin<Box<dyn Future<Output = Result<LogicalPlan>> + Send + 'a>>;

/// The logical plan of one SQL text, not yet optimised.
///
/// # Errors
/// What DataFusion finds wrong with the text, or a table provider's own fault.
pub fn plan<'a>(state: &'a SessionState, sql: &'a str) -> Planned<'a> {
    Box::pin(state.create_logical_plan(sql))
}

/// The logical plan of one parsed statement, not yet optimised.
///
/// # Errors
/// As [`plan`].
pub fn plan_statement(state: &SessionState, statement: Statement) -> Planned<'_> {
    Box::pin(state.statement_to_plan(statement))
}
