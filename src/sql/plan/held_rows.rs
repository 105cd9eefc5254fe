//! Rows that are kept, as a plan's leaf.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::places::project_by_place;
use crate::keep::held::Held;

/// Rows as a plan's leaf, loaded when they are asked for.
#[derive(Debug)]
pub struct HeldRows {
    schema: SchemaRef,
    rows: Vec<Held>,
    /// The leaf's columns, by their places in the relation's whole schema.
    columns: Vec<usize>,
}

impl HeldRows {
    /// These columns of rows; `schema` is theirs.
    pub fn new(schema: SchemaRef, rows: Vec<Held>, columns: Vec<usize>) -> HeldRows {
        HeldRows { schema, rows, columns }
    }
}

impl PartitionStream for HeldRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let columns = self.columns.clone();
        let rows = self.rows.clone().into_iter();
        let batches = rows.map(move |held| project_by_place(&held.load()?, &columns));
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches)))
    }
}
