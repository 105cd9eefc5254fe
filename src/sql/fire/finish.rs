//! From what fired to the tables' rows: what stands above the aggregate, or the whole query over
//! the rows of each window where it is recomputed.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{SchemaRef, UInt32Type};
use datafusion::common::{Result, internal_err};

use super::kit::{FiringKit, PendingRows};
use super::output::FiredWindow;
use crate::flow::OutputBatch;
use crate::sql::collect::collected::Chunk;
use crate::sql::plan::query::{Above, Incremental, Query, Way};

/// The chunks that a window counts, by its number among those that are pending.
pub(super) type HeldChunks<'a> = &'a dyn Fn(usize, &FiredWindow) -> Option<Vec<Arc<Chunk>>>;

impl FiringKit {
    /// Finishes what fired: what stands above the aggregate, then the table's own columns. `held` are
    /// the chunks of each window, by its number, for queries that are recomputed.
    pub(super) fn finish(
        &mut self,
        index: usize,
        pending: PendingRows,
        held: HeldChunks<'_>,
    ) -> Result<Vec<OutputBatch>> {
        let query = Arc::clone(&self.query);
        match &query.way {
            Way::Incremental(incremental) => {
                let aggregates = self.aggregates(index, incremental, &pending)?;
                let (rows, of_row) = self.above(incremental, aggregates, &pending)?;
                self.tables[index].output.assemble(rows, of_row, pending.windows, pending.revision)
            }
            Way::Recompute(_) => {
                let (rows, of_row) = self.recompute(&query, &pending, held)?;
                self.tables[index].output.assemble(rows, of_row, pending.windows, pending.revision)
            }
            Way::RowLevel(_) => internal_err!("a row-level query has no windows"),
        }
    }

    /// The aggregate's rows: group columns, then results in the order of the query.
    fn aggregates(
        &mut self,
        index: usize,
        query: &Incremental,
        pending: &PendingRows,
    ) -> Result<RecordBatch> {
        let mut columns = query.codec.columns(&self.keys, &pending.groups)?;
        let cursor = self.tables[index].cursors.get_mut(pending.revision as usize);
        if let Some(sliding) = cursor.and_then(|cursor| cursor.sliding.as_mut()) {
            let slots = sliding.take_outputs()?;
            let results: Vec<ArrayRef> = query
                .outputs
                .iter()
                .map(|output| Arc::clone(&slots[output.slot][output.index]))
                .collect();
            columns.extend(results);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(pending.groups.len()));
        let schema = Arc::clone(&query.aggregate_schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    pub(super) fn above(
        &self,
        query: &Incremental,
        aggregates: RecordBatch,
        pending: &PendingRows,
    ) -> Result<(RecordBatch, Vec<u32>)> {
        match &query.above {
            Above::Chain(chain) => {
                let of_row: ArrayRef = Arc::new(UInt32Array::from(pending.of_row.clone()));
                let (rows, beside) = chain.evaluate(aggregates, vec![of_row])?;
                let of_row = beside[0].as_primitive::<UInt32Type>().values().to_vec();
                Ok((rows, of_row))
            }
            Above::Plan(plan) => {
                let mut parts = Parts::default();
                let mut start = 0;
                for number in 0..pending.windows.len() as u32 {
                    let length = pending.of_row[start..].partition_point(|of| *of <= number);
                    let window = aggregates.slice(start, length);
                    start += length;
                    let batches = self.executor.run(plan, &|leaf| {
                        if leaf.relation().as_ref() == "aggregate" {
                            Ok(vec![window.project(leaf.columns())?])
                        } else {
                            internal_err!("the plan above an aggregate reads {}", leaf.relation())
                        }
                    })?;
                    parts.add(batches, number);
                }
                parts.join(&plan.schema())
            }
        }
    }

    /// The whole query over the rows of each window.
    fn recompute(
        &self,
        query: &Query,
        pending: &PendingRows,
        held: HeldChunks<'_>,
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let mut parts = Parts::default();
        for (number, fired) in pending.windows.iter().enumerate() {
            let Some(held) = held(number, fired) else {
                return internal_err!("a window is computed without its rows");
            };
            let batches = self.executor.run_over_held(&query.plan, &|leaf| {
                let rows = held.iter().flat_map(|chunk| &chunk.kept);
                let mine = rows.filter(|(relation, _)| relation == leaf.relation());
                mine.map(|(_, rows)| rows.clone()).collect()
            })?;
            parts.add(batches, number as u32);
        }
        parts.join(&query.schema)
    }
}

/// Result rows gathered window by window.
#[derive(Default)]
pub(super) struct Parts {
    batches: VecDeque<RecordBatch>,
    of_row: Vec<u32>,
}

impl Parts {
    pub(super) fn add(&mut self, batches: Vec<RecordBatch>, number: u32) {
        for batch in batches {
            self.of_row.extend(std::iter::repeat_n(number, batch.num_rows()));
            self.batches.push_back(batch);
        }
    }

    pub(super) fn join(self, schema: &SchemaRef) -> Result<(RecordBatch, Vec<u32>)> {
        Ok((concat_batches(schema, &self.batches)?, self.of_row))
    }
}
