//! Relations as SQL sees them while a plan is made: a schema and no rows.
//!
//! A plan's leaves over relations are [`RelationExec`]s. They never run: before execution each is
//! replaced by the rows in hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};

/// A relation that pipelines read: its name, columns and event-time column.
#[derive(Clone, Debug)]
pub struct RelationDef {
    /// The name in SQL.
    pub name: Arc<str>,
    /// All columns.
    pub schema: SchemaRef,
    /// The column of event time.
    pub event_time: &'static str,
}

/// A relation as a table that can be planned over.
#[derive(Debug)]
pub struct RelationTable {
    name: Arc<str>,
    schema: SchemaRef,
}

impl RelationTable {
    /// A table of this name and schema.
    pub fn new(name: &str, schema: SchemaRef) -> RelationTable {
        RelationTable { name: name.into(), schema }
    }
}

#[async_trait]
impl TableProvider for RelationTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        Ok(Arc::new(RelationExec::try_new(Arc::clone(&self.name), &self.schema, columns)?))
    }
}

/// The place of a relation's rows in a plan.
#[derive(Clone, Debug)]
pub struct RelationExec {
    name: Arc<str>,
    /// All columns of the relation.
    whole: SchemaRef,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl RelationExec {
    /// The place of these columns of a relation.
    pub fn try_new(name: Arc<str>, schema: &SchemaRef, columns: Vec<usize>) -> Result<Self> {
        let projected = Arc::new(schema.project(&columns)?);
        let whole = Arc::clone(schema);
        Ok(RelationExec { name, whole, columns, properties: properties(projected) })
    }

    /// The same place with a column behind the relation's own ones, which is none of the relation's.
    pub fn with_column(&self, schema: SchemaRef) -> RelationExec {
        let mut columns = self.columns.clone();
        columns.push(usize::MAX);
        let (name, whole) = (Arc::clone(&self.name), Arc::clone(&self.whole));
        RelationExec { name, whole, columns, properties: properties(schema) }
    }

    /// The relation's name.
    pub fn relation(&self) -> &Arc<str> {
        &self.name
    }

    /// Which of the relation's columns, in which order.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }
}

fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl DisplayAs for RelationExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelationExec: {} {:?}", self.name, self.columns)
    }
}

impl ExecutionPlan for RelationExec {
    fn name(&self) -> &'static str {
        "RelationExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        internal_err!("the rows of relation {} were not put in its place", self.name)
    }
}

/// The plan with rows in the place of its relations: `rows` gives what stands for each leaf, with
/// the leaf's columns. Operators keep no state between runs, since every one is made anew.
pub fn fill(
    plan: &Arc<dyn ExecutionPlan>,
    rows: &dyn Fn(&RelationExec) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let filled = Arc::clone(plan).transform_up(|node| {
        let Some(leaf) = node.downcast_ref::<RelationExec>() else {
            return Ok(Transformed::no(node.reset_state()?));
        };
        Ok(Transformed::yes(rows(leaf)?))
    })?;
    Ok(filled.data)
}

/// Of each relation that a plan reads: the columns that it reads of it, and all that it has.
pub(crate) type RelationReads = BTreeMap<Arc<str>, (BTreeSet<usize>, SchemaRef)>;

/// The relations and columns that a plan reads.
pub(crate) fn reads_of(plan: &Arc<dyn ExecutionPlan>) -> RelationReads {
    let mut reads = RelationReads::new();
    let mut waiting = vec![Arc::clone(plan)];
    while let Some(node) = waiting.pop() {
        if let Some(leaf) = node.downcast_ref::<RelationExec>() {
            let whole = || (BTreeSet::new(), Arc::clone(&leaf.whole));
            let read = reads.entry(Arc::clone(leaf.relation())).or_insert_with(whole);
            read.0.extend(leaf.columns());
        }
        waiting.extend(node.children().into_iter().map(Arc::clone));
    }
    reads
}
