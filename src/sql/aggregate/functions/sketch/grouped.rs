//! The accumulators: values, states and bytes of sketches → sketches by group.
//!
//! What comes is put beside its group and folded into the groups' sketches now and then, sorted;
//! so a value costs a push and its share of a sort, and memory follows the distinct values.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::SketchInput;
use super::layout;
use super::lists::{ListBuilder, States};
use super::readings::{ReadingColumn, SketchReading};
use super::state::{Sketch, SketchEntries};
use crate::sql::aggregate::functions::percentile::canonical;
use crate::sql::aggregate::functions::{passes, state_of_each};

/// Values that wait at least before they are folded.
const FOLD_AT: usize = 1 << 18;

/// A value that waits.
#[derive(Clone, Copy, Debug)]
struct PendingValue {
    value: f64,
    count: u64,
    group: u32,
}

/// Sketches by group.
#[derive(Debug)]
pub struct GroupedSketches {
    input: SketchInput,
    reading: SketchReading,
    pending: Vec<PendingValue>,
    held: Vec<Sketch>,
    /// Bytes of the sketches when they were last folded.
    held_bytes: usize,
    groups: usize,
}

impl GroupedSketches {
    /// Without groups.
    pub fn new(input: SketchInput, reading: SketchReading) -> GroupedSketches {
        GroupedSketches {
            input,
            reading,
            pending: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
            groups: 0,
        }
    }

    /// Takes in a row of the function's input.
    fn take_in(&mut self, input: &ArrayRef, row: usize, group: usize) -> Result<()> {
        match self.input {
            SketchInput::Numbers => {
                let value = canonical(input.as_primitive::<Float64Type>().value(row));
                self.pending.push(PendingValue { value, count: 1, group: group as u32 });
                Ok(())
            }
            SketchInput::Sketches => {
                let bytes = input.as_binary::<i32>().value(row);
                let sketch = layout::read(bytes).map_err(|fault| {
                    exec_datafusion_err!("sketch_merge was given bytes that are no sketch: {fault}")
                })?;
                self.absorb(group, sketch.entries())
            }
        }
    }

    fn absorb(&mut self, group: usize, entries: &SketchEntries) -> Result<()> {
        match entries {
            SketchEntries::Exact(values) => {
                let pending = values.iter().map(|(value, count)| PendingValue {
                    value: *value,
                    count: *count,
                    group: group as u32,
                });
                self.pending.extend(pending);
                Ok(())
            }
            SketchEntries::Buckets(_) => {
                if self.held.len() <= group {
                    self.held.resize(group + 1, Sketch::default());
                }
                absorb_into(&mut self.held[group], entries)
            }
        }
    }

    /// Folds what waits once there is as much of it as of sketches.
    fn fold_when_full(&mut self) -> Result<()> {
        let full = FOLD_AT.max(self.held_bytes / size_of::<PendingValue>());
        if self.pending.len() >= full { self.fold() } else { Ok(()) }
    }

    fn fold(&mut self) -> Result<()> {
        self.held.resize(self.groups.max(self.held.len()), Sketch::default());
        let (offsets, mut values) = self.by_group();
        for (sketch, range) in self.held.iter_mut().zip(offsets.windows(2)) {
            let group = &mut values[range[0]..range[1]];
            if group.is_empty() {
                continue;
            }
            let entries = SketchEntries::Exact(ascending(group)?);
            if sketch.count() == 0 {
                *sketch = Sketch::of(entries).ok_or_else(too_many)?;
            } else {
                absorb_into(sketch, &entries)?;
            }
        }
        self.held_bytes = self.held.iter().map(Sketch::size).sum();
        Ok(())
    }

    /// Brings what waits into the order of its groups: offsets by group, and values.
    fn by_group(&mut self) -> (Vec<usize>, Vec<(f64, u64)>) {
        let mut offsets = vec![0; self.held.len() + 1];
        for pending in &self.pending {
            offsets[pending.group as usize + 1] += 1;
        }
        for group in 0..self.held.len() {
            offsets[group + 1] += offsets[group];
        }
        let mut next = offsets.clone();
        let mut values = vec![(0.0, 0); self.pending.len()];
        for pending in &self.pending {
            let place = &mut next[pending.group as usize];
            values[*place] = (pending.value, pending.count);
            *place += 1;
        }
        self.pending.clear();
        (offsets, values)
    }

    /// The sketches of the first groups, which leave.
    fn take(&mut self, emit_to: EmitTo) -> Result<Vec<Sketch>> {
        self.fold()?;
        let taken = emit_to.take_needed(&mut self.held);
        self.groups = self.held.len();
        self.held_bytes = self.held.iter().map(Sketch::size).sum();
        Ok(taken)
    }
}

fn absorb_into(sketch: &mut Sketch, entries: &SketchEntries) -> Result<()> {
    if sketch.absorb(entries) { Ok(()) } else { Err(too_many()) }
}

fn too_many() -> datafusion::error::DataFusionError {
    exec_datafusion_err!("a sketch would stand for more than 2^63 - 1 values")
}

/// Values in any order as ascending, distinct ones.
fn ascending(values: &mut [(f64, u64)]) -> Result<Vec<(f64, u64)>> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<(f64, u64)> = Vec::with_capacity(values.len());
    for (value, count) in values {
        match out.last_mut() {
            Some((last, held)) if last.to_bits() == value.to_bits() => {
                *held = held.checked_add(*count).ok_or_else(too_many)?;
            }
            Some(_) | None => out.push((*value, *count)),
        }
    }
    out.shrink_to_fit();
    Ok(out)
}

impl GroupsAccumulator for GroupedSketches {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = self.groups.max(total_num_groups);
        for (row, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, row) && values[0].is_valid(row) {
                self.take_in(&values[0], row, *group)?;
            }
        }
        self.fold_when_full()
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = self.groups.max(total_num_groups);
        let states = States::of(values);
        for (row, group) in group_indices.iter().enumerate() {
            let state = states.row(row);
            if state.is_bucketed() {
                self.absorb(*group, &SketchEntries::Buckets(state.buckets().collect()))?;
            }
            let group = *group as u32;
            let values = state.values().map(|(value, count)| PendingValue { value, count, group });
            self.pending.extend(values);
        }
        self.fold_when_full()
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut column = ReadingColumn::new(self.reading);
        self.take(emit_to)?.iter().for_each(|sketch| column.push(sketch));
        Ok(column.take())
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut states = ListBuilder::default();
        self.take(emit_to)?.iter().for_each(|sketch| states.push(sketch.entries()));
        states.finish()
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        state_of_each(GroupedSketches::new(self.input, self.reading), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.pending.capacity() * size_of::<PendingValue>()
            + self.held.capacity() * size_of::<Sketch>()
            + self.held_bytes
    }
}

/// One group's sketch.
#[derive(Debug)]
pub struct Single(pub GroupedSketches);

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        GroupsAccumulator::merge_batch(&mut self.0, states, &vec![0; states[0].len()], 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.groups = 1;
        let states = GroupsAccumulator::state(&mut self.0, EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // A window function reads again and again, so what was read stays.
        self.0.groups = 1;
        self.0.fold()?;
        let Some(sketch) = self.0.held.first() else {
            return exec_err!("a sketch of one group has no group");
        };
        let mut column = ReadingColumn::new(self.0.reading);
        column.push(sketch);
        ScalarValue::try_from_array(&column.take(), 0)
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }
}
