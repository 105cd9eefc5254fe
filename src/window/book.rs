//! The book of panes: what has been collected for windows that are open or may be revised.
//!
//! Entries are indexed by pane and by the first tick at which a window may count them (`ready`).
//! Several window shapes, and every revision of their windows, read one book.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// What has been collected, by pane.
#[derive(Debug)]
pub struct PaneBook<T> {
    by_pane: BTreeMap<i64, Vec<(i64, Arc<T>)>>,
    /// The (ready, pane) of entries that came after their pane had ended.
    late: BTreeSet<(i64, i64)>,
    /// The panes before this one are not joined any more.
    joined: i64,
}

/// A window as it was counted: its panes, and the tick up to which entries were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The panes.
    pub panes: Range<i64>,
    /// The largest `ready` that counts.
    pub bound: i64,
}

impl<T> Default for PaneBook<T> {
    fn default() -> PaneBook<T> {
        PaneBook { by_pane: BTreeMap::new(), late: BTreeSet::new(), joined: i64::MIN }
    }
}

impl<T> PaneBook<T> {
    /// Adds an entry to `pane`, to be counted from the tick `ready` on. `late` says that the pane
    /// had ended before.
    pub fn add(&mut self, pane: i64, ready: i64, late: bool, entry: Arc<T>) {
        self.by_pane.entry(pane).or_default().push((ready, entry));
        if late {
            self.late.insert((ready, pane));
        }
    }

    /// The entries that a window counts and the window before it did not.
    pub fn entering(
        &self,
        window: &Counted,
        before: Option<&Counted>,
    ) -> impl Iterator<Item = (i64, &Arc<T>)> {
        let bound = window.bound;
        let (fresh, again) = match before {
            None => (window.panes.clone(), None),
            Some(before) => {
                let fresh = before.panes.end.max(window.panes.start)..window.panes.end;
                let since = before.bound.saturating_add(1);
                let late = self.late_since(window.panes.start..fresh.start, since..=bound);
                (fresh, Some((late, since)))
            }
        };
        let again = again.into_iter().flat_map(move |(panes, since)| {
            panes.into_iter().flat_map(move |pane| self.of(pane..pane + 1, since..=bound))
        });
        self.of(fresh, i64::MIN..=bound).chain(again)
    }

    /// The panes within a range that hold late entries that are ready within another.
    fn late_since(&self, panes: Range<i64>, ready: std::ops::RangeInclusive<i64>) -> BTreeSet<i64> {
        if ready.is_empty() || panes.is_empty() {
            return BTreeSet::new();
        }
        let late = self.late.range((*ready.start(), i64::MIN)..=(*ready.end(), i64::MAX));
        late.map(|(_, pane)| *pane).filter(|pane| panes.contains(pane)).collect()
    }

    /// The entries of panes that are ready within a range.
    fn of(
        &self,
        panes: Range<i64>,
        ready: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = (i64, &Arc<T>)> {
        let panes = if panes.is_empty() { 0..0 } else { panes };
        self.by_pane.range(panes).flat_map(move |(pane, entries)| {
            let ready = ready.clone();
            let held = entries.iter().filter(move |(at, _)| ready.contains(at));
            held.map(move |(_, entry)| (*pane, entry))
        })
    }

    /// The entries that a window had counted and that leave it when it begins at `start`.
    pub fn leaving(&self, before: &Counted, start: i64) -> impl Iterator<Item = (i64, &Arc<T>)> {
        self.of(before.panes.start..start, i64::MIN..=before.bound)
    }

    /// The entries that a window counts, in the order of panes.
    pub fn within(&self, window: &Counted) -> impl Iterator<Item = (i64, &Arc<T>)> {
        self.of(window.panes.clone(), i64::MIN..=window.bound)
    }

    /// The (pane, ready) of entries from a pane on, in the order of panes.
    pub fn from(&self, pane: i64) -> impl Iterator<Item = (i64, i64)> {
        let entries = self.by_pane.range(pane..);
        entries.flat_map(|(pane, entries)| entries.iter().map(|(ready, _)| (*pane, *ready)))
    }

    /// The (pane, ready) of late entries that are ready after a tick, up to another.
    pub fn late(&self, after: i64, until: i64) -> impl Iterator<Item = (i64, i64)> {
        let first = after.saturating_add(1);
        let range =
            if first > until { (0, 0)..=(0, 0) } else { (first, i64::MIN)..=(until, i64::MAX) };
        let late = self.late.range(range);
        late.filter(move |(ready, _)| first <= *ready && *ready <= until)
            .map(|(ready, pane)| (*pane, *ready))
    }

    /// Forgets the panes before `pane`: no window will count them again.
    pub fn forget_before(&mut self, pane: i64) {
        let Some(first) = self.by_pane.keys().next().filter(|first| **first < pane).copied() else {
            return;
        };
        let kept = self.by_pane.split_off(&pane);
        self.by_pane = kept;
        if self.late.iter().any(|(_, held)| (first..pane).contains(held)) {
            self.late.retain(|(_, held)| *held >= pane);
        }
    }

    /// Joins what was on time in each pane of a range, unless the pane or one behind it has been
    /// looked at before: an entry that a window has counted must leave it as it came. Late entries
    /// stay as they are, since they come to windows that have counted their pane.
    pub fn join<E>(
        &mut self,
        panes: Range<i64>,
        mut joined: impl FnMut(&[Arc<T>]) -> Result<T, E>,
    ) -> Result<(), E> {
        let first = panes.start.max(self.joined);
        if first >= panes.end {
            return Ok(());
        }
        self.joined = panes.end;
        for (pane, entries) in self.by_pane.range_mut(first..panes.end) {
            let late = &self.late;
            let (late, on_time): (Vec<_>, Vec<_>) =
                entries.drain(..).partition(|(ready, _)| late.contains(&(*ready, *pane)));
            let ready = on_time.iter().map(|(ready, _)| *ready).max();
            if let Some(ready) = ready.filter(|_| on_time.len() > 1) {
                let alike: Vec<Arc<T>> = on_time.into_iter().map(|(_, entry)| entry).collect();
                entries.push((ready, Arc::new(joined(&alike)?)));
            } else {
                entries.extend(on_time);
            }
            entries.extend(late);
        }
        Ok(())
    }

    /// How many panes hold something.
    pub fn panes(&self) -> usize {
        self.by_pane.len()
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_pane.values().flatten().map(|(_, entry)| entry)
    }

    /// Every entry, to be replaced.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Arc<T>> {
        self.by_pane.values_mut().flatten().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(entries: impl Iterator<Item = (i64, &'a Arc<&'static str>)>) -> Vec<&'static str> {
        entries.map(|(_, name)| **name).collect()
    }

    fn window(panes: Range<i64>, bound: i64) -> Counted {
        Counted { panes, bound }
    }

    #[test]
    fn entries_enter_when_ready_and_leave_with_their_pane() {
        let mut book = PaneBook::default();
        book.add(0, 1, false, Arc::new("on time"));
        book.add(0, 3, true, Arc::new("late for two windows"));
        book.add(2, 3, false, Arc::new("next"));
        let [first, second, third] = [window(-3..1, 1), window(-2..2, 2), window(-1..3, 3)];
        assert_eq!(names(book.entering(&first, None)), ["on time"]);
        assert_eq!(names(book.entering(&second, Some(&first))), Vec::<&str>::new());
        assert_eq!(names(book.entering(&third, Some(&second))), ["next", "late for two windows"]);
        assert_eq!(names(book.leaving(&third, 1)), ["on time", "late for two windows"]);
        assert_eq!(names(book.leaving(&second, 1)), ["on time"]);
        assert_eq!(book.late(1, 9).collect::<Vec<_>>(), [(0, 3)]);
        assert_eq!(book.late(3, 9).count(), 0);
        assert_eq!(book.from(1).collect::<Vec<_>>(), [(2, 3)]);
        book.forget_before(1);
        assert_eq!(names(book.within(&third)), ["next"]);
        assert_eq!(book.late(i64::MIN, i64::MAX).count(), 0);
        assert_eq!(book.panes(), 1);
    }

    #[test]
    fn what_is_on_time_is_joined_once() {
        let mut book = PaneBook::default();
        let add = |book: &mut PaneBook<String>, pane, ready, name: &str| {
            book.add(pane, ready, ready > pane + 1, Arc::new(name.to_owned()));
        };
        let join = |book: &mut PaneBook<String>, panes| {
            let join = |alike: &[Arc<String>]| {
                let names: Vec<&str> = alike.iter().map(|name| name.as_str()).collect();
                Ok::<_, ()>(names.join("+"))
            };
            book.join(panes, join).unwrap();
            let all = window(0..3, i64::MAX);
            book.within(&all).map(|(_, name)| name.to_string()).collect::<Vec<String>>()
        };
        for (pane, ready, name) in
            [(0, 1, "a"), (0, 2, "late"), (0, 1, "c"), (1, 2, "d"), (2, 3, "e"), (2, 3, "f")]
        {
            add(&mut book, pane, ready, name);
        }
        assert_eq!(join(&mut book, 0..2), ["a+c", "late", "d", "e", "f"]);
        add(&mut book, 0, 2, "later");
        add(&mut book, 1, 2, "g");
        assert_eq!(join(&mut book, 0..3), ["a+c", "late", "later", "d", "g", "e+f"]);
    }

    #[test]
    fn a_revised_window_takes_in_what_was_late_for_it() {
        let mut book = PaneBook::default();
        book.add(0, 1, false, Arc::new("on time"));
        book.add(0, 2, true, Arc::new("late by one"));
        book.add(1, 2, false, Arc::new("next pane"));
        book.add(1, 3, true, Arc::new("next pane, late"));
        // Revisions that reach one tick beyond each window's end.
        let (first, second) = (window(0..1, 2), window(1..2, 3));
        assert_eq!(names(book.entering(&first, None)), ["on time", "late by one"]);
        assert_eq!(names(book.leaving(&first, 1)), ["on time", "late by one"]);
        let entering = names(book.entering(&second, Some(&first)));
        assert_eq!(entering, ["next pane", "next pane, late"]);
    }
}
