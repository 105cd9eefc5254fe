//! The book of panes: what has been collected for windows that have not closed yet.
//!
//! Entries are indexed by pane, to leave a window, and by the first window end that may count
//! them (`ready`), to enter one. Several window shapes read one book.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What has been collected, by pane.
#[derive(Debug)]
pub struct PaneBook<T> {
    by_ready: BTreeMap<i64, Vec<(i64, Arc<T>)>>,
    by_pane: BTreeMap<i64, Vec<(i64, Arc<T>)>>,
}

impl<T> Default for PaneBook<T> {
    fn default() -> PaneBook<T> {
        PaneBook { by_ready: BTreeMap::new(), by_pane: BTreeMap::new() }
    }
}

impl<T> PaneBook<T> {
    /// Adds an entry to `pane`, to be counted by windows that end at `ready` or later.
    pub fn add(&mut self, pane: i64, ready: i64, entry: Arc<T>) {
        self.by_ready.entry(ready).or_default().push((pane, Arc::clone(&entry)));
        self.by_pane.entry(pane).or_default().push((ready, entry));
    }

    /// The entries that enter the window over `panes` when the window before it ended at
    /// `previous_end`: ready since, and within the panes.
    pub fn entering(
        &self,
        panes: Range<i64>,
        previous_end: i64,
    ) -> impl Iterator<Item = (i64, &Arc<T>)> {
        self.by_ready
            .range(previous_end.saturating_add(1)..=panes.end)
            .flat_map(|(_, entries)| entries)
            .filter(move |(pane, _)| panes.contains(pane))
            .map(|(pane, entry)| (*pane, entry))
    }

    /// The entries of `panes` that had entered a window that ended at `counted_by`.
    pub fn leaving(
        &self,
        panes: Range<i64>,
        counted_by: i64,
    ) -> impl Iterator<Item = (i64, &Arc<T>)> {
        self.by_pane.range(panes).flat_map(move |(pane, entries)| {
            entries
                .iter()
                .filter(move |(ready, _)| *ready <= counted_by)
                .map(move |(_, entry)| (*pane, entry))
        })
    }

    /// The entries that a window over `panes` counts, in the order of panes.
    pub fn within(&self, panes: Range<i64>) -> impl Iterator<Item = (i64, &Arc<T>)> {
        let end = panes.end;
        self.leaving(panes, end)
    }

    /// The (pane, ready) of entries that become ready after `end`, soonest first.
    pub fn after(&self, end: i64) -> impl Iterator<Item = (i64, i64)> {
        self.by_ready
            .range(end.saturating_add(1)..)
            .flat_map(|(ready, entries)| entries.iter().map(|(pane, _)| (*pane, *ready)))
    }

    /// Forgets the panes before `pane`: no window will count them again.
    pub fn forget_before(&mut self, pane: i64) {
        let kept = self.by_pane.split_off(&pane);
        let forgotten = std::mem::replace(&mut self.by_pane, kept);
        for (gone, entries) in forgotten {
            for (ready, _) in entries {
                if let Some(list) = self.by_ready.get_mut(&ready) {
                    list.retain(|(pane, _)| *pane != gone);
                    if list.is_empty() {
                        self.by_ready.remove(&ready);
                    }
                }
            }
        }
    }

    /// How many panes hold something.
    pub fn panes(&self) -> usize {
        self.by_pane.len()
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_pane.values().flatten().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(entries: impl Iterator<Item = (i64, &'a Arc<&'static str>)>) -> Vec<&'static str> {
        entries.map(|(_, name)| **name).collect()
    }

    #[test]
    fn entries_enter_when_ready_and_leave_with_their_pane() {
        let mut book = PaneBook::default();
        book.add(0, 1, Arc::new("on time"));
        book.add(0, 3, Arc::new("late for two windows"));
        book.add(2, 3, Arc::new("next"));
        assert_eq!(names(book.entering(-3..1, i64::MIN)), ["on time"]);
        assert_eq!(names(book.entering(-2..2, 1)), Vec::<&str>::new());
        assert_eq!(names(book.entering(-1..3, 2)), ["late for two windows", "next"]);
        assert_eq!(names(book.leaving(0..1, 3)), ["on time", "late for two windows"]);
        assert_eq!(names(book.leaving(0..1, 2)), ["on time"]);
        assert_eq!(book.after(1).collect::<Vec<_>>(), [(0, 3), (2, 3)]);
        book.forget_before(1);
        assert_eq!(names(book.within(-1..3)), ["next"]);
        assert_eq!(book.after(i64::MIN).collect::<Vec<_>>(), [(2, 3)]);
        assert_eq!(book.panes(), 1);
    }
}
