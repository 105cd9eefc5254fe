//! One fixed window over panes, sliding: what it holds now, by group, and the results of each slot.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use datafusion::common::Result;
use datafusion::logical_expr::EmitTo;

use super::groups::Keys;
use super::partial::Chunk;
use super::query::Incremental;
use super::running::Running;
use super::slots::Slot;

/// The aggregates of one window as it slides.
pub struct Sliding {
    slots: Vec<SlotState>,
    /// Rows in the window by group.
    presence: Vec<u32>,
    /// Groups with rows in the window, in the order of their keys; may name groups that have none
    /// any more until the next reading.
    active: Vec<u32>,
    listed: Vec<bool>,
}

enum SlotState {
    Running(Box<dyn Running>),
    /// Outputs so far, one array per reading.
    Merged(Slot, Vec<ArrayRef>),
}

impl Sliding {
    /// An empty window of a query.
    pub fn new(query: &Incremental) -> Sliding {
        let slots = query.slots.iter().map(|slot| match slot.running() {
            Some(running) => SlotState::Running(running),
            None => SlotState::Merged(slot.clone(), Vec::new()),
        });
        Sliding {
            slots: slots.collect(),
            presence: Vec::new(),
            active: Vec::new(),
            listed: Vec::new(),
        }
    }

    /// Whether any group may have rows.
    pub fn holds_rows(&self) -> bool {
        self.active.iter().any(|group| self.presence[*group as usize] > 0)
    }

    /// Makes room for groups below `groups`.
    fn grow(&mut self, groups: usize) {
        if groups > self.presence.len() {
            self.presence.resize(groups, 0);
            self.listed.resize(groups, false);
            for slot in &mut self.slots {
                if let SlotState::Running(running) = slot {
                    running.grow(groups);
                }
            }
        }
    }

    /// A chunk collected in `pane` enters.
    pub fn enter(&mut self, chunk: &Chunk, pane: i64, groups: usize) -> Result<()> {
        self.grow(groups);
        for (group, rows) in chunk.groups.iter().zip(&chunk.rows) {
            let group = *group as usize;
            self.presence[group] += rows;
            if !self.listed[group] {
                self.listed[group] = true;
                self.active.push(group as u32);
            }
        }
        for (slot, states) in self.slots.iter_mut().zip(&chunk.states) {
            if let SlotState::Running(running) = slot {
                running.add(&chunk.groups, states, pane)?;
            }
        }
        Ok(())
    }

    /// A chunk collected in `pane` leaves.
    pub fn leave(&mut self, chunk: &Chunk, pane: i64) -> Result<()> {
        for (group, rows) in chunk.groups.iter().zip(&chunk.rows) {
            self.presence[*group as usize] -= rows;
        }
        for (slot, states) in self.slots.iter_mut().zip(&chunk.states) {
            if let SlotState::Running(running) = slot {
                running.retract(&chunk.groups, states, pane)?;
            }
        }
        Ok(())
    }

    /// Everything leaves.
    pub fn clear(&mut self) {
        for group in &self.active {
            self.presence[*group as usize] = 0;
            self.listed[*group as usize] = false;
        }
        for slot in &mut self.slots {
            if let SlotState::Running(running) = slot {
                running.reset(&self.active);
            }
        }
        self.active.clear();
    }

    /// The groups with rows, in the order of their keys.
    pub fn groups(&mut self, keys: &Keys) -> &[u32] {
        let (presence, listed) = (&self.presence, &mut self.listed);
        self.active.retain(|group| {
            let held = presence[*group as usize] > 0;
            listed[*group as usize] = held;
            held
        });
        // Mostly sorted already: those that came since the last reading stand at the end.
        self.active.sort_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
        &self.active
    }

    /// Appends the results of these groups to the outputs. `within` are the window's chunks, read
    /// by slots that are merged anew.
    pub fn read<'a>(
        &mut self,
        groups: &[u32],
        total: usize,
        within: impl Fn() -> Vec<&'a Chunk>,
    ) -> Result<()> {
        self.grow(total);
        let mut places: Option<Vec<u32>> = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match slot {
                SlotState::Running(running) => running.read(groups),
                SlotState::Merged(slot, outputs) => {
                    let places = places.get_or_insert_with(|| places_of(groups, total));
                    outputs.push(merge(slot, index, groups.len(), places, &within())?);
                }
            }
        }
        Ok(())
    }

    /// The outputs since the last call: for each slot its arrays.
    pub fn take_outputs(&mut self) -> Result<Vec<Vec<ArrayRef>>> {
        self.slots
            .iter_mut()
            .map(|slot| match slot {
                SlotState::Running(running) => Ok(running.take_outputs()),
                SlotState::Merged(_, outputs) => {
                    let parts = std::mem::take(outputs);
                    let parts: Vec<&dyn Array> = parts.iter().map(Arc::as_ref).collect();
                    Ok(vec![concat(&parts)?])
                }
            })
            .collect()
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let running: usize = self
            .slots
            .iter()
            .map(|slot| match slot {
                SlotState::Running(running) => running.size(),
                SlotState::Merged(..) => 0,
            })
            .sum();
        running + self.presence.capacity() * 5 + self.active.capacity() * 4
    }
}

/// For every group number its place in `groups`, or `u32::MAX`.
fn places_of(groups: &[u32], total: usize) -> Vec<u32> {
    let mut places = vec![u32::MAX; total];
    for (place, group) in groups.iter().enumerate() {
        places[*group as usize] = place as u32;
    }
    places
}

/// The results of `count` groups by merging a slot's states of the window's chunks.
///
/// An accumulator may take every group below the number that it is told for one that has had
/// values: it is told of a group when its first state comes. Groups without any state, which are
/// expected and not there, have the result of nothing.
fn merge(
    slot: &Slot,
    index: usize,
    count: usize,
    places: &[u32],
    chunks: &[&Chunk],
) -> Result<ArrayRef> {
    let mut accumulator = slot.accumulator()?;
    let mut numbers: Vec<Option<usize>> = vec![None; count];
    let mut known = 0;
    for chunk in chunks.iter().filter(|chunk| !chunk.groups.is_empty()) {
        let mut into = Vec::with_capacity(chunk.groups.len());
        for group in &chunk.groups {
            let number = *numbers[places[*group as usize] as usize].get_or_insert(known);
            known = known.max(number + 1);
            into.push(number);
        }
        accumulator.merge_batch(&chunk.states[index], &into, known)?;
    }
    let results = match (known == 0, known < count) {
        (false, false) => accumulator.evaluate(EmitTo::All)?,
        (false, true) => concat(&[&accumulator.evaluate(EmitTo::All)?, &slot.of_nothing()?])?,
        (true, _) => slot.of_nothing()?,
    };
    let order = numbers.iter().map(|number| number.unwrap_or(known) as u32);
    Ok(take(&results, &UInt32Array::from_iter_values(order), None)?)
}

/// The panes of a window that ends at `end`.
pub fn panes(end: i64, size: i64) -> Range<i64> {
    end - size..end
}
