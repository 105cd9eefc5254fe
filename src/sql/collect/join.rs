//! States of several chunks, merged by group; and the chunks of one pane that count from the same
//! tick on, joined into one.
//!
//! A pane is collected batch by batch and read by many windows. Joined, a group has one state in it
//! instead of one for each batch, wherever it enters, leaves or is merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, take};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::collected::Chunk;
use crate::keep::held::{Held, Keeper};
use crate::sql::aggregate::slots::{Slot, SlotKind};
use crate::sql::plan::query::{Query, Way};

/// Bytes of rows that are joined with others: more are as well kept on their own.
const ROWS_TO_JOIN: usize = 1 << 20;

/// Joins chunks, and keeps what it works with.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    /// By group its place in the chunk that is being made, or [`NONE`].
    places: Vec<u32>,
}

/// A group that has not come.
const NONE: u32 = u32::MAX;

impl Joiner {
    /// One chunk of several of a query. All groups lie below `total`.
    pub(crate) fn join(
        &mut self,
        query: &Query,
        keeper: &mut Keeper,
        chunks: &[Arc<Chunk>],
        total: usize,
    ) -> Result<Chunk> {
        match &query.way {
            Way::Incremental(incremental) => self.join_states(&incremental.slots, chunks, total),
            Way::Recompute(_) | Way::RowLevel(_) => join_rows(keeper, chunks),
        }
    }

    /// One chunk of several, its groups ascending. All groups lie below `total`.
    fn join_states(
        &mut self,
        slots: &[Slot],
        chunks: &[Arc<Chunk>],
        total: usize,
    ) -> Result<Chunk> {
        self.places.resize(self.places.len().max(total), NONE);
        let mut groups: Vec<u32> = Vec::new();
        for group in chunks.iter().flat_map(|chunk| &chunk.groups) {
            let place = &mut self.places[*group as usize];
            if *place == NONE {
                *place = 0;
                groups.push(*group);
            }
        }
        groups.sort_unstable();
        for (place, group) in groups.iter().enumerate() {
            self.places[*group as usize] = place as u32;
        }
        let mut rows = vec![0; groups.len()];
        for chunk in chunks {
            for (group, held) in chunk.groups.iter().zip(&chunk.rows) {
                rows[self.places[*group as usize] as usize] += held;
            }
        }
        let chunks: Vec<&Chunk> = chunks.iter().map(Arc::as_ref).collect();
        let states = slots.iter().enumerate().map(|(index, slot)| {
            Merged::of(slot, index, groups.len(), &self.places, &chunks)?.states(slot)
        });
        let states = states.collect::<Result<Vec<Vec<ArrayRef>>>>();
        groups.iter().for_each(|group| self.places[*group as usize] = NONE);
        Ok(Chunk { states: states?, groups, rows, kept: Vec::new() })
    }
}

/// One chunk of several that keep rows. Those on disk stay where they are.
fn join_rows(keeper: &mut Keeper, chunks: &[Arc<Chunk>]) -> Result<Chunk> {
    let mut kept: Vec<(Arc<str>, Held)> = Vec::new();
    let mut few: BTreeMap<&Arc<str>, Vec<&RecordBatch>> = BTreeMap::new();
    for (relation, held) in chunks.iter().flat_map(|chunk| &chunk.kept) {
        match held.in_memory().filter(|_| held.size() < ROWS_TO_JOIN) {
            Some(rows) => few.entry(relation).or_default().push(rows),
            None => kept.push((Arc::clone(relation), held.clone())),
        }
    }
    for (relation, rows) in few {
        let joined = concat_batches(&rows[0].schema(), rows)?;
        kept.push((Arc::clone(relation), keeper.keep(joined)?));
    }
    Ok(Chunk { kept, ..Chunk::default() })
}

/// A slot's states of several chunks, by group.
pub(crate) struct Merged {
    accumulator: Box<dyn GroupsAccumulator>,
    /// By place of a group its number in the accumulator, if it has a state at all.
    numbers: Vec<Option<usize>>,
    /// How many groups have come.
    known: usize,
}

impl Merged {
    /// Merges the states of a slot, the one at `index`. `places` tells, by group, its place among
    /// the `count` groups that are asked for.
    pub(crate) fn of(
        slot: &Slot,
        index: usize,
        count: usize,
        places: &[u32],
        chunks: &[&Chunk],
    ) -> Result<Merged> {
        let mut accumulator = slot.accumulator()?;
        // An accumulator may take every group below the number that it is told for one that has
        // had values, so it is told of a group when its first state comes. That of percentiles does
        // not, and its long lists need not be brought into order when it is told of all.
        let mut chunks = chunks.iter().filter(|chunk| !chunk.groups.is_empty()).peekable();
        let is_told_of_all =
            matches!(slot.kind, SlotKind::Percentile(_)) && chunks.peek().is_some();
        let (mut numbers, mut known): (Vec<Option<usize>>, usize) = match is_told_of_all {
            true => ((0..count).map(Some).collect(), count),
            false => (vec![None; count], 0),
        };
        for chunk in chunks {
            let mut into = Vec::with_capacity(chunk.groups.len());
            for group in &chunk.groups {
                let number = *numbers[places[*group as usize] as usize].get_or_insert(known);
                known = known.max(number + 1);
                into.push(number);
            }
            accumulator.merge_batch(&chunk.states[index], &into, known)?;
        }
        Ok(Merged { accumulator, numbers, known })
    }

    /// The state columns of the groups, which all have come.
    fn states(mut self, slot: &Slot) -> Result<Vec<ArrayRef>> {
        if self.known == 0 {
            return slot.empty_states();
        }
        let states = self.accumulator.state(EmitTo::All)?;
        states.iter().map(|state| self.in_order(state)).collect()
    }

    /// The results of the groups. Those without any state, which are expected and not there, have
    /// the result of nothing.
    pub(crate) fn results(mut self, slot: &Slot) -> Result<ArrayRef> {
        let results = match (self.known == 0, self.known < self.numbers.len()) {
            (false, false) => self.accumulator.evaluate(EmitTo::All)?,
            (false, true) => {
                concat(&[&self.accumulator.evaluate(EmitTo::All)?, &slot.of_nothing()?])?
            }
            (true, _) => slot.of_nothing()?,
        };
        self.in_order(&results)
    }

    /// Brings a column from the accumulator's order into that of the groups' places.
    fn in_order(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let order = self.numbers.iter().map(|number| number.unwrap_or(self.known));
        if order.clone().eq(0..column.len()) {
            return Ok(Arc::clone(column));
        }
        Ok(take(column, &UInt32Array::from_iter_values(order.map(|number| number as u32)), None)?)
    }
}
