//! The book of panes: what has been collected for windows that are open or may be revised.
//!
//! Entries are indexed by pane and by the first tick at which a window may count them (`ready`).
//! Several window shapes, and every revision of their windows, read one book. What comes for the same
//! pane and tick is kept together, in few parts, until a window has counted it: what a window has
//! counted must leave it as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::layers::{Layers, Weigh};

/// What has been collected, by pane.
#[derive(Debug)]
pub struct PaneBook<T> {
    by_pane: BTreeMap<i64, Vec<PaneEntries<T>>>,
    /// The (ready, pane) of entries that came after their pane had ended.
    late: BTreeSet<(i64, i64)>,
    /// What was on time in the panes before this one has been counted.
    joined: i64,
    /// Late entries that are ready at or before this tick have been counted.
    counted: i64,
    /// Bytes of all entries.
    weight: usize,
}

/// What came for a pane and may be counted from one tick on.
#[derive(Debug)]
struct PaneEntries<T> {
    ready: i64,
    layers: Layers<T>,
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
        PaneBook {
            by_pane: BTreeMap::new(),
            late: BTreeSet::new(),
            joined: i64::MIN,
            counted: i64::MIN,
            weight: 0,
        }
    }
}

impl<T: Weigh> PaneBook<T> {
    /// Adds an entry to `pane`, to be counted from the tick `ready` on. `late` says that the pane
    /// had ended before; `join` makes one entry of several.
    pub fn add<E>(
        &mut self,
        (pane, ready, late): (i64, i64, bool),
        entry: Arc<T>,
        join: impl FnMut(&[Arc<T>]) -> Result<T, E>,
    ) -> Result<(), E> {
        if late {
            self.late.insert((ready, pane));
        }
        let is_counted = if late { ready <= self.counted } else { pane < self.joined };
        let held = self.by_pane.entry(pane).or_default();
        let place = held.iter().rposition(|entries| entries.ready == ready && !is_counted);
        let place = place.unwrap_or_else(|| {
            held.push(PaneEntries { ready, layers: Layers::default() });
            held.len() - 1
        });
        let layers = &mut held[place].layers;
        let before = layers.weight();
        let added = layers.add(entry, join);
        self.weight = self.weight - before + layers.weight();
        added
    }

    /// Joins what a window that counts up to `bound` is about to count for the first time: what was
    /// on time in the panes of a range, where its parts are `worth` it, and what came late for any
    /// pane.
    pub fn join<E>(
        &mut self,
        panes: Range<i64>,
        bound: i64,
        worth: impl Fn(&Layers<T>) -> bool,
        mut join: impl FnMut(&[Arc<T>]) -> Result<T, E>,
    ) -> Result<(), E> {
        if bound > self.counted {
            let since = self.counted.saturating_add(1);
            let late = self.late.range((since, i64::MIN)..=(bound, i64::MAX));
            for (ready, pane) in late {
                let held = self.by_pane.get_mut(pane).into_iter().flatten();
                for entries in held.filter(|entries| entries.ready == *ready) {
                    entries.fold(&mut self.weight, &mut join)?;
                }
            }
            self.counted = bound;
        }
        let first = panes.start.max(self.joined);
        if first >= panes.end {
            return Ok(());
        }
        self.joined = panes.end;
        for (pane, held) in self.by_pane.range_mut(first..panes.end) {
            let late = &self.late;
            let on_time = held.iter_mut().filter(|held| !late.contains(&(held.ready, *pane)));
            for entries in on_time.filter(|entries| worth(&entries.layers)) {
                entries.fold(&mut self.weight, &mut join)?;
            }
        }
        Ok(())
    }

    /// Bytes of all entries.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Forgets the panes before `pane`: no window will count them again.
    pub fn forget_before(&mut self, pane: i64) {
        let Some(first) = self.by_pane.keys().next().filter(|first| **first < pane).copied() else {
            return;
        };
        let kept = self.by_pane.split_off(&pane);
        let gone = std::mem::replace(&mut self.by_pane, kept);
        let gone = gone.values().flatten().map(|entries| entries.layers.weight());
        self.weight -= gone.sum::<usize>();
        if self.late.iter().any(|(_, held)| (first..pane).contains(held)) {
            self.late.retain(|(_, held)| *held >= pane);
        }
    }
}

impl<T: Weigh> PaneEntries<T> {
    fn fold<E>(
        &mut self,
        weight: &mut usize,
        join: impl FnMut(&[Arc<T>]) -> Result<T, E>,
    ) -> Result<(), E> {
        let before = self.layers.weight();
        let folded = self.layers.fold(join);
        *weight = *weight - before + self.layers.weight();
        folded
    }
}

impl<T> PaneBook<T> {
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
            let held = entries.iter().filter(move |held| ready.contains(&held.ready));
            held.flat_map(|held| held.layers.iter()).map(move |entry| (*pane, entry))
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
        entries.flat_map(|(pane, entries)| entries.iter().map(|held| (*pane, held.ready)))
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

    /// How many panes hold something.
    pub fn panes(&self) -> usize {
        self.by_pane.len()
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_pane.values().flatten().flat_map(|held| held.layers.iter())
    }

    /// Every entry, to be replaced by others that weigh the same.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Arc<T>> {
        self.by_pane.values_mut().flatten().flat_map(|held| held.layers.iter_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for &'static str {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    impl Weigh for String {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    /// Entries that are never joined.
    fn apart<T>(_: &[Arc<T>]) -> Result<T, ()> {
        Err(())
    }

    fn names<'a>(entries: impl Iterator<Item = (i64, &'a Arc<&'static str>)>) -> Vec<&'static str> {
        entries.map(|(_, name)| **name).collect()
    }

    fn window(panes: Range<i64>, bound: i64) -> Counted {
        Counted { panes, bound }
    }

    #[test]
    fn entries_enter_when_ready_and_leave_with_their_pane() {
        let mut book = PaneBook::default();
        book.add((0, 1, false), Arc::new("on time"), apart).unwrap();
        book.add((0, 3, true), Arc::new("late for two windows"), apart).unwrap();
        book.add((2, 3, false), Arc::new("next"), apart).unwrap();
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
            let late = ready > pane + 1;
            book.add((pane, ready, late), Arc::new(name.to_owned()), apart).unwrap();
        };
        let join = |book: &mut PaneBook<String>, panes, bound| {
            let join = |alike: &[Arc<String>]| {
                let names: Vec<&str> = alike.iter().map(|name| name.as_str()).collect();
                Ok::<_, ()>(names.join("+"))
            };
            book.join(panes, bound, |_| true, join).unwrap();
            let all = window(0..3, i64::MAX);
            book.within(&all).map(|(_, name)| name.to_string()).collect::<Vec<String>>()
        };
        for (pane, ready, name) in
            [(0, 1, "a"), (0, 2, "late"), (0, 1, "c"), (1, 2, "d"), (2, 3, "e"), (2, 3, "f")]
        {
            add(&mut book, pane, ready, name);
        }
        assert_eq!(join(&mut book, 0..2, 1), ["a+c", "late", "d", "e", "f"]);
        assert_eq!(book.weight(), 10);
        add(&mut book, 0, 2, "later");
        add(&mut book, 1, 2, "g");
        assert_eq!(join(&mut book, 0..3, 2), ["a+c", "late+later", "d", "g", "e+f"]);
        // What has been counted stays as it was counted.
        add(&mut book, 0, 2, "latest");
        assert_eq!(join(&mut book, 0..3, 2), ["a+c", "late+later", "latest", "d", "g", "e+f"]);
        book.forget_before(2);
        assert_eq!((book.weight(), book.panes()), (3, 1));
    }

    #[test]
    fn a_revised_window_takes_in_what_was_late_for_it() {
        let mut book = PaneBook::default();
        book.add((0, 1, false), Arc::new("on time"), apart).unwrap();
        book.add((0, 2, true), Arc::new("late by one"), apart).unwrap();
        book.add((1, 2, false), Arc::new("next pane"), apart).unwrap();
        book.add((1, 3, true), Arc::new("next pane, late"), apart).unwrap();
        // Revisions that reach one tick beyond each window's end.
        let (first, second) = (window(0..1, 2), window(1..2, 3));
        assert_eq!(names(book.entering(&first, None)), ["on time", "late by one"]);
        assert_eq!(names(book.leaving(&first, 1)), ["on time", "late by one"]);
        let entering = names(book.entering(&second, Some(&first)));
        assert_eq!(entering, ["next pane", "next pane, late"]);
    }
}
