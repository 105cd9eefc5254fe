//! Sorted multisets by group, changed by lists of values that come and go.
//!
//! Each group is touched once for all that a slide brings, instead of once for each state, and is
//! read at once, while it is in the cache.

use super::lists::{Lists, sorted_keys};
use super::side_by_side::{ByGroup, Gatherer, side_by_side};
use super::sorted_values::{Room, SortedValues};

/// How many groups before its turn a group's values are asked for.
pub const AHEAD: usize = 2;

/// A multiset of doubles for each group.
#[derive(Debug, Default)]
pub struct Multisets {
    values: Vec<SortedValues>,
    room: Room,
    gatherer: Gatherer,
}

impl Multisets {
    /// Makes room for groups below `groups`.
    pub fn grow(&mut self, groups: usize) {
        if groups > self.values.len() {
            self.values.resize(groups, SortedValues::default());
        }
    }

    /// Takes lists out and puts others in, and tells each group that has changed with what it
    /// holds; `Err` with the key of the first value that is not there.
    pub fn change(
        &mut self,
        leaving: &[Lists],
        coming: &[Lists],
        mut changed: impl FnMut(usize, &SortedValues),
    ) -> Result<(), i64> {
        let total = self.values.len();
        let leaving: ByGroup<'_> = self.gatherer.gather(leaving, total);
        let coming: ByGroup<'_> = self.gatherer.gather(coming, total);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        let mut ahead = side_by_side(&leaving, &coming).skip(AHEAD);
        for (group, went, came) in side_by_side(&leaving, &coming) {
            if let Some((next, leaves, comes)) = ahead.next() {
                self.values[next as usize].ask_for(leaves.len() + comes.len());
            }
            sorted_keys(went, &mut gone);
            sorted_keys(came, &mut come);
            let held = &mut self.values[group as usize];
            held.change(&gone, &come, &mut self.room)?;
            changed(group as usize, held);
        }
        Ok(())
    }

    /// Puts lists in.
    pub fn add(&mut self, coming: &[Lists]) {
        let coming = self.gatherer.gather(coming, self.values.len());
        let mut come = Vec::new();
        for (group, came, _) in side_by_side(&coming, &ByGroup::default()) {
            sorted_keys(came, &mut come);
            self.values[group as usize].insert_sorted(&come, &mut self.room);
        }
    }

    /// Takes everything out of a group.
    pub fn clear(&mut self, group: usize) {
        self.values[group].clear();
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let held: usize = self.values.iter().map(SortedValues::len).sum();
        held * size_of::<f64>()
            + self.values.capacity() * size_of::<SortedValues>()
            + self.gatherer.size()
    }
}
