//! A pipeline's SQL, planned once and divided: what runs on every batch of rows as it comes, what
//! is kept per pane, and what runs when a window closes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::SessionContext;

use super::chain::{Branch, Chain, branches, chain_down_to, is_passage};
use super::grouped::Grouping;
use super::numbered::Numbered;
use super::ordered;
use super::relation::{RelationExec, reads_of};
use crate::sql::aggregate::functions::percentile;
use crate::sql::aggregate::slots::{Output, Slot, slots_of};
use crate::sql::keys::{KeyCodec, leading_types};

/// The name under which the aggregate's rows stand in the plan above it.
const AGGREGATE: &str = "aggregate";

/// A planned query.
#[derive(Clone, Debug)]
pub struct Query {
    /// How it is computed.
    pub way: Way,
    /// The relations it reads, with the columns of each, sorted.
    pub reads: Vec<(Arc<str>, Vec<usize>)>,
    /// All columns of each of them.
    pub relations: BTreeMap<Arc<str>, SchemaRef>,
    /// The query's own output columns.
    pub schema: SchemaRef,
    /// What its rows are told apart by, where it aggregates.
    pub grouped: Option<Grouping>,
    /// The whole physical plan.
    pub plan: Arc<dyn ExecutionPlan>,
}

/// How a query is computed.
#[derive(Clone, Debug)]
pub enum Way {
    /// Partial states per pane.
    Incremental(Box<Incremental>),
    /// The whole query over the window's rows, kept until it closes; with the reason.
    Recompute(String),
    /// Row by row, without an aggregate.
    RowLevel(RowWise),
}

/// How a row-level query runs over a batch.
#[derive(Clone, Debug)]
pub enum RowWise {
    /// A union of row-wise chains.
    Branches(Vec<Branch>),
    /// Something else that is linear in its relation, as a join with a reference table.
    Plan(Numbered),
}

/// What stands below the aggregate.
#[derive(Clone, Debug)]
pub enum Below {
    /// A union of row-wise chains.
    Branches(Vec<Branch>),
    /// Something else that is linear in its relation, as a join with a reference table.
    Plan(Arc<dyn ExecutionPlan>),
}

/// A query divided at its aggregate.
#[derive(Clone, Debug)]
pub struct Incremental {
    /// Below the aggregate.
    pub below: Below,
    /// The group columns, over the rows that `below` gives.
    pub group_exprs: Vec<Arc<dyn PhysicalExpr>>,
    /// From group columns to keys and back.
    pub codec: KeyCodec,
    /// The states.
    pub slots: Vec<Slot>,
    /// The aggregates in the order of the query.
    pub outputs: Vec<Output>,
    /// Group columns, then aggregates.
    pub aggregate_schema: SchemaRef,
    /// Above the aggregate.
    pub above: Above,
}

/// What stands above the aggregate.
#[derive(Clone, Debug)]
pub enum Above {
    /// Row-wise: many windows at once.
    Chain(Chain),
    /// Anything else (window functions, sorts with a limit, joins): window by window, with the
    /// aggregate's rows in the place of its one leaf.
    Plan(Arc<dyn ExecutionPlan>),
}

/// Plans a pipeline's SQL. `row_level` says that its only window is `none`.
pub async fn plan(context: &SessionContext, sql: &str, row_level: bool) -> Result<Query> {
    super::refuse::refuse_statement(&context.state(), sql)?;
    let logical = turnaround_planner::plan(&context.state(), sql).await?;
    super::refuse::refuse_unrepeatable(&logical)?;
    let plan = context.state().create_physical_plan(&logical).await?;
    let reads = reads_of(&plan);
    if reads.is_empty() {
        return plan_err!("the query reads no relation; name one as `FROM completions`");
    }
    let schema = plan.schema();
    let way = if row_level { row_level_way(&plan)? } else { windowed_way(&plan)? };
    let plan = match &way {
        Way::Recompute(_) if ordered::sees_order(&logical)? => ordered::in_order(&plan)?,
        Way::Recompute(_) | Way::Incremental(_) | Way::RowLevel(_) => plan,
    };
    let grouped = Grouping::of(&logical);
    let whole = |(name, (_, schema)): (&Arc<str>, &(_, SchemaRef))| (name.clone(), schema.clone());
    let relations = reads.iter().map(whole).collect();
    let columns = |(name, (columns, _)): (Arc<str>, (BTreeSet<usize>, _))| {
        (name, columns.into_iter().collect())
    };
    let reads = reads.into_iter().map(columns).collect();
    Ok(Query { way, reads, relations, schema, grouped, plan })
}

fn row_level_way(plan: &Arc<dyn ExecutionPlan>) -> Result<Way> {
    if let Some(branches) = branches(plan) {
        return Ok(Way::RowLevel(RowWise::Branches(branches)));
    }
    match nonlinear(plan) {
        None => Ok(Way::RowLevel(RowWise::Plan(Numbered::new(plan)?))),
        Some(reason) => plan_err!(
            "a row-level table (window `none`) passes rows one by one, and {reason}; declare a \
             window, or take it out"
        ),
    }
}

fn windowed_way(plan: &Arc<dyn ExecutionPlan>) -> Result<Way> {
    let top = match topmost_aggregate(plan) {
        Ok(top) => top,
        Err(reason) => return Ok(Way::Recompute(reason)),
    };
    match divide(plan, &top)? {
        Ok(incremental) => Ok(Way::Incremental(Box::new(incremental))),
        Err(reason) => Ok(Way::Recompute(reason)),
    }
}

/// The one aggregate above all relations, as (what the plan above sees, what reads raw rows).
struct Top {
    result: Arc<dyn ExecutionPlan>,
    raw: Arc<dyn ExecutionPlan>,
}

/// The aggregate through which every relation's rows pass, or why there is none.
fn topmost_aggregate(plan: &Arc<dyn ExecutionPlan>) -> std::result::Result<Top, String> {
    let mut node = Arc::clone(plan);
    loop {
        if node.is::<AggregateExec>() {
            let raw = raw_aggregate(&node)?;
            return Ok(Top { result: node, raw });
        }
        if node.is::<ScalarSubqueryExec>() {
            // Its value is made when the plan runs as a whole, not for expressions taken out of it.
            return Err("it uses a scalar sub-query".to_owned());
        }
        let with_relations: Vec<Arc<dyn ExecutionPlan>> = node
            .children()
            .into_iter()
            .filter(|child| !reads_of(child).is_empty())
            .map(Arc::clone)
            .collect();
        let [only] = with_relations.as_slice() else {
            return Err("no single aggregate stands above all of its relations".to_owned());
        };
        node = Arc::clone(only);
    }
}

/// From the aggregate that gives results down to the one that takes raw rows.
fn raw_aggregate(
    result: &Arc<dyn ExecutionPlan>,
) -> std::result::Result<Arc<dyn ExecutionPlan>, String> {
    let mut node = Arc::clone(result);
    loop {
        match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) if aggregate.mode().input_mode() == AggregateInputMode::Raw => {
                return Ok(node);
            }
            Some(_) => {}
            None if is_passage(&node) => {}
            None => return Err(format!("{} stands inside of its aggregate", node.name())),
        }
        let below = node.children().first().map(|child| Arc::clone(child));
        node = below.ok_or("its aggregate reads nothing")?;
    }
}

/// Divides the plan at its aggregate; the inner error is the reason why that cannot be done.
fn divide(
    plan: &Arc<dyn ExecutionPlan>,
    top: &Top,
) -> Result<std::result::Result<Incremental, String>> {
    let Some(raw) = top.raw.downcast_ref::<AggregateExec>() else {
        return Err(DataFusionError::Internal("the aggregate is not one".to_owned()));
    };
    let groups = raw.group_expr();
    if groups.has_grouping_set() {
        return Ok(Err("it uses GROUPING SETS".to_owned()));
    }
    let in_order = raw.aggr_expr().iter().find(|aggregate| {
        !aggregate.order_bys().is_empty() && aggregate.fun().name() != percentile::NAME
    });
    if let Some(aggregate) = in_order {
        return Ok(Err(format!("{} takes rows in an order", aggregate.fun().name())));
    }
    let mut functions = raw.aggr_expr().iter().map(|aggregate| aggregate.fun());
    if let Some(function) = functions.find(|function| ordered::aggregate_sees_order(function)) {
        let name = function.name();
        return Ok(Err(format!("{name} sees the order of rows, so they are sorted first")));
    }
    let input = raw.input();
    if let Some(reason) = nonlinear(input) {
        return Ok(Err(reason));
    }
    let below = branches(input).map_or_else(|| Below::Plan(Arc::clone(input)), Below::Branches);
    let aggregate_schema = top.result.schema();
    let group_exprs: Vec<_> = groups.expr().iter().map(|(expr, _)| Arc::clone(expr)).collect();
    let codec = KeyCodec::new(&leading_types(&aggregate_schema, group_exprs.len()))?;
    let (slots, outputs) = slots_of(raw.aggr_expr(), raw.filter_expr())?;
    let below = match below {
        Below::Branches(branches) => Below::Branches(with_codes(branches, &group_exprs, &slots)),
        Below::Plan(plan) => Below::Plan(plan),
    };
    let is_top = |node: &Arc<dyn ExecutionPlan>| Arc::ptr_eq(node, &top.result);
    let above = match chain_down_to(plan, &is_top) {
        Some(chain) => Above::Chain(chain),
        None => Above::Plan(with_leaf(plan, &top.result)?),
    };
    Ok(Ok(Incremental { below, group_exprs, codec, slots, outputs, aggregate_schema, above }))
}

/// The branches, with the texts of columns coded that are grouped by and nothing else.
fn with_codes(
    mut branches: Vec<Branch>,
    group_exprs: &[Arc<dyn PhysicalExpr>],
    slots: &[Slot],
) -> Vec<Branch> {
    let computed = group_exprs
        .iter()
        .filter(|expr| !expr.is::<Column>())
        .chain(slots.iter().flat_map(Slot::exprs));
    let read: BTreeSet<usize> =
        computed.flat_map(collect_columns).map(|column| column.index()).collect();
    for branch in &mut branches {
        branch.pass(&|column| !read.contains(&column));
    }
    branches
}

/// The plan with a leaf in the place of one of its nodes.
fn with_leaf(
    plan: &Arc<dyn ExecutionPlan>,
    node: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if Arc::ptr_eq(plan, node) {
        let schema = node.schema();
        let columns = (0..schema.fields().len()).collect();
        return Ok(Arc::new(RelationExec::try_new(AGGREGATE.into(), &schema, columns)?));
    }
    let children: Result<Vec<_>> =
        plan.children().into_iter().map(|child| with_leaf(child, node)).collect();
    let children = children?;
    if children.is_empty() {
        return Ok(Arc::clone(plan));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children, options)
}

/// Why a plan's rows over two batches are not the rows over each put together; none if they are.
fn nonlinear(plan: &Arc<dyn ExecutionPlan>) -> Option<String> {
    if reads_of(plan).is_empty() || plan.is::<RelationExec>() {
        return None;
    }
    let row_wise = plan.is::<ProjectionExec>()
        || plan.is::<UnionExec>()
        || plan.downcast_ref::<FilterExec>().is_some_and(|filter| filter.fetch().is_none())
        || is_passage(plan);
    if row_wise {
        return plan.children().into_iter().find_map(nonlinear);
    }
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else {
        return Some(format!("{} stands below its aggregate", plan.name()));
    };
    match (reads_of(join.left()).is_empty(), reads_of(join.right()).is_empty()) {
        (false, false) => Some("it joins two relations".to_owned()),
        (left_is_reference, _) => {
            let kept = match join.join_type() {
                JoinType::Inner => true,
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    !left_is_reference
                }
                JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark => left_is_reference,
                JoinType::Full => false,
            };
            if !kept {
                return Some("it keeps unmatched rows of a reference table".to_owned());
            }
            nonlinear(join.left()).or_else(|| nonlinear(join.right()))
        }
    }
}

impl Incremental {
    /// Whether results come in the order of these output columns, each combination once, because
    /// they are the group columns themselves.
    pub fn keeps_order(&self, columns: &[usize]) -> bool {
        let Above::Chain(chain) = &self.above else { return false };
        columns.len() == self.group_exprs.len()
            && columns
                .iter()
                .enumerate()
                .all(|(place, column)| chain.source(*column) == Some(place))
    }
}

impl Query {
    /// The plan, one operator per line.
    pub fn display(&self) -> String {
        displayable(self.plan.as_ref()).indent(false).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use tokio::runtime::Runtime;

    use super::*;
    use crate::sql::plan::planner;
    use crate::sql::plan::relation::RelationDef;

    /// The columns whose texts may stay coded, by branch.
    fn passed(sql: &str) -> Vec<Vec<&'static str>> {
        let names = ["lab", "assay", "v"];
        let types = [DataType::Utf8, DataType::Utf8, DataType::Int64];
        let fields = names.iter().zip(types).map(|(name, of)| Field::new(*name, of, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let runtime = Runtime::new().unwrap();
        let def = RelationDef { name: "t".into(), schema, event_time: "at" };
        let context = runtime.block_on(planner::over(&[def], &[], &[])).unwrap();
        let query = runtime.block_on(plan(&context, sql, false)).unwrap();
        let Way::Incremental(incremental) = query.way else { panic!("not incremental: {sql}") };
        let Below::Branches(branches) = incremental.below else { panic!("no branches: {sql}") };
        let of = |branch: &Branch| {
            let columns = branch.columns.iter().zip(&branch.passed);
            columns.filter(|(_, passed)| **passed).map(|(column, _)| names[*column]).collect()
        };
        branches.iter().map(of).collect()
    }

    #[test]
    fn texts_stay_coded_where_nothing_is_computed_from_them() {
        let grouped = "SELECT lab, assay, sum(v) FROM t WHERE v > 1 GROUP BY lab, assay";
        assert_eq!(passed(grouped), [["lab", "assay"]]);
        let filtered = "SELECT lab, assay, count(*) FROM t WHERE assay <> 'K' GROUP BY lab, assay";
        assert_eq!(passed(filtered), [["lab"]]);
        let counted = "SELECT lab, count(DISTINCT assay) FROM t GROUP BY lab";
        assert_eq!(passed(counted), [["lab"]]);
        let some = "SELECT lab, count(*) FILTER (WHERE assay = 'K') FROM t GROUP BY lab";
        assert_eq!(passed(some), [["lab"]]);
        let computed =
            "SELECT upper(lab) AS lab, assay, count(*) FROM t GROUP BY upper(lab), assay";
        assert_eq!(passed(computed), [["assay"]]);
        let renamed = "SELECT x, count(*) FROM (SELECT lab AS x, upper(assay) AS y FROM t) AS s \
                       WHERE y <> 'K' GROUP BY x";
        assert_eq!(passed(renamed), [["lab"]]);
        let both = "SELECT lab, count(*) FROM (SELECT lab FROM t UNION ALL SELECT assay FROM t) AS s \
                    GROUP BY lab";
        assert_eq!(passed(both), [["lab"], ["assay"]]);
    }
}
