//! Runs a plan to its end from a thread that is not part of the runtime's own work.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, collect};
use tokio::runtime::Handle;

use super::held_rows::HeldRows;
use super::places::project_by_place;
use super::relation::{RelationExec, fill};
use super::relation_rows::RelationRows;
use crate::keep::held::Held;

/// Runs plans with rows in the place of their relations.
#[derive(Clone, Debug)]
pub struct Executor {
    context: Arc<TaskContext>,
    handle: Handle,
}

impl Executor {
    /// An executor on the current runtime.
    pub fn new(context: Arc<TaskContext>, handle: Handle) -> Executor {
        Executor { context, handle }
    }

    /// The plan's rows over these inputs; a relation without an input is empty.
    pub fn run_over(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        inputs: &[RelationRows],
    ) -> Result<Vec<RecordBatch>> {
        self.run(plan, &|leaf| {
            let mine = inputs.iter().filter(|input| input.relation == *leaf.relation());
            mine.map(|input| input.project(leaf.columns())).collect()
        })
    }

    /// The plan's rows with what `rows` gives in the place of each relation. Must be called where
    /// blocking is allowed.
    pub fn run(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        rows: &dyn Fn(&RelationExec) -> Result<Vec<RecordBatch>>,
    ) -> Result<Vec<RecordBatch>> {
        self.execute(fill(plan, &|leaf| in_memory(leaf, rows(leaf)?))?)
    }

    /// The plan's rows with rows that were kept in the place of each relation. Must be called where
    /// blocking is allowed.
    pub fn run_over_held(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        rows: &dyn Fn(&RelationExec) -> Vec<Held>,
    ) -> Result<Vec<RecordBatch>> {
        let filled = fill(plan, &|leaf| {
            let held = rows(leaf);
            if held.iter().all(|held| held.in_memory().is_some()) {
                let rows = held.iter().filter_map(Held::in_memory);
                let rows = rows.map(|rows| project_by_place(rows, leaf.columns()));
                return in_memory(leaf, rows.collect::<Result<_>>()?);
            }
            let rows = HeldRows::new(leaf.schema(), held, leaf.columns().to_vec());
            let (schema, one) = (leaf.schema(), vec![Arc::new(rows) as Arc<dyn PartitionStream>]);
            let table = StreamingTableExec::try_new(schema, one, None, [], false, None)?;
            Ok(Arc::new(table))
        })?;
        self.execute(filled)
    }

    fn execute(&self, filled: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        let context = Arc::clone(&self.context);
        let handle = self.handle.clone();
        // A thread of its own may block; a worker of the runtime may not.
        std::thread::scope(|scope| {
            let running = scope.spawn(move || handle.block_on(collect(filled, context)));
            running.join().map_err(|_| exec_datafusion_err!("the plan panicked"))?
        })
    }
}

/// Batches in the place of a leaf.
fn in_memory(leaf: &RelationExec, rows: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(MemorySourceConfig::try_new_exec(&[rows], leaf.schema(), None)?)
}
