//! Row-wise parts of a plan, evaluated without executing it: filters and projections.
//!
//! What stands below an aggregate is usually a union of chains over relations, what stands above
//! it usually one chain. A chain is evaluated on a batch by calling its expressions, and lets
//! further columns travel along; so it costs no plan, no stream and no task.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;

use super::relation::RelationExec;
use crate::flow::coded::with_columns;
use crate::sql::mask::mask;

/// One row-wise step.
#[derive(Clone, Debug)]
enum ChainStep {
    Filter { predicate: Arc<dyn PhysicalExpr>, columns: Option<Vec<usize>> },
    Project { exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
}

/// A chain of row-wise steps, from the bottom up.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    steps: Vec<ChainStep>,
}

/// A chain over one relation.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The relation.
    pub relation: Arc<str>,
    /// Which of its columns, in which order.
    pub columns: Vec<usize>,
    /// What is done with its rows.
    pub chain: Chain,
    /// By column, whether it is only passed on, so that its texts may stay coded.
    pub passed: Vec<bool>,
}

impl Chain {
    /// Evaluates the chain. `beside` are columns that are filtered alike and not seen.
    pub fn evaluate(
        &self,
        mut rows: RecordBatch,
        mut beside: Vec<ArrayRef>,
    ) -> Result<(RecordBatch, Vec<ArrayRef>)> {
        for step in &self.steps {
            match step {
                ChainStep::Filter { predicate, columns } => {
                    let mask = mask(predicate, &rows)?;
                    if let Some(columns) = columns {
                        rows = rows.project(columns)?;
                    }
                    if mask.true_count() < mask.len() {
                        rows = filter_record_batch(&rows, &mask)?;
                        for column in &mut beside {
                            *column = filter(column, &mask)?;
                        }
                    }
                }
                ChainStep::Project { exprs, schema } => rows = project(&rows, exprs, schema)?,
            }
        }
        Ok((rows, beside))
    }
}

impl Branch {
    /// Lets the texts of columns stay coded that are only passed on, given which columns at the
    /// chain's top nothing is computed from.
    pub fn pass(&mut self, passed_above: &dyn Fn(usize) -> bool) {
        // What each column is at the bottom, if it is one.
        let mut sources: Vec<Option<usize>> = (0..self.columns.len()).map(Some).collect();
        let mut passed = vec![true; self.columns.len()];
        let mut read = |expr: &Arc<dyn PhysicalExpr>, sources: &[Option<usize>]| {
            for column in collect_columns(expr) {
                if let Some(Some(source)) = sources.get(column.index()) {
                    passed[*source] = false;
                }
            }
        };
        for step in &self.chain.steps {
            match step {
                ChainStep::Filter { predicate, columns } => {
                    read(predicate, &sources);
                    if let Some(columns) = columns {
                        sources = columns.iter().map(|column| sources[*column]).collect();
                    }
                }
                ChainStep::Project { exprs, .. } => {
                    let made = exprs.iter().map(|expr| match expr.downcast_ref::<Column>() {
                        Some(column) => sources[column.index()],
                        None => {
                            read(expr, &sources);
                            None
                        }
                    });
                    sources = made.collect();
                }
            }
        }
        for (column, source) in sources.iter().enumerate() {
            if let Some(source) = source.filter(|_| !passed_above(column)) {
                passed[source] = false;
            }
        }
        self.passed = passed;
    }
}

impl Chain {
    /// The column at the bottom that an output column passes on unchanged, if it does.
    pub fn source(&self, column: usize) -> Option<usize> {
        let mut column = column;
        for step in self.steps.iter().rev() {
            column = match step {
                ChainStep::Filter { columns: None, .. } => column,
                ChainStep::Filter { columns: Some(columns), .. } => *columns.get(column)?,
                ChainStep::Project { exprs, .. } => {
                    exprs.get(column)?.downcast_ref::<Column>()?.index()
                }
            };
        }
        Some(column)
    }
}

fn project(
    rows: &RecordBatch,
    exprs: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let count = rows.num_rows();
    let columns: Result<Vec<ArrayRef>> =
        exprs.iter().map(|expr| expr.evaluate(rows)?.into_array(count)).collect();
    Ok(with_columns(schema, columns?, count)?)
}

/// The union of chains that a plan is, or none when something in it is not row-wise.
pub fn branches(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Branch>> {
    if let Some(leaf) = plan.downcast_ref::<RelationExec>() {
        return Some(vec![Branch {
            relation: Arc::clone(leaf.relation()),
            columns: leaf.columns().to_vec(),
            chain: Chain::default(),
            passed: vec![false; leaf.columns().len()],
        }]);
    }
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        let parts: Option<Vec<Vec<Branch>>> = union.inputs().iter().map(branches).collect();
        let step =
            ChainStep::Project { exprs: columns_of(&union.schema()), schema: union.schema() };
        let mut all = parts?.concat();
        all.iter_mut().for_each(|branch| branch.chain.steps.push(step.clone()));
        return Some(all);
    }
    if is_passage(plan) {
        return branches(plan.children().first()?);
    }
    let step = step_of(plan)?;
    let mut below = branches(plan.children().first()?)?;
    below.iter_mut().for_each(|branch| branch.chain.steps.push(step.clone()));
    Some(below)
}

/// The chain from `plan` down to the node that `is_bottom` names, or none when something between
/// is not row-wise.
pub fn chain_down_to(
    plan: &Arc<dyn ExecutionPlan>,
    is_bottom: &dyn Fn(&Arc<dyn ExecutionPlan>) -> bool,
) -> Option<Chain> {
    if is_bottom(plan) {
        return Some(Chain::default());
    }
    let mut chain = chain_down_to(plan.children().first()?, is_bottom)?;
    if !is_passage(plan) {
        chain.steps.push(step_of(plan)?);
    }
    Some(chain)
}

/// Operators that pass every row on unchanged; the order of a table's rows is its grain's.
pub fn is_passage(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CoalescePartitionsExec>()
        || plan.is::<CooperativeExec>()
        || plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_none())
}

fn step_of(plan: &Arc<dyn ExecutionPlan>) -> Option<ChainStep> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        if filter.fetch().is_some() {
            return None;
        }
        let columns = filter.projection().as_ref().map(|columns| columns.to_vec());
        return Some(ChainStep::Filter { predicate: Arc::clone(filter.predicate()), columns });
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let exprs = projection.expr().iter().map(|expr| Arc::clone(&expr.expr)).collect();
    Some(ChainStep::Project { exprs, schema: projection.schema() })
}

fn columns_of(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    let fields = schema.fields().iter().enumerate();
    fields.map(|(index, field)| Arc::new(Column::new(field.name(), index)) as _).collect()
}
