//! Session windows: what has been collected for open sessions, and their firing.
//!
//! A session holds the cells of its batches, or, where the query is recomputed, their rows. Cells
//! are merged as they grow in number, so a session that lasts holds little more than a state per
//! group. Group numbers are given anew at each merge and firing: keys that come no more are
//! forgotten with their sessions.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, interleave};
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;

use super::finish::Parts;
use super::{Engine, Pending, ROWS_PER_BATCH};
use crate::flow::{OffsetRange, OutputBatch, Partition, Timestamp};
use crate::sql::family::SliceKey;
use crate::sql::groups::Keys;
use crate::sql::output::Fired;
use crate::sql::partial::{Cells, Chunk, Partial, project_by_place};
use crate::sql::proto_session::SessionFamily;
use crate::sql::query::{Incremental, Query, Way};
use crate::sql::sliding::Sliding;
use crate::sql::slots::Slot;
use crate::window::{Origins, Session, SessionBook};

/// Parts of a session at which some are merged: merging costs some microseconds per aggregate,
/// whatever it merges, and a part holds on to its whole batch's states.
pub(super) const PARTS_TO_MERGE: usize = 32;

/// The sessions of one table that are open.
pub(super) struct Sessions {
    book: SessionBook<Part>,
}

/// What one batch, or several merged, gave to a session.
#[derive(Clone, Debug)]
struct Part {
    what: What,
    /// The first and the last offset of what is in it, by partition; where a batch gave several
    /// parts, the first of them has it.
    from: Vec<(Arc<Partition>, (i64, i64))>,
}

/// What is kept of a session's rows.
#[derive(Clone, Debug)]
enum What {
    /// Cells of a batch, and the bytes of one of its cells on average.
    Cells(Arc<Cells>, Range<usize>, usize),
    /// Recompute only: rows of a relation.
    Rows(Arc<str>, RecordBatch),
}

impl Sessions {
    /// None open.
    pub(super) fn new(family: &SessionFamily) -> Sessions {
        Sessions { book: SessionBook::new(family.gap) }
    }

    /// Takes in what one batch gave.
    pub(super) fn collect(
        &mut self,
        query: &Query,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()> {
        let mut parts: Vec<Vec<Part>> = vec![Vec::new(); partial.sessions.len()];
        let mut put = |slice: SliceKey, what: What| match slice {
            SliceKey::Session(number) => {
                parts[number as usize].push(Part { what, from: Vec::new() });
            }
            SliceKey::Pane { .. } | SliceKey::Period { .. } => {}
        };
        for mut cells in partial.cells {
            let slices = std::mem::take(&mut cells.slices);
            let cells = Arc::new(cells);
            let bytes = bytes_of_one(&cells);
            for (slice, range) in slices {
                put(slice, What::Cells(Arc::clone(&cells), range, bytes));
            }
        }
        for (slice, relation, rows) in partial.kept {
            put(slice, What::Rows(relation, rows));
        }
        for (slice, range) in &partial.origins {
            let SliceKey::Session(number) = slice else { continue };
            if let Some(part) = parts[*number as usize].first_mut() {
                part.from.push((Arc::clone(partition), *range));
            }
        }
        let keys: Vec<Arc<[u8]>> = (0..partial.session_keys.len() as u32)
            .map(|key| Arc::from(partial.session_keys.get(key)))
            .collect();
        for (session, parts) in partial.sessions.iter().zip(parts) {
            let key = &keys[session.key as usize];
            let held = self.book.add(key, session.start, session.last, parts);
            if held.len() >= PARTS_TO_MERGE {
                merge_smallest(query, held)?;
            }
        }
        Ok(())
    }

    /// When the earliest open session starts.
    pub(super) fn first_start(&self) -> Option<Timestamp> {
        self.book.first_start()
    }

    /// The most parts that an open session has.
    #[cfg(test)]
    pub(super) fn most_parts(&self) -> usize {
        self.book.parts().map(Vec::len).max().unwrap_or(0)
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.book.parts().flatten().map(Part::size).sum()
    }
}

impl Part {
    /// Cells or rows.
    fn len(&self) -> usize {
        match &self.what {
            What::Cells(_, range, _) => range.len(),
            What::Rows(_, rows) => rows.num_rows(),
        }
    }

    /// Bytes held, each part counting its own cells or rows.
    fn size(&self) -> usize {
        match &self.what {
            What::Cells(_, range, bytes) => range.len() * bytes,
            What::Rows(_, rows) => rows.columns().iter().map(bytes_of).sum(),
        }
    }
}

fn bytes_of(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or(0)
}

/// The bytes of a cell on average, group and count included.
fn bytes_of_one(cells: &Cells) -> usize {
    let states: usize = cells.states.iter().flatten().map(bytes_of).sum();
    states / cells.groups.len().max(1) + 8
}

/// Merges the newest parts into one: as many as are not much larger than those after them, so
/// that a cell is merged a number of times that grows as the logarithm of the session's cells.
fn merge_smallest(query: &Query, parts: &mut Vec<Part>) -> Result<()> {
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

fn merged(query: &Query, parts: Vec<Part>) -> Result<Vec<Part>> {
    let mut origins: Origins<()> = Origins::default();
    for (partition, range) in parts.iter().flat_map(|part| &part.from) {
        origins.add((), 0, partition, *range);
    }
    let of_one = |(partition, range): (Arc<Partition>, OffsetRange)| {
        (partition, (range.from.0, range.to.0 - 1))
    };
    let mut from = origins.over(.., |(), _| true).into_iter().map(of_one).collect();
    let whats = merged_what(query, parts)?.into_iter();
    Ok(whats.map(|what| Part { what, from: std::mem::take(&mut from) }).collect())
}

fn merged_what(query: &Query, parts: Vec<Part>) -> Result<Vec<What>> {
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
struct Gathered {
    /// The keys, and the key of each number.
    keys: Keys,
    groups: Vec<u32>,
    /// The session of each number.
    of_number: Vec<u32>,
    /// The number that each cell belongs to.
    into: Vec<u32>,
    /// The rows of each cell.
    rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    states: Vec<Vec<ArrayRef>>,
}

impl Gathered {
    fn of<'a>(sessions: impl IntoIterator<Item = &'a [Part]>, slots: &[Slot]) -> Result<Gathered> {
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

impl Engine {
    /// When the earliest open session starts; none where there are none.
    pub fn first_open_session(&self) -> Option<Timestamp> {
        self.sessions.as_ref()?.first_start()
    }

    /// Fires every session that ends at or before `watermark`.
    pub(super) fn advance_sessions(&mut self, watermark: Timestamp) -> Result<Vec<OutputBatch>> {
        let Some(sessions) = &mut self.sessions else { return Ok(Vec::new()) };
        let mut due = sessions.book.due(watermark);
        let mut out = Vec::new();
        for session in &due {
            for (partition, range) in session.parts.iter().flat_map(|part| &part.from) {
                self.session_origins.add(session.window, 0, partition, *range);
            }
        }
        while !due.is_empty() {
            let later = due.split_off(enough(&due));
            out.extend(self.fire_sessions(&due)?);
            due = later;
        }
        Ok(out)
    }

    fn fire_sessions(&mut self, due: &[Session<Part>]) -> Result<Vec<OutputBatch>> {
        let query = Arc::clone(&self.query);
        let (rows, of_row) = match &query.way {
            Way::Incremental(incremental) => self.merge_sessions(incremental, due)?,
            Way::Recompute(_) | Way::RowLevel(_) => self.recompute_sessions(&query, due)?,
        };
        // Sessions of several keys may have the same bounds: then they are one window of the
        // table, in which the grain tells them apart.
        let mut windows: Vec<Fired> = Vec::new();
        let mut window_of = Vec::with_capacity(due.len());
        for session in due {
            if windows.last().is_none_or(|last| last.window != session.window) {
                windows.push(Fired::of_instants(session.window));
            }
            window_of.push(windows.len() as u32 - 1);
        }
        let of_row = of_row.iter().map(|session| window_of[*session as usize]).collect();
        self.tables[0].output.assemble(rows, of_row, windows, 0)
    }

    /// Results by merging states, all sessions at once; what stands above the aggregate sees the
    /// rows of one session at a time.
    fn merge_sessions(
        &self,
        query: &Incremental,
        due: &[Session<Part>],
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let parts = due.iter().map(|session| session.parts.as_slice());
        let gathered = Gathered::of(parts, &query.slots)?;
        let count = gathered.groups.len();
        let chunk = Chunk {
            groups: gathered.into,
            rows: gathered.rows,
            states: gathered.states,
            kept: Vec::new(),
        };
        let numbers: Vec<u32> = (0..count as u32).collect();
        let mut window = Sliding::new(query);
        window.enter(&chunk, 0, count)?;
        window.read(&numbers, count, || vec![&chunk])?;
        let slots = window.take_outputs()?;
        let mut columns = query.codec.columns(&gathered.keys, &gathered.groups)?;
        columns.extend(query.outputs.iter().map(|output| {
            let results: &ArrayRef = &slots[output.slot][output.index];
            Arc::clone(results)
        }));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let schema = Arc::clone(&query.aggregate_schema);
        let aggregates = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let pending = Pending {
            revision: 0,
            windows: due.iter().map(|session| Fired::of_instants(session.window)).collect(),
            of_row: gathered.of_number,
            groups: gathered.groups,
        };
        self.above(query, aggregates, &pending)
    }

    /// The whole query over the rows of each session.
    fn recompute_sessions(
        &self,
        query: &Query,
        due: &[Session<Part>],
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let mut results = Parts::default();
        for (number, session) in due.iter().enumerate() {
            let batches = self.executor.run(&query.plan, &|leaf| {
                let mine = session.parts.iter().filter_map(|part| match &part.what {
                    What::Rows(relation, rows) => (relation == leaf.relation()).then_some(rows),
                    What::Cells(..) => None,
                });
                mine.map(|rows| project_by_place(rows, leaf.columns())).collect()
            })?;
            results.add(batches, number as u32);
        }
        results.join(&query.schema)
    }
}

/// How many of the sessions to fire at once: cells for a batch of results, and never some of those
/// with the same bounds without the others.
fn enough(due: &[Session<Part>]) -> usize {
    let mut cells = 0;
    for (place, session) in due.iter().enumerate() {
        if cells >= ROWS_PER_BATCH && due[place - 1].window != session.window {
            return place;
        }
        cells += session.parts.iter().map(Part::len).sum::<usize>();
    }
    due.len()
}
