//! Exact percentiles of a window of few panes, without merging what these hold.
//!
//! A group has a sorted list in each pane. For each percentile every list is cut in two, so that
//! the lower parts hold together as many values as come before the percentile's rank, and nothing
//! in them is above anything in an upper part. The result is the lowest value of the upper parts.
//! When the window slides, whole lists come and go, and the cuts move by the few ranks by which
//! the percentile has moved: a slide touches the ends of the parts and not the values.

use arrow::buffer::ScalarBuffer;
use prefetch_index::prefetch_index;

use super::lists::Lists;
use crate::sql::aggregate::functions::percentile::{between, from_sortable, place, to_sortable};

/// What stands for the end of a list. No double that a state holds is one of these keys.
const NO_LOW: i64 = i64::MIN;
const NO_HIGH: i64 = i64::MAX;

/// Ranks that a cut moves by one by one; beyond, its new place is searched for.
const FAR: usize = 64;

/// The lists of many groups, with their cuts.
#[derive(Debug)]
pub struct Cuts {
    fractions: Vec<f64>,
    /// Lists that a group has room for.
    room: usize,
    /// By slot the values that its lists are ranges of.
    values: Vec<ScalarBuffer<f64>>,
    /// By group: how many values.
    counts: Vec<usize>,
    /// By group and slot: where the list begins and ends.
    lists: Vec<(u32, u32)>,
    /// By group and fraction: how many values the lower parts hold.
    below: Vec<usize>,
    /// By group, fraction and slot: the first place of the upper part, in the slot's values.
    at: Vec<u32>,
    /// Likewise the highest key of the lower part, or [`NO_LOW`].
    lows: Vec<i64>,
    /// Likewise the lowest key of the upper part, or [`NO_HIGH`].
    highs: Vec<i64>,
}

impl Cuts {
    /// No lists yet, and room for so many in each group.
    pub fn new(fractions: Vec<f64>, room: usize) -> Cuts {
        Cuts {
            fractions,
            room,
            values: vec![ScalarBuffer::from(Vec::new()); room],
            counts: Vec::new(),
            lists: Vec::new(),
            below: Vec::new(),
            at: Vec::new(),
            lows: Vec::new(),
            highs: Vec::new(),
        }
    }

    /// How many lists a group has room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Bytes that a group takes.
    pub fn bytes_of_group(fractions: usize, room: usize) -> usize {
        let cut = size_of::<u32>() + 2 * size_of::<i64>();
        room * (size_of::<(u32, u32)>() + fractions * cut) + (fractions + 1) * size_of::<usize>()
    }

    /// Makes room for groups below `groups`.
    pub fn grow(&mut self, groups: usize) {
        if groups > self.counts.len() {
            let cuts = groups * self.fractions.len();
            self.counts.resize(groups, 0);
            self.lists.resize(groups * self.room, (0, 0));
            self.below.resize(cuts, 0);
            self.at.resize(cuts * self.room, 0);
            self.lows.resize(cuts * self.room, NO_LOW);
            self.highs.resize(cuts * self.room, NO_HIGH);
        }
    }

    /// Puts ascending lists into an empty slot. They count in a group once it is told of the slot
    /// by [`change`](Cuts::change).
    pub fn put(&mut self, slot: usize, lists: &Lists) {
        self.values[slot] = lists.values().clone();
        for (group, list) in lists.groups().iter().zip(lists.offsets().windows(2)) {
            self.lists[*group as usize * self.room + slot] = (list[0] as u32, list[1] as u32);
        }
    }

    /// Empties a slot of which every group has been told that it leaves.
    pub fn empty(&mut self, slot: usize) {
        self.values[slot] = ScalarBuffer::from(Vec::new());
    }

    /// Asks for the values of a group that [`change`](Cuts::change) will soon look at: a window's
    /// values are too many for the processor's cache, and a group's are looked at once a slide.
    pub fn ask_for(&self, group: usize, entering: &[usize]) {
        let lists = &self.lists[group * self.room..(group + 1) * self.room];
        for slot in entering {
            let (start, end) = lists[*slot];
            prefetch_index(&self.values[*slot], (start + (end - start) / 2) as usize);
        }
        let cuts = group * self.fractions.len()..(group + 1) * self.fractions.len();
        let at = &self.at[cuts.start * self.room..cuts.end * self.room];
        for cut in at.chunks_exact(self.room) {
            // The place in a list that comes is that of one that has left, and does no harm.
            for ((values, at), (start, end)) in self.values.iter().zip(cut).zip(lists) {
                if start < end {
                    prefetch_index(values, *at as usize);
                }
            }
        }
    }

    /// Takes the lists of some slots out of a group, and those of others in; gives the percentiles
    /// of what it holds then, by fraction.
    pub fn change(
        &mut self,
        group: usize,
        leaving: &[usize],
        entering: &[usize],
        mut result: impl FnMut(usize, Option<f64>),
    ) {
        let of_group = group * self.room..(group + 1) * self.room;
        let lists = &mut self.lists[of_group];
        let length = |(start, end): (u32, u32)| (end - start) as usize;
        let leave: usize = leaving.iter().map(|slot| length(lists[*slot])).sum();
        let come: usize = entering.iter().map(|slot| length(lists[*slot])).sum();
        let count = self.counts[group] - leave + come;
        self.counts[group] = count;
        for (number, fraction) in self.fractions.iter().enumerate() {
            let cut = group * self.fractions.len() + number;
            let row = cut * self.room..(cut + 1) * self.room;
            let mut cut = GroupCut {
                values: &self.values,
                lists,
                leaving,
                below: &mut self.below[cut],
                at: &mut self.at[row.clone()],
                lows: &mut self.lows[row.clone()],
                highs: &mut self.highs[row],
            };
            leaving.iter().for_each(|slot| cut.leave(*slot));
            entering.iter().for_each(|slot| cut.enter(*slot));
            result(number, place(count, *fraction).map(|(rank, weight)| cut.read(rank, weight)));
        }
        leaving.iter().for_each(|slot| lists[*slot] = (0, 0));
    }

    /// Bytes held beside the values.
    pub fn size(&self) -> usize {
        self.counts.capacity() * Cuts::bytes_of_group(self.fractions.len(), self.room)
    }
}

/// The lists of one group, cut for one percentile.
struct GroupCut<'a> {
    values: &'a [ScalarBuffer<f64>],
    /// Those of the slots that leave among them still.
    lists: &'a [(u32, u32)],
    leaving: &'a [usize],
    below: &'a mut usize,
    at: &'a mut [u32],
    lows: &'a mut [i64],
    highs: &'a mut [i64],
}

impl GroupCut<'_> {
    /// The key at a place of a slot's values.
    #[inline(always)]
    fn key(&self, slot: usize, place: u32) -> i64 {
        to_sortable(self.values[slot][place as usize])
    }

    #[inline(always)]
    fn leave(&mut self, slot: usize) {
        let (start, end) = self.lists[slot];
        if start < end {
            *self.below -= (self.at[slot] - start) as usize;
            (self.lows[slot], self.highs[slot]) = (NO_LOW, NO_HIGH);
        }
    }

    /// Cuts a list that comes where the others are cut.
    #[inline(always)]
    fn enter(&mut self, slot: usize) {
        let (start, end) = self.lists[slot];
        if start < end {
            let (_, separator) = lowest(self.highs);
            let list = &self.values[slot][start as usize..end as usize];
            let lower = list.partition_point(|value| to_sortable(*value) < separator);
            *self.below += lower;
            self.cut_at(slot, start + lower as u32);
        }
    }

    /// Moves the end of a list's lower part.
    #[inline(always)]
    fn cut_at(&mut self, slot: usize, at: u32) {
        let (start, end) = self.lists[slot];
        self.at[slot] = at;
        self.lows[slot] = if at > start { self.key(slot, at - 1) } else { NO_LOW };
        self.highs[slot] = if at < end { self.key(slot, at) } else { NO_HIGH };
    }

    /// Moves the cut to a rank, and reads the value there, or between there and the next one.
    #[inline(always)]
    fn read(&mut self, rank: usize, weight: f64) -> f64 {
        if self.below.abs_diff(rank) > FAR {
            self.seek(rank);
        }
        let mut slot = None;
        while *self.below > rank {
            let highest = highest(self.lows);
            self.cut_at(highest, self.at[highest] - 1);
            *self.below -= 1;
            // What was the highest below is the lowest above.
            slot = Some(highest);
        }
        while *self.below < rank {
            let (lowest, _) = lowest(self.highs);
            self.cut_at(lowest, self.at[lowest] + 1);
            *self.below += 1;
        }
        let slot = slot.unwrap_or_else(|| lowest(self.highs).0);
        let low = from_sortable(self.highs[slot]);
        if weight == 0.0 {
            return low;
        }
        let after = self.at[slot] + 1;
        let after = if after < self.lists[slot].1 { self.key(slot, after) } else { NO_HIGH };
        let held = std::mem::replace(&mut self.highs[slot], after);
        let (_, next) = lowest(self.highs);
        self.highs[slot] = held;
        between(low, from_sortable(next), weight)
    }

    /// Searches for the cut at a rank: the middle of the widest list that is left is held against
    /// all of them, until it is a value at which the cut lies.
    #[cold]
    fn seek(&mut self, rank: usize) {
        let mut bounds = self.lists.to_vec();
        self.leaving.iter().for_each(|slot| bounds[*slot] = (0, 0));
        let begun: usize = bounds.iter().map(|(start, _)| *start as usize).sum();
        loop {
            let Some(widest) =
                (0..bounds.len()).max_by_key(|slot| bounds[*slot].1 - bounds[*slot].0)
            else {
                return;
            };
            let (from, to) = bounds[widest];
            if from == to {
                return;
            }
            let pivot = self.key(widest, from + (to - from) / 2);
            let before = self.places(&bounds, |key| key < pivot);
            let behind = self.places(&bounds, |key| key <= pivot);
            let rank_at = |places: &[u32]| -> usize {
                places.iter().map(|place| *place as usize).sum::<usize>() - begun
            };
            if rank_at(&before) > rank {
                bounds.iter_mut().zip(before).for_each(|(bound, place)| bound.1 = place);
            } else if rank_at(&behind) <= rank {
                bounds.iter_mut().zip(behind).for_each(|(bound, place)| bound.0 = place);
            } else {
                // Among equal values: as many as are missing, from whichever list.
                let mut missing = rank - rank_at(&before);
                for (slot, (before, behind)) in before.into_iter().zip(behind).enumerate() {
                    let more = missing.min((behind - before) as usize);
                    missing -= more;
                    if !self.leaving.contains(&slot) {
                        self.cut_at(slot, before + more as u32);
                    }
                }
                *self.below = rank;
                return;
            }
        }
    }

    /// By slot the first place within bounds of which the key is not so.
    fn places(&self, bounds: &[(u32, u32)], is_so: impl Fn(i64) -> bool) -> Vec<u32> {
        let place = |(slot, (from, to)): (usize, &(u32, u32))| {
            let list = &self.values[slot][*from as usize..*to as usize];
            from + list.partition_point(|value| is_so(to_sortable(*value))) as u32
        };
        bounds.iter().enumerate().map(place).collect()
    }
}

/// The slot of the lowest key, and the key.
#[inline(always)]
fn lowest(keys: &[i64]) -> (usize, i64) {
    let mut best = (0, NO_HIGH);
    for (slot, key) in keys.iter().enumerate() {
        let better = *key < best.1;
        best.0 = std::hint::select_unpredictable(better, slot, best.0);
        best.1 = std::hint::select_unpredictable(better, *key, best.1);
    }
    best
}

/// The slot of the highest key.
#[inline(always)]
fn highest(keys: &[i64]) -> usize {
    let mut best = (0, NO_LOW);
    for (slot, key) in keys.iter().enumerate() {
        let better = *key > best.1;
        best.0 = std::hint::select_unpredictable(better, slot, best.0);
        best.1 = std::hint::select_unpredictable(better, *key, best.1);
    }
    best.0
}
