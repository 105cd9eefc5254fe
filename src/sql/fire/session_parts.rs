//! What is kept of an open session: the cells of its batches, or their rows, merged as they grow in
//! number, and where in the input they came from.
//!
//! A session that lasts holds little more than a state per group. Group numbers are given anew at
//! each merge: keys that come no more are forgotten with their sessions.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{concat_batches, interleave};
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;

use crate::flow::{OffsetRange, Partition};
use crate::keep::own::bytes_of;
use crate::sql::aggregate::slots::Slot;
use crate::sql::collect::collected::Cells;
use crate::sql::keys::Keys;
use crate::sql::plan::query::{Query, Way};
use crate::window::Origins;

/// Parts of a session at which some are merged: merging costs some microseconds per aggregate,
/// whatever it merges, and a part holds on to its whole batch's states.
pub(crate) const PARTS_TO_MERGE: usize = 32;

/// What one batch, or several merged, gave to a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionPart {
    pub(crate) what: What,
    /// The offsets of what is in it, by partition; where a batch gave several parts, the first of
    /// them has it.
    pub(crate) from: Vec<(Arc<Partition>, OffsetRange)>,
}

/// What is kept of a session's rows.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Cells of a batch, and the bytes of one of its cells on average.
    Cells(Arc<Cells>, Range<usize>, usize),
    /// Recompute only: rows of a relation.
    Rows(Arc<str>, RecordBatch),
}

impl SessionPart {
    /// How many cells or rows there are.
    pub(crate) fn len(&self) -> usize {
        match &self.what {
            What::Cells(_, range, _) => range.len(),
            What::Rows(_, rows) => rows.num_rows(),
        }
    }

    /// Bytes held, each part counting its own cells or rows.
    pub(crate) fn size(&self) -> usize {
        match &self.what {
            What::Cells(_, range, bytes) => range.len() * bytes,
            What::Rows(_, rows) => rows.columns().iter().map(bytes_of).sum(),
        }
    }
}

/// The bytes of a cell on average, group and count included.
pub(crate) fn bytes_of_one(cells: &Cells) -> usize {
    let states: usize = cells.states.iter().flatten().map(bytes_of).sum();
    states / cells.groups.len().max(1) + 8
}

/// Merges the newest parts into one: as many as are not much larger than those after them, so
/// that a cell is merged a number of times that grows as the logarithm of the session's cells.
pub(crate) fn merge_smallest(query: &Query, parts: &mut Vec<SessionPart>) -> Result<()> {
    let mut from = parts.len() - 1;
    let mut held = parts[from].len();
    while from > 0 && parts[from - 1].len() <= 2 * held {
        from -= 1;
        held += parts[from].len();
    }
    if parts.len() - from < PARTS_TO_MERGE / 2 {
        from = 0;
    }
    let newest = parts.split_off(from);
    parts.extend(merged(query, newest)?);
    Ok(())
}

fn merged(query: &Query, parts: Vec<SessionPart>) -> Result<Vec<SessionPart>> {
    let mut origins: Origins<()> = Origins::default();
    for (partition, range) in parts.iter().flat_map(|part| &part.from) {
        origins.add((), 0, partition, *range);
    }
    let mut from = origins.over(.., |(), _| true).into_iter().collect();
    let whats = merged_what(query, parts)?.into_iter();
    Ok(whats.map(|what| SessionPart { what, from: std::mem::take(&mut from) }).collect())
}

fn merged_what(query: &Query, parts: Vec<SessionPart>) -> Result<Vec<What>> {
    if let Way::Incremental(incremental) = &query.way {
        let gathered = Gathered::of([parts.as_slice()], &incremental.slots)?;
        let cells = gathered.merged(&incremental.slots)?;
        let (all, bytes) = (0..cells.groups.len(), bytes_of_one(&cells));
        return Ok(vec![What::Cells(Arc::new(cells), all, bytes)]);
    }
    let mut by_relation: Vec<(Arc<str>, Vec<RecordBatch>)> = Vec::new();
    for part in parts {
        let What::Rows(relation, rows) = part.what else { continue };
        match by_relation.iter_mut().find(|(held, _)| *held == relation) {
            Some((_, batches)) => batches.push(rows),
            None => by_relation.push((relation, vec![rows])),
        }
    }
    let joined = by_relation.into_iter().map(|(relation, batches)| {
        Ok(What::Rows(relation, concat_batches(&batches[0].schema(), &batches)?))
    });
    joined.collect()
}

/// Cells of sessions side by side: every (session, group) has a number, in the order of sessions
/// and of keys.
pub(crate) struct Gathered {
    /// The keys, and the key of each number.
    pub(crate) keys: Keys,
    pub(crate) groups: Vec<u32>,
    /// The session of each number.
    pub(crate) of_number: Vec<u32>,
    /// The number that each cell belongs to.
    pub(crate) into: Vec<u32>,
    /// The rows of each cell.
    pub(crate) rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    pub(crate) states: Vec<Vec<ArrayRef>>,
}

impl Gathered {
    pub(crate) fn of<'a>(
        sessions: impl IntoIterator<Item = &'a [SessionPart]>,
        slots: &[Slot],
    ) -> Result<Gathered> {
        let mut found = Gathered {
            keys: Keys::default(),
            groups: Vec::new(),
            of_number: Vec::new(),
            into: Vec::new(),
            rows: Vec::new(),
            states: Vec::new(),
        };
        let mut held: Vec<(&Cells, Range<usize>)> = Vec::new();
        for (session, parts) in sessions.into_iter().enumerate() {
            let first = held.len();
            held.extend(parts.iter().filter_map(|part| match &part.what {
                What::Cells(cells, range, _) => Some((cells.as_ref(), range.clone())),
                What::Rows(..) => None,
            }));
            found.number(session as u32, &held[first..]);
        }
        let (batches, places) = places_of(&held);
        for (index, slot) in slots.iter().enumerate() {
            let mut columns = slot.empty_states()?;
            for (place, column) in columns.iter_mut().enumerate() {
                let states: Vec<&dyn Array> =
                    batches.iter().map(|cells| cells.states[index][place].as_ref()).collect();
                if !states.is_empty() {
                    *column = interleave(&states, &places)?;
                }
            }
            found.states.push(columns);
        }
        Ok(found)
    }

    /// Numbers the groups of one session.
    fn number(&mut self, session: u32, held: &[(&Cells, Range<usize>)]) {
        let mut distinct: Vec<&[u8]> = Vec::new();
        for (cells, range) in held {
            distinct.extend(range.clone().map(|cell| cells.keys.get(cells.groups[cell])));
        }
        distinct.sort_unstable();
        distinct.dedup();
        let first = self.groups.len();
        for (cells, range) in held {
            for cell in range.clone() {
                let key = cells.keys.get(cells.groups[cell]);
                let place = distinct.partition_point(|held| *held < key);
                self.into.push((first + place) as u32);
                self.rows.push(cells.rows[cell]);
            }
        }
        for key in distinct {
            self.groups.push(self.keys.intern(key));
            self.of_number.push(session);
        }
    }

    /// One cell per number.
    fn merged(self, slots: &[Slot]) -> Result<Cells> {
        let count = self.groups.len();
        let into: Vec<usize> = self.into.iter().map(|number| *number as usize).collect();
        let mut rows = vec![0u32; count];
        for (number, held) in into.iter().zip(&self.rows) {
            rows[*number] = rows[*number].saturating_add(*held);
        }
        let states: Result<Vec<Vec<ArrayRef>>> = slots
            .iter()
            .zip(&self.states)
            .map(|(slot, states)| {
                let mut accumulator = slot.accumulator()?;
                accumulator.merge_batch(states, &into, count)?;
                accumulator.state(EmitTo::All)
            })
            .collect();
        Ok(Cells {
            keys: self.keys,
            slices: Vec::new(),
            groups: self.groups,
            rows,
            states: states?,
        })
    }
}

/// The batches that hold these cells, each once, and the place of every cell in them.
fn places_of<'a>(held: &[(&'a Cells, Range<usize>)]) -> (Vec<&'a Cells>, Vec<(usize, usize)>) {
    let mut batches: Vec<&Cells> = Vec::new();
    let mut known: HashMap<*const Cells, usize> = HashMap::new();
    let mut places = Vec::new();
    for (cells, range) in held {
        let batch = *known.entry(std::ptr::from_ref(*cells)).or_insert_with(|| {
            batches.push(cells);
            batches.len() - 1
        });
        places.extend(range.clone().map(|cell| (batch, cell)));
    }
    (batches, places)
}
