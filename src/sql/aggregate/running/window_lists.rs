//! The lists that a window of few panes holds, each in a slot.

use super::lists::Lists;

/// Panes of a window up to which its lists are kept apart.
const FEW_PANES: usize = 16;

/// Lists in slots.
#[derive(Debug)]
pub struct WindowLists {
    slots: Vec<Option<Lists>>,
}

/// The slots of lists that leave, and free ones for lists that come.
#[derive(Debug)]
pub struct Slots {
    /// Of what leaves.
    pub leaving: Vec<usize>,
    /// Of what comes.
    pub coming: Vec<usize>,
}

impl WindowLists {
    /// The lists of a window of so many panes, if these are few, but not one alone.
    pub fn of_panes(panes: usize) -> Option<WindowLists> {
        // What comes has a slot before what leaves has given up its own.
        let slots = vec![None; panes + 1];
        (2..=FEW_PANES).contains(&panes).then_some(WindowLists { slots })
    }

    /// How many slots there are.
    pub fn room(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are few slots: late rows come in lists of their own.
    pub fn is_few(&self) -> bool {
        self.slots.len() <= 2 * FEW_PANES
    }

    /// How many values the lists hold.
    pub fn count(&self) -> usize {
        self.slots.iter().flatten().map(Lists::count).sum()
    }

    /// The lists with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Lists)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, lists)| Some((slot, lists.as_ref()?)))
    }

    /// Finds slots, and makes new ones where none is free; none when what leaves is not there.
    pub fn slots_of(&mut self, leaving: &[Lists], coming: &[Lists]) -> Option<Slots> {
        let slot_of = |lists: &Lists| {
            let here = |held: &Option<Lists>| held.as_ref().is_some_and(|held| held.is(lists));
            self.slots.iter().position(here)
        };
        let leaving = leaving.iter().map(slot_of).collect::<Option<Vec<usize>>>()?;
        let free = (0..self.slots.len()).filter(|slot| self.slots[*slot].is_none());
        let mut free: Vec<usize> = free.take(coming.len()).collect();
        free.extend(self.slots.len()..self.slots.len() + coming.len() - free.len());
        let needed = free.last().map_or(0, |last| last + 1).max(self.slots.len());
        self.slots.resize(needed, None);
        Some(Slots { leaving, coming: free })
    }

    /// Takes lists out of their slots and puts others into theirs.
    pub fn change(&mut self, slots: &Slots, coming: Vec<Lists>) {
        slots.leaving.iter().for_each(|slot| self.slots[*slot] = None);
        slots.coming.iter().zip(coming).for_each(|(slot, lists)| self.slots[*slot] = Some(lists));
    }
}
