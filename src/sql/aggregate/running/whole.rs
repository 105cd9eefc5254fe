//! The lists of a window that shares no panes with another: such a window is mostly filled, read
//! and emptied, so its values are sorted when it is read, and kept in no order. Lists may leave it
//! as they may any window, at the price of sorting what is left.

use super::lists::{Lists, sorted_keys};
use super::side_by_side::{ByGroup, Gatherer, side_by_side};

/// A window's lists, as they came.
#[derive(Debug, Default)]
pub struct Whole {
    lists: Vec<Lists>,
    gatherer: Gatherer,
}

impl Whole {
    /// Takes lists out and puts others in, and tells each group of the window, and each that had
    /// values in it, with the keys of its values, ascending. `None` when what leaves is not there.
    /// All groups lie below `total`.
    pub fn change(
        &mut self,
        leaving: &[Lists],
        coming: Vec<Lists>,
        total: usize,
        mut tell: impl FnMut(usize, &[i64]),
    ) -> Option<()> {
        for lists in leaving {
            let place = self.lists.iter().position(|held| held.is(lists))?;
            self.lists.swap_remove(place);
            lists.groups().iter().for_each(|group| tell(*group as usize, &[]));
        }
        self.lists.extend(coming);
        let held = self.gatherer.gather(&self.lists, total);
        let mut keys = Vec::new();
        for (group, values, _) in side_by_side(&held, &ByGroup::default()) {
            sorted_keys(values, &mut keys);
            tell(group as usize, &keys);
        }
        Some(())
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.lists.clear();
    }

    /// Bytes held. The values are those of the panes, which hold them at least as long.
    pub fn size(&self) -> usize {
        let groups: usize = self.lists.iter().map(|lists| lists.groups().len()).sum();
        groups * size_of::<u32>() + self.gatherer.size()
    }
}
