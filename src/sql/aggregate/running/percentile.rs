//! Running exact percentiles.
//!
//! What enters and leaves is noted, and worked in when the window is read: each group is then
//! touched once for all that the slide brought. A group that nothing has come to reads as it did
//! before. Where a window has few panes and many values, a group's lists are kept apart and cut at
//! the percentiles ([`Cuts`]); elsewhere they are merged into a sorted multiset ([`Multisets`]).
//! The lists of windows that share no panes are only gathered and sorted ([`Whole`]). All give the
//! same results to the last bit.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::Running;
use super::cuts::Cuts;
use super::lists::Lists;
use super::multisets::{AHEAD, Multisets};
use super::whole::Whole;
use super::window_lists::{Slots, WindowLists};
use crate::sql::aggregate::functions::percentile::{from_sortable, interpolate};

/// How many times fewer values there must be than were needed to keep lists apart, until they are
/// merged.
const MUCH_FEWER: usize = 4;

/// Percentiles of one expression over one shared multiset.
#[derive(Debug)]
pub struct RunningPercentile {
    fractions: Vec<f64>,
    /// How many panes a window has, where windows share panes.
    panes: Option<usize>,
    groups: usize,
    coming: Vec<Lists>,
    leaving: Vec<Lists>,
    /// The lists in the window, unless it has many panes or lists.
    window: Option<WindowLists>,
    kept: KeptValues,
    /// By fraction the present result of each group.
    results: Vec<Vec<Option<f64>>>,
    outputs: Vec<Vec<Option<f64>>>,
}

/// How a window's values are kept.
#[derive(Debug)]
enum KeptValues {
    Multisets(Multisets),
    Cuts(Cuts),
    Whole(Whole),
}

impl RunningPercentile {
    /// Percentiles at these fractions of windows of so many panes, where windows have panes that
    /// they share.
    pub fn new(fractions: Vec<f64>, panes: Option<usize>) -> RunningPercentile {
        let [results, outputs] = [(); 2].map(|()| vec![Vec::new(); fractions.len()]);
        RunningPercentile {
            fractions,
            panes,
            groups: 0,
            coming: Vec::new(),
            leaving: Vec::new(),
            window: panes.and_then(WindowLists::of_panes),
            kept: match panes {
                Some(_) => KeptValues::Multisets(Multisets::default()),
                None => KeptValues::Whole(Whole::default()),
            },
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
        if let KeptValues::Whole(whole) = &mut self.kept {
            let (fractions, results) = (&self.fractions, &mut self.results);
            let changed = whole.change(&leaving, coming, self.groups, |group, keys| {
                for (fraction, results) in fractions.iter().zip(results.iter_mut()) {
                    let at = |rank: usize| from_sortable(keys[rank]);
                    results[group] = interpolate(keys.len(), *fraction, at);
                }
            });
            return changed.map_or_else(not_held, Ok);
        }
        let Some(window) = &mut self.window else { return self.merge(&leaving, &coming) };
        let Some(slots) = window.slots_of(&leaving, &coming) else { return not_held() };
        let held = window.count() + count(&coming) - count(&leaving);
        if !window.is_few() {
            // Late rows come in lists of their own, and there are many of them.
            self.keep_merged();
            self.window = None;
            return self.merge(&leaving, &coming);
        }
        match (&self.kept, self.is_worth_cutting(held)) {
            (KeptValues::Cuts(cuts), true) if cuts.room() == window_room(&self.window) => {
                self.cut(&slots, &leaving, &coming);
                self.change_window(&slots, coming);
            }
            (_, true) => {
                self.change_window(&slots, coming);
                self.keep_cut();
            }
            (_, false) => {
                self.keep_merged();
                self.merge(&leaving, &coming)?;
                self.change_window(&slots, coming);
            }
        }
        Ok(())
    }

    fn change_window(&mut self, slots: &Slots, coming: Vec<Lists>) {
        if let Some(window) = &mut self.window {
            window.change(slots, coming);
        }
    }

    /// Works lists into the multisets.
    fn merge(&mut self, leaving: &[Lists], coming: &[Lists]) -> Result<()> {
        let KeptValues::Multisets(multisets) = &mut self.kept else { return Ok(()) };
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
        let KeptValues::Cuts(cuts) = &mut self.kept else { return };
        for (slot, lists) in slots.coming.iter().zip(coming) {
            cuts.put(*slot, &lists.sorted());
        }
        let mut groups: Vec<u32> =
            leaving.iter().chain(coming).flat_map(Lists::groups).copied().collect();
        // Runs that ascend, mostly two of them.
        groups.sort();
        groups.dedup();
        for (place, group) in groups.iter().enumerate() {
            if let Some(next) = groups.get(place + AHEAD) {
                cuts.ask_for(*next as usize, &slots.coming);
            }
            let group = *group as usize;
            cuts.change(group, &slots.leaving, &slots.coming, |fraction, result| {
                self.results[fraction][group] = result;
            });
        }
        slots.leaving.iter().for_each(|slot| cuts.empty(*slot));
    }

    /// Whether the lists of a window of so many values are better kept apart: cuts take less time,
    /// but memory for each group, which is not to be more than that of the values, or, where values
    /// are cut already, than several times that: the way must not change at every slide.
    fn is_worth_cutting(&self, values: usize) -> bool {
        let values = values * size_of::<f64>();
        let room = window_room(&self.window);
        let cuts = self.groups * Cuts::bytes_of_group(self.fractions.len(), room);
        #[cfg(test)]
        if tests::ALWAYS_CUT.get() {
            return true;
        }
        match &self.kept {
            KeptValues::Cuts(_) => values * MUCH_FEWER >= cuts,
            KeptValues::Multisets(_) | KeptValues::Whole(_) => values >= cuts,
        }
    }

    /// Keeps the window's lists apart, and reads all groups.
    fn keep_cut(&mut self) {
        let Some(window) = &self.window else { return };
        let mut cuts = Cuts::new(self.fractions.clone(), window.room());
        cuts.grow(self.groups);
        let mut slots = Vec::new();
        for (slot, lists) in window.iter() {
            cuts.put(slot, &lists.sorted());
            slots.push(slot);
        }
        for group in 0..self.groups {
            cuts.change(group, &[], &slots, |fraction, result| {
                self.results[fraction][group] = result;
            });
        }
        self.kept = KeptValues::Cuts(cuts);
    }

    /// Merges the window's lists, if they are kept apart.
    fn keep_merged(&mut self) {
        if let (KeptValues::Cuts(_), Some(window)) = (&self.kept, &self.window) {
            let lists: Vec<Lists> = window.iter().map(|(_, lists)| lists.clone()).collect();
            let mut multisets = Multisets::default();
            multisets.grow(self.groups);
            multisets.add(&lists);
            self.kept = KeptValues::Multisets(multisets);
        }
    }
}

fn not_held() -> Result<()> {
    exec_err!("cannot take values out of a window that does not hold them")
}

/// How many values some lists hold.
fn count(lists: &[Lists]) -> usize {
    lists.iter().map(Lists::count).sum()
}

/// How many lists a window has room for.
fn window_room(window: &Option<WindowLists>) -> usize {
    window.as_ref().map_or(0, WindowLists::room)
}

impl Running for RunningPercentile {
    fn grow(&mut self, groups: usize) {
        if groups <= self.groups {
            return;
        }
        self.groups = groups;
        self.results.iter_mut().for_each(|results| results.resize(groups, None));
        // Before many groups that are new take memory.
        if let Some(window) = &self.window
            && !self.is_worth_cutting(window.count())
        {
            self.keep_merged();
        }
        match &mut self.kept {
            KeptValues::Multisets(multisets) => multisets.grow(groups),
            KeptValues::Cuts(cuts) => cuts.grow(groups),
            KeptValues::Whole(_) => {}
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
        self.window = self.panes.and_then(WindowLists::of_panes);
        match &mut self.kept {
            KeptValues::Multisets(multisets) => {
                groups.iter().for_each(|group| multisets.clear(*group as usize));
            }
            KeptValues::Cuts(_) => {
                let mut multisets = Multisets::default();
                multisets.grow(self.groups);
                self.kept = KeptValues::Multisets(multisets);
            }
            KeptValues::Whole(whole) => whole.clear(),
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
            KeptValues::Multisets(multisets) => multisets.size(),
            KeptValues::Cuts(cuts) => cuts.size(),
            KeptValues::Whole(whole) => whole.size(),
        };
        kept + self.groups * self.fractions.len() * size_of::<Option<f64>>()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use arrow::array::ListArray;
    use arrow::datatypes::Float64Type;
    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// Whether the lists of a window of few panes are kept apart however few values they hold.
        pub(crate) static ALWAYS_CUT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    const FRACTIONS: [f64; 4] = [0.0, 0.5, 0.93, 1.0];

    /// Lists of groups 0, 1 and so on; some are left out.
    type State = Vec<Option<Vec<i32>>>;

    /// The same as groups and a state.
    type Arrays = (Vec<u32>, Vec<ArrayRef>);

    fn state(lists: &State) -> Arrays {
        let held = lists.iter().enumerate();
        let held = held.filter_map(|(group, list)| Some((group as u32, list.as_ref()?)));
        let (groups, lists): (Vec<u32>, Vec<&Vec<i32>>) = held.unzip();
        let values = lists.iter().map(|list| Some(list.iter().map(|n| Some(number(*n)))));
        (groups, vec![Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(values))])
    }

    fn expected<'a>(window: impl Iterator<Item = &'a State>, group: usize) -> Vec<Option<u64>> {
        let values = window.filter_map(|lists| lists.get(group)?.as_ref()).flatten();
        let mut values: Vec<f64> = values.map(|n| number(*n)).collect();
        values.sort_by(f64::total_cmp);
        let of = |q: &f64| interpolate(values.len(), *q, |rank| values[rank]).map(f64::to_bits);
        FRACTIONS.iter().map(of).collect()
    }

    fn lists(values: std::ops::Range<usize>) -> impl Strategy<Value = State> {
        let list = prop::collection::vec(0i32..300, values);
        prop::collection::vec(prop::option::weighted(0.9, list), 1..4)
    }

    /// What a slide brings: lists of a new pane, those of late rows for the pane before it, and
    /// whether the window is emptied first.
    type Slide = (Vec<State>, Vec<State>, bool);

    fn slides() -> impl Strategy<Value = Vec<Slide>> {
        let new = prop_oneof![2 => lists(0..6), 4 => lists(60..160), 1 => lists(200..700)];
        let new = prop::collection::vec(new, 1..3);
        let late = prop_oneof![
            5 => Just(Vec::new()),
            2 => prop::collection::vec(lists(0..4), 1..3),
            1 => prop::collection::vec(lists(0..2), 20..30),
        ];
        prop::collection::vec((new, late, prop::bool::weighted(0.1)), 1..30)
    }

    /// A few numbers, among them those that are easily put in the wrong place.
    fn number(n: i32) -> f64 {
        match n {
            0 => f64::NEG_INFINITY,
            1..8 => 0.0,
            298 => f64::INFINITY,
            299 => f64::NAN,
            n => f64::from(n - 100) / 8.0,
        }
    }

    proptest! {
        /// Windows of few panes, cut always or when that is worth it, windows of any number of
        /// panes, and windows that are sorted when they are read, against all values sorted anew.
        #[test]
        fn percentiles_of_a_sliding_window_are_those_of_its_values(
            slides in slides(),
            panes in 2usize..6,
        ) {
            let mut all = [Some(panes), Some(panes), Some(999), None]
                .map(|panes| RunningPercentile::new(FRACTIONS.to_vec(), panes));
            // By pane what it holds: the values, and the states that brought them.
            let mut held: Vec<Vec<(State, Arrays)>> = Vec::new();
            let mut first = 0;
            for (new, late, empties) in slides {
                let last = held.len();
                let leaves = (last + 1).saturating_sub(panes).max(first);
                let mut groups = 0;
                for (number, running) in all.iter_mut().enumerate() {
                    ALWAYS_CUT.set(number == 0);
                    groups = running.groups as u32;
                    if empties {
                        running.reset(&(0..groups).collect::<Vec<u32>>());
                        continue;
                    }
                    for (_, (groups, state)) in held[first..leaves].iter().flatten() {
                        running.retract(groups, state, 0).unwrap();
                    }
                }
                first = if empties { last } else { leaves };
                let with_state = |lists: Vec<State>| -> Vec<_> {
                    lists.into_iter().map(|lists| (lists.clone(), state(&lists))).collect()
                };
                held.push(with_state(new));
                let late = if first < last { with_state(late) } else { Vec::new() };
                for (number, running) in all.iter_mut().enumerate() {
                    ALWAYS_CUT.set(number == 0);
                    for (lists, (groups, state)) in late.iter().chain(&held[last]) {
                        running.grow(lists.len());
                        running.add(groups, state, 0).unwrap();
                    }
                    groups = groups.max(running.groups as u32);
                    running.read(&(0..groups).collect::<Vec<u32>>()).unwrap();
                }
                if first < last {
                    held[last - 1].extend(late);
                }
                let given = [0, 1, 2, 3].map(|number| all[number].take_outputs());
                for group in 0..groups as usize {
                    let window = held[first..].iter().flatten().map(|(lists, _)| lists);
                    let expected = expected(window, group);
                    for given in &given {
                        let given: Vec<Option<u64>> =
                            given.iter().map(|column| bits(column, group)).collect();
                        prop_assert_eq!(&given, &expected, "group {}", group);
                    }
                }
            }
            ALWAYS_CUT.set(false);
        }
    }

    fn bits(column: &ArrayRef, row: usize) -> Option<u64> {
        let column = column.as_any().downcast_ref::<Float64Array>().unwrap();
        column.iter().nth(row).flatten().map(f64::to_bits)
    }

    #[test]
    fn few_panes_with_many_values_are_cut_and_no_others() {
        let is_cut = |panes, values: i32| {
            let mut running = RunningPercentile::new(vec![0.5], panes);
            let (groups, state) = state(&vec![Some((100..100 + values).rev().collect())]);
            running.grow(1);
            running.add(&groups, &state, 0).unwrap();
            running.read(&[0]).unwrap();
            let median = running.take_outputs().remove(0);
            let median = median.as_any().downcast_ref::<Float64Array>().unwrap().value(0);
            assert_eq!(median, f64::from(values - 1) / 16.0);
            matches!(running.kept, KeptValues::Cuts(_))
        };
        assert!(is_cut(Some(12), 190));
        assert!(!is_cut(Some(12), 5));
        assert!(!is_cut(Some(288), 190));
    }

    #[test]
    fn what_is_not_there_cannot_leave() {
        let (groups, state) = state(&vec![Some(vec![1, 2])]);
        for panes in [Some(2), Some(999), None] {
            let mut running = RunningPercentile::new(vec![0.5], panes);
            running.grow(1);
            running.retract(&groups, &state, 0).unwrap();
            assert!(running.read(&[0]).unwrap_err().to_string().contains("does not hold"));
        }
    }
}
