//! Queries that would see the order in which rows came. They are computed from the rows of a whole
//! window, and these are brought into an order of their own first, by all of the columns that the
//! query reads: rows that are alike in all of them may change places unseen.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{AggregateUDF, Distinct, Expr, LogicalPlan};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::relation::RelationExec;
use crate::sql::aggregate::registry::{self, Order};

/// Whether an aggregate sees the order of rows.
pub fn aggregate_sees_order(aggregate: &AggregateUDF) -> bool {
    registry::known(aggregate).order != Order::Free
}

/// Whether any part of a query sees the order of rows.
pub fn sees_order(plan: &LogicalPlan) -> Result<bool> {
    let mut sees = false;
    plan.apply_with_subqueries(|node| {
        sees |= match node {
            LogicalPlan::Limit(_) | LogicalPlan::Window(_) => true,
            LogicalPlan::Distinct(Distinct::On(_)) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            _ => false,
        };
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::AggregateFunction(call) = expr {
                    sees |= aggregate_sees_order(&call.func);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(sees)
}

/// The plan with its rows in order wherever their order is that of arrival: from relations, and
/// where streams run together.
pub fn in_order(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let sorted = |node: Arc<dyn ExecutionPlan>| {
        if !node.is::<RelationExec>() && !node.is::<CoalescePartitionsExec>() {
            return Ok(Transformed::no(node));
        }
        let schema = node.schema();
        let columns = schema.fields().iter().enumerate().map(|(place, field)| {
            PhysicalSortExpr::new_default(Arc::new(Column::new(field.name(), place)))
        });
        Ok(match LexOrdering::new(columns) {
            // Not told to what stands above: an aggregate that knows of an order gives its groups bit
            // by bit, which gains nothing where all rows are there.
            Some(order) => Transformed::yes(unordered(Arc::new(SortExec::new(order, node)))),
            None => Transformed::no(node),
        })
    };
    Arc::clone(plan).transform_up(sorted).data()
}

/// The same rows, of which the plan does not know that they are in order.
fn unordered(sorted: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(CoalescePartitionsExec::new(sorted))
}
