//! The chunks of one pane that count from the same tick on, joined into one.
//!
//! A pane is collected batch by batch and read by many windows. Joined, a group has one state in it
//! instead of one for each batch, wherever it enters, leaves or is merged.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;

use super::partial::Chunk;
use super::slots::Slot;

/// Joins chunks, and keeps what it works with.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    /// By group its number in the chunk that is being made, or [`NONE`].
    numbers: Vec<u32>,
}

/// A group that has not come.
const NONE: u32 = u32::MAX;

impl Joiner {
    /// One chunk of at least one, its groups ascending. All groups lie below `total`.
    pub(super) fn join(
        &mut self,
        slots: &[Slot],
        chunks: &[Arc<Chunk>],
        total: usize,
    ) -> Result<Chunk> {
        self.numbers.resize(self.numbers.len().max(total), NONE);
        let mut groups: Vec<u32> = Vec::new();
        let mut rows: Vec<u32> = Vec::new();
        let mut accumulators = slots.iter().map(Slot::accumulator).collect::<Result<Vec<_>>>()?;
        for chunk in chunks.iter().filter(|chunk| !chunk.groups.is_empty()) {
            let mut into = Vec::with_capacity(chunk.groups.len());
            for (group, held) in chunk.groups.iter().zip(&chunk.rows) {
                let number = &mut self.numbers[*group as usize];
                if *number == NONE {
                    *number = groups.len() as u32;
                    groups.push(*group);
                    rows.push(0);
                }
                rows[*number as usize] += held;
                into.push(*number as usize);
            }
            // An accumulator may take every group below the number that it is told for one that
            // has had values, so it is told of no more than have come.
            for (accumulator, states) in accumulators.iter_mut().zip(&chunk.states) {
                accumulator.merge_batch(states, &into, groups.len())?;
            }
        }
        groups.iter().for_each(|group| self.numbers[*group as usize] = NONE);
        if groups.is_empty() {
            let states = slots.iter().map(Slot::empty_states).collect::<Result<_>>()?;
            return Ok(Chunk { groups, rows, states, kept: Vec::new() });
        }
        let mut order: Vec<u32> = (0..groups.len() as u32).collect();
        order.sort_unstable_by_key(|number| groups[*number as usize]);
        let states = accumulators.iter_mut().map(|accumulator| {
            let states = accumulator.state(EmitTo::All)?;
            let order = UInt32Array::from(order.clone());
            states.iter().map(|state| Ok(take(state, &order, None)?)).collect()
        });
        Ok(Chunk {
            states: states.collect::<Result<Vec<Vec<ArrayRef>>>>()?,
            groups: order.iter().map(|number| groups[*number as usize]).collect(),
            rows: order.iter().map(|number| rows[*number as usize]).collect(),
            kept: Vec::new(),
        })
    }
}
