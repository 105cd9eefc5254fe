//! `sketch_quantile(quantile_sketch(x), 0.9)` in a plan → an aggregate that gives the number.
//!
//! Wherever a scalar reads a column that is an aggregate's sketch, also through subqueries, views
//! and HAVING, the reading moves into the aggregate: its state stays the sketch, its result is the
//! number, and the sketch is never made into bytes. The sketch's own column is left in place and
//! pruned by the optimizer when nothing else reads it. A quantile that is no literal stays a
//! scalar. Names and types of the plan's output do not change.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::SubqueryAlias;
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::lit;

use super::SketchAggregate;
use super::readings::{ReadingKind, SketchReading};
use super::scalars::{SketchScalar, is_quantile};

/// The rule. It runs before types are coerced.
#[derive(Debug, Default)]
pub struct ReadInAggregate;

impl AnalyzerRule for ReadInAggregate {
    fn name(&self) -> &str {
        "read_sketches_in_aggregates"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).data()
    }
}

/// Moves the readings of one node's expressions into the aggregate below it.
fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let reads = matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
    );
    let [input] = plan.inputs()[..] else { return Ok(Transformed::no(plan)) };
    if !reads {
        return Ok(Transformed::no(plan));
    }
    let mut input = input.clone();
    let mut changed = false;
    let names = NamePreserver::new(&plan);
    let exprs: Result<Vec<Expr>> = plan
        .expressions()
        .into_iter()
        .map(|expr| {
            let name = names.save(&expr);
            let moved = expr.transform_up(|expr| {
                let Some((column, reading)) = reading_of(&expr)? else {
                    return Ok(Transformed::no(expr));
                };
                let Some((below, place)) = provide(&input, &column, reading)? else {
                    return Ok(Transformed::no(expr));
                };
                input = below;
                changed = true;
                Ok(Transformed::yes(Expr::Column(column_at(&input, place))))
            })?;
            Ok(name.restore(moved.data))
        })
        .collect();
    let exprs = exprs?;
    if !changed {
        return Ok(Transformed::no(plan));
    }
    let moved = plan.with_new_exprs(exprs, vec![input])?;
    Ok(Transformed::yes(with_columns_of(&plan, moved)?))
}

/// The plan with the columns of the plan before it alone.
fn with_columns_of(before: &LogicalPlan, after: LogicalPlan) -> Result<LogicalPlan> {
    if after.schema().fields().len() == before.schema().fields().len() {
        return Ok(after);
    }
    let columns = before.schema().columns().into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(after))?))
}

/// The column and the way in which an expression reads it, if it reads a sketch by a literal.
fn reading_of(expr: &Expr) -> Result<Option<(Column, SketchReading)>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(None) };
    let Some(scalar) = func.inner().downcast_ref::<SketchScalar>() else { return Ok(None) };
    let (Some(Expr::Column(column)), true) =
        (args.first(), args.len() == 1 + scalar.kind.further_args())
    else {
        return Ok(None);
    };
    let reading = match scalar.kind {
        ReadingKind::Sketch => return Ok(None),
        ReadingKind::Count => SketchReading::Count,
        ReadingKind::Quantile(edge) => match literal(&args[1]) {
            Some(q) if is_quantile(q) => SketchReading::Quantile(edge, q),
            Some(q) => {
                return plan_err!("{} needs a quantile within 0 and 1, not {q}", func.name());
            }
            None => return Ok(None),
        },
    };
    Ok(Some((column.clone(), reading)))
}

/// The number that an expression is; none if it is not a literal, or null.
fn literal(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64).ok()? {
            datafusion::common::ScalarValue::Float64(number) => number,
            _ => None,
        },
        Expr::Negative(inner) => literal(inner).map(|number| -number),
        _ => None,
    }
}

fn column_at(plan: &LogicalPlan, place: usize) -> Column {
    Column::from(plan.schema().qualified_field(place))
}

/// A plan that has, beside the columns of `plan`, a reading of the sketch `column`, and the place
/// of that; none if the column is not one that an aggregate below makes.
fn provide(
    plan: &LogicalPlan,
    column: &Column,
    reading: SketchReading,
) -> Result<Option<(LogicalPlan, usize)>> {
    let Some(place) = plan.schema().maybe_index_of_column(column) else { return Ok(None) };
    match plan {
        LogicalPlan::Aggregate(aggregate) => provide_in_aggregate(aggregate, place, reading),
        LogicalPlan::Projection(projection) => {
            let Expr::Column(source) = projection.expr[place].clone().unalias_nested().data else {
                return Ok(None);
            };
            let Some((below, at)) = provide(&projection.input, &source, reading)? else {
                return Ok(None);
            };
            let wanted = Expr::Column(column_at(&below, at));
            let mut exprs = projection.expr.clone();
            let held = exprs.iter().position(|expr| *expr == wanted);
            let place = held.unwrap_or(exprs.len());
            if held.is_none() {
                exprs.push(wanted);
            }
            let projection = Projection::try_new(exprs, Arc::new(below))?;
            Ok(Some((LogicalPlan::Projection(projection), place)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let source = column_at(&alias.input, place);
            let Some((below, at)) = provide(&alias.input, &source, reading)? else {
                return Ok(None);
            };
            let aliased = SubqueryAlias::try_new(Arc::new(below), alias.alias.clone())?;
            Ok(Some((LogicalPlan::SubqueryAlias(aliased), at)))
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let inputs = plan.inputs();
            let [input] = inputs[..] else { return Ok(None) };
            let Some((below, at)) = provide(input, column, reading)? else { return Ok(None) };
            Ok(Some((plan.with_new_exprs(plan.expressions(), vec![below])?, at)))
        }
        _ => Ok(None),
    }
}

fn provide_in_aggregate(
    aggregate: &Aggregate,
    place: usize,
    reading: SketchReading,
) -> Result<Option<(LogicalPlan, usize)>> {
    let group_columns = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let made = place.checked_sub(group_columns).map(|place| &aggregate.aggr_expr[place]);
    let Some(Expr::AggregateFunction(call)) = made.map(|expr| expr.clone().unalias_nested().data)
    else {
        return Ok(None);
    };
    let Some(sketch) = call.func.inner().downcast_ref::<SketchAggregate>() else {
        return Ok(None);
    };
    if sketch.kind != ReadingKind::Sketch {
        return Ok(None);
    }
    let (kind, quantile) = match reading {
        SketchReading::Sketch => return Ok(None),
        SketchReading::Count => (ReadingKind::Count, None),
        SketchReading::Quantile(edge, q) => (ReadingKind::Quantile(edge), Some(lit(q))),
    };
    let func = Arc::new(AggregateUDF::from(SketchAggregate::new(sketch.input, kind)));
    let mut params = call.params.clone();
    params.args.extend(quantile);
    let wanted = Expr::AggregateFunction(AggregateFunction { func, params });
    let mut exprs = aggregate.aggr_expr.clone();
    let at = exprs.iter().position(|expr| *expr == wanted).unwrap_or(exprs.len());
    if at == exprs.len() {
        exprs.push(wanted);
    }
    let groups = aggregate.group_expr.clone();
    let aggregate = Aggregate::try_new(Arc::clone(&aggregate.input), groups, exprs)?;
    Ok(Some((LogicalPlan::Aggregate(aggregate), group_columns + at)))
}

#[cfg(test)]
mod tests;
