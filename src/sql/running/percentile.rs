//! Running exact percentiles.
//!
//! What enters and leaves is noted, and worked in when the window is read: each group is then
//! touched once for all that the slide brought. A group that nothing has come to reads as it did
//! before. Where a window has few panes and many values, a group's lists are kept apart and cut at
//! the percentiles ([`Cuts`]); elsewhere they are merged into a sorted multiset ([`Multisets`]).
//! Both give the same results to the last bit.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::Running;
use super::cuts::Cuts;
use super::lists::Lists;
use super::multisets::Multisets;
use super::window_lists::{Slots, WindowLists};
use crate::sql::functions::percentile::from_sortable;

/// How many times fewer values there must be than were needed to keep lists apart, until they are
/// merged: the way must not change at every slide.
const MUCH_FEWER: usize = 4;

/// Percentiles of one expression over one shared multiset.
#[derive(Debug)]
pub struct RunningPercentile {
    fractions: Vec<f64>,
    groups: usize,
    coming: Vec<Lists>,
    leaving: Vec<Lists>,
    /// The lists in the window, unless it has many panes.
    window: Option<WindowLists>,
    kept: Kept,
    /// By fraction the present result of each group.
    results: Vec<Vec<Option<f64>>>,
    outputs: Vec<Vec<Option<f64>>>,
}

/// How a window's values are kept.
#[derive(Debug)]
enum Kept {
    Multisets(Multisets),
    Cuts(Cuts),
}

impl RunningPercentile {
    /// Percentiles at these fractions of windows of so many panes, where windows have panes that
    /// they share.
    pub fn new(fractions: Vec<f64>, panes: Option<usize>) -> RunningPercentile {
        let [results, outputs] = [(); 2].map(|()| vec![Vec::new(); fractions.len()]);
        RunningPercentile {
            fractions,
            groups: 0,
            coming: Vec::new(),
            leaving: Vec::new(),
            window: panes.and_then(WindowLists::of_panes),
            kept: Kept::Multisets(Multisets::default()),
            results,
            outputs,
        }
    }

    /// Brings the results up to what has entered and left.
    fn settle(&mut self) -> Result<()> {
        if self.coming.is_empty() && self.leaving.is_empty() {
            return Ok(());
        }
        let (coming, leaving) =
            (std::mem::take(&mut self.coming), std::mem::take(&mut self.leaving));
        let Some(window) = &mut self.window else { return self.merge(&leaving, &coming) };
        let Some(slots) = window.slots_of(&leaving, &coming) else {
            return exec_err!("cannot take values out of a window that does not hold them");
        };
        if matches!(&self.kept, Kept::Cuts(cuts) if cuts.room() < window.room()) {
            self.keep_merged();
        }
        match self.kept {
            Kept::Multisets(_) => self.merge(&leaving, &coming)?,
            Kept::Cuts(_) => self.cut(&slots, &leaving, &coming),
        }
        if let Some(window) = &mut self.window {
            window.change(&slots, coming);
        }
        self.choose();
        Ok(())
    }

    /// Works lists into the multisets.
    fn merge(&mut self, leaving: &[Lists], coming: &[Lists]) -> Result<()> {
        let Kept::Multisets(multisets) = &mut self.kept else { return Ok(()) };
        let (fractions, results) = (&self.fractions, &mut self.results);
        let changed = multisets.change(leaving, coming, |group, held| {
            for (fraction, results) in fractions.iter().zip(results.iter_mut()) {
                results[group] = held.percentile(*fraction);
            }
        });
        changed.map_err(|missing| {
            let value = from_sortable(missing);
            exec_datafusion_err!("cannot take {value} out of a window that does not hold it")
        })
    }

    /// Works lists into the cuts.
    fn cut(&mut self, slots: &Slots, leaving: &[Lists], coming: &[Lists]) {
        let Kept::Cuts(cuts) = &mut self.kept else { return };
        for (slot, lists) in slots.coming.iter().zip(coming) {
            cuts.put(*slot, &lists.sorted());
        }
        let mut groups: Vec<u32> =
            leaving.iter().chain(coming).flat_map(Lists::groups).copied().collect();
        // Runs that ascend, mostly two of them.
        groups.sort();
        groups.dedup();
        for group in groups {
            let group = group as usize;
            cuts.change(group, &slots.leaving, &slots.coming, |fraction, result| {
                self.results[fraction][group] = result;
            });
        }
        slots.leaving.iter().for_each(|slot| cuts.empty(*slot));
    }

    /// Changes the way in which values are kept, if the other one has become better: cuts take less
    /// time, but memory for each group, as much as the values of the window at most.
    fn choose(&mut self) {
        let Some(window) = &self.window else { return };
        let values = window.count() * size_of::<f64>();
        let cuts = self.groups * Cuts::bytes_of_group(self.fractions.len(), window.room());
        match &self.kept {
            Kept::Multisets(_) if window.is_few() && values >= cuts => self.keep_cut(),
            Kept::Cuts(_) if values * MUCH_FEWER < cuts => self.keep_merged(),
            Kept::Multisets(_) | Kept::Cuts(_) => {}
        }
    }

    fn keep_cut(&mut self) {
        let Some(window) = &self.window else { return };
        let mut cuts = Cuts::new(self.fractions.clone(), window.room());
        cuts.grow(self.groups);
        let mut slots = Vec::new();
        for (slot, lists) in window.iter() {
            cuts.put(slot, &lists.sorted());
            slots.push(slot);
        }
        (0..self.groups).for_each(|group| cuts.change(group, &[], &slots, |_, _| {}));
        self.kept = Kept::Cuts(cuts);
    }

    fn keep_merged(&mut self) {
        let mut multisets = Multisets::default();
        multisets.grow(self.groups);
        if let Some(window) = &self.window {
            let lists: Vec<Lists> = window.iter().map(|(_, lists)| lists.clone()).collect();
            multisets.add(&lists);
        }
        self.kept = Kept::Multisets(multisets);
    }
}

impl Running for RunningPercentile {
    fn grow(&mut self, groups: usize) {
        if groups <= self.groups {
            return;
        }
        self.groups = groups;
        self.results.iter_mut().for_each(|results| results.resize(groups, None));
        // Before many groups that are new take memory.
        self.choose();
        match &mut self.kept {
            Kept::Multisets(multisets) => multisets.grow(groups),
            Kept::Cuts(cuts) => cuts.grow(groups),
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        self.coming.push(Lists::of(groups, states));
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        // What leaves is taken out first, so it must have entered.
        if !self.coming.is_empty() {
            self.settle()?;
        }
        self.leaving.push(Lists::of(groups, states));
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        self.coming.clear();
        self.leaving.clear();
        self.window.iter_mut().for_each(WindowLists::clear);
        match &mut self.kept {
            Kept::Multisets(multisets) => {
                groups.iter().for_each(|group| multisets.clear(*group as usize));
            }
            Kept::Cuts(_) => {
                let mut multisets = Multisets::default();
                multisets.grow(self.groups);
                self.kept = Kept::Multisets(multisets);
            }
        }
        for group in groups {
            self.results.iter_mut().for_each(|results| results[*group as usize] = None);
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        self.settle()?;
        for (results, output) in self.results.iter().zip(&mut self.outputs) {
            output.extend(groups.iter().map(|group| results[*group as usize]));
        }
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        let taken = self.outputs.iter_mut().map(std::mem::take);
        taken.map(|output| Arc::new(Float64Array::from(output)) as ArrayRef).collect()
    }

    fn size(&self) -> usize {
        let kept = match &self.kept {
            Kept::Multisets(multisets) => multisets.size(),
            Kept::Cuts(cuts) => cuts.size(),
        };
        kept + self.groups * self.fractions.len() * size_of::<Option<f64>>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ListArray;
    use arrow::datatypes::Float64Type;
    use proptest::prelude::*;

    use super::*;
    use crate::sql::functions::percentile::interpolate;

    const FRACTIONS: [f64; 4] = [0.0, 0.5, 0.93, 1.0];

    /// Lists of groups 0, 1 and so on; some are left out.
    type State = Vec<Option<Vec<i32>>>;

    fn state(lists: &State) -> (Vec<u32>, Vec<ArrayRef>) {
        let held = lists.iter().enumerate();
        let held = held.filter_map(|(group, list)| Some((group as u32, list.as_ref()?)));
        let (groups, lists): (Vec<u32>, Vec<&Vec<i32>>) = held.unzip();
        let values = lists.iter().map(|list| Some(list.iter().map(|n| Some(f64::from(*n) / 8.0))));
        (groups, vec![Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(values))])
    }

    fn expected<'a>(window: impl Iterator<Item = &'a State>, group: usize) -> Vec<Option<f64>> {
        let mut values: Vec<i32> =
            window.filter_map(|lists| lists.get(group)?.as_ref()).flatten().copied().collect();
        values.sort_unstable();
        let value = |rank: usize| f64::from(values[rank]) / 8.0;
        FRACTIONS.iter().map(|q| interpolate(values.len(), *q, value)).collect()
    }

    fn lists(values: std::ops::Range<usize>) -> impl Strategy<Value = State> {
        let list = prop::collection::vec(0i32..300, values);
        prop::collection::vec(prop::option::weighted(0.9, list), 1..4)
    }

    /// A slide of one or two panes; rarely a pane has a second list, as of late rows.
    fn slides() -> impl Strategy<Value = Vec<Vec<State>>> {
        let pane = prop_oneof![2 => lists(0..6), 4 => lists(60..160), 1 => lists(200..700)];
        prop::collection::vec(prop::collection::vec(pane, 1..3), 1..30)
    }

    proptest! {
        /// Windows of a few panes and of any number, against all values sorted anew.
        #[test]
        fn percentiles_of_a_sliding_window_are_those_of_its_values(
            slides in slides(),
            panes in 2usize..6,
        ) {
            let mut few = RunningPercentile::new(FRACTIONS.to_vec(), Some(panes));
            let mut any = RunningPercentile::new(FRACTIONS.to_vec(), None);
            let states: Vec<Vec<_>> =
                slides.iter().map(|slide| slide.iter().map(state).collect()).collect();
            for (last, slide) in slides.iter().enumerate() {
                let first = (last + 1).saturating_sub(panes);
                for running in [&mut few, &mut any] {
                    if first > 0 {
                        for (groups, state) in &states[first - 1] {
                            running.retract(groups, state, 0).unwrap();
                        }
                    }
                    running.grow(slide.iter().map(Vec::len).max().unwrap_or(0));
                    for (groups, state) in &states[last] {
                        running.add(groups, state, 0).unwrap();
                    }
                }
                let groups: Vec<u32> = (0..few.groups as u32).collect();
                few.read(&groups).unwrap();
                any.read(&groups).unwrap();
                let given = [&mut few, &mut any].map(|running| running.take_outputs());
                for group in 0..groups.len() {
                    let window = slides[first..=last].iter().flatten();
                    let expected = expected(window, group);
                    for given in &given {
                        let given: Vec<Option<f64>> = given
                            .iter()
                            .map(|column| {
                                let column = column.as_any().downcast_ref::<Float64Array>();
                                column.unwrap().iter().nth(group).flatten()
                            })
                            .collect();
                        prop_assert_eq!(&given, &expected, "group {}", group);
                    }
                }
            }
        }
    }

    #[test]
    fn few_panes_with_many_values_are_cut_and_no_others() {
        let is_cut = |panes, values: i32| {
            let mut running = RunningPercentile::new(vec![0.5], panes);
            let (groups, state) = state(&vec![Some((0..values).rev().collect())]);
            running.grow(1);
            running.add(&groups, &state, 0).unwrap();
            running.read(&[0]).unwrap();
            let median = running.take_outputs().remove(0);
            let median = median.as_any().downcast_ref::<Float64Array>().unwrap().value(0);
            assert_eq!(median, f64::from(values - 1) / 16.0);
            matches!(running.kept, Kept::Cuts(_))
        };
        assert!(is_cut(Some(12), 500));
        assert!(!is_cut(Some(12), 5));
        assert!(!is_cut(Some(288), 500));
        assert!(!is_cut(None, 500));
    }

    #[test]
    fn what_is_not_there_cannot_leave() {
        let (groups, state) = state(&vec![Some(vec![1, 2])]);
        for panes in [Some(2), None] {
            let mut running = RunningPercentile::new(vec![0.5], panes);
            running.grow(1);
            running.retract(&groups, &state, 0).unwrap();
            assert!(running.read(&[0]).unwrap_err().to_string().contains("does not hold"));
        }
    }
}
