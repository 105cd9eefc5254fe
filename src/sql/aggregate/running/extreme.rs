//! Running minima and maxima: per group the pane results that can still become the extreme.
//!
//! A pane's result is kept while no newer pane has one as extreme; so the list falls (rises, for
//! minima), its first entry is the answer, and an entry leaves with its pane.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;

use super::Running;
use crate::sql::aggregate::functions::extreme::ExtremeSide;

/// `min(x)` or `max(x)` of a primitive type.
#[derive(Debug)]
pub struct RunningExtreme<T: ArrowPrimitiveType> {
    side: ExtremeSide,
    data_type: DataType,
    candidates: Vec<VecDeque<(i64, T::Native)>>,
    output: Vec<Option<T::Native>>,
}

impl<T: ArrowPrimitiveType> RunningExtreme<T> {
    /// A running extreme of values of `data_type`.
    pub fn new(side: ExtremeSide, data_type: DataType) -> RunningExtreme<T> {
        RunningExtreme { side, data_type, candidates: Vec::new(), output: Vec::new() }
    }

    fn offer(&mut self, group: usize, pane: i64, value: T::Native) {
        let side = self.side;
        let list = &mut self.candidates[group];
        let place = list.partition_point(|(held, _)| *held < pane);
        if list.range(place..).any(|(_, newer)| side.is_met(*newer, value)) {
            return;
        }
        // Older entries that the new one beats can never be the answer again, nor can one of the
        // same pane.
        let same = list.get(place).is_some_and(|(held, _)| *held == pane);
        let mut first = place;
        while first > 0 && side.is_met(value, list[first - 1].1) {
            first -= 1;
        }
        list.drain(first..place + usize::from(same));
        list.insert(first, (pane, value));
    }
}

impl<T> Running for RunningExtreme<T>
where
    T: ArrowPrimitiveType,
    T::Native: Send,
{
    fn grow(&mut self, groups: usize) {
        if groups > self.candidates.len() {
            self.candidates.resize(groups, VecDeque::new());
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], pane: i64) -> Result<()> {
        let values = states[0].as_primitive::<T>();
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) {
                self.offer(*group as usize, pane, values.value(row));
            }
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], _states: &[ArrayRef], pane: i64) -> Result<()> {
        for group in groups {
            let list = &mut self.candidates[*group as usize];
            while list.front().is_some_and(|(held, _)| *held <= pane) {
                list.pop_front();
            }
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.candidates[*group as usize].clear();
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        let results = groups
            .iter()
            .map(|group| self.candidates[*group as usize].front().map(|(_, value)| *value));
        self.output.extend(results);
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        let output = std::mem::take(&mut self.output);
        let array: PrimitiveArray<T> = output.into_iter().collect();
        vec![Arc::new(array.with_data_type(self.data_type.clone()))]
    }

    fn size(&self) -> usize {
        let held: usize = self.candidates.iter().map(VecDeque::len).sum();
        held * size_of::<(i64, T::Native)>() + self.candidates.capacity() * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    proptest! {
        /// Sliding over panes in order, with some values arriving late for their pane.
        #[test]
        fn the_extreme_is_that_of_the_window(
            panes in prop::collection::vec((0i64..50, prop::option::of(0i64..50)), 1..60),
            size in 1usize..6,
            maximum in any::<bool>(),
        ) {
            let side = if maximum { ExtremeSide::Max } else { ExtremeSide::Min };
            let mut running = RunningExtreme::<Int64Type>::new(side, DataType::Int64);
            running.grow(1);
            let state = |value: i64| vec![Arc::new(Int64Array::from(vec![value])) as ArrayRef];
            for end in 0..panes.len() {
                running.add(&[0], &state(panes[end].0), end as i64)?;
                // A late value for the pane before, if that is still in the window.
                if end > 0 && size > 1 && let Some(late) = panes[end].1 {
                    running.add(&[0], &state(late), end as i64 - 1)?;
                }
                if end >= size {
                    let gone = end - size;
                    running.retract(&[0], &state(panes[gone].0), gone as i64)?;
                }
                let first = (end + 1).saturating_sub(size);
                let mut within: Vec<i64> = panes[first..=end].iter().map(|pane| pane.0).collect();
                if size > 1 {
                    within.extend(panes[first + 1..=end].iter().filter_map(|pane| pane.1));
                }
                let want = if maximum { within.iter().max() } else { within.iter().min() };
                running.read(&[0]).unwrap();
                let outputs = running.take_outputs();
                prop_assert_eq!(outputs[0].as_primitive::<Int64Type>().value(0), *want.unwrap());
            }
        }
    }
}
