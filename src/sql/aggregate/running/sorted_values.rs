//! A multiset of doubles in order, changed many values at a time.
//!
//! What enters and leaves comes sorted, so that a run of the multiset is walked once for all of it:
//! the values are searched for side by side, and what lies between two of them moves by one
//! `memmove`.

use std::ops::Range;

use prefetch_index::prefetch_index;

use crate::sql::aggregate::functions::percentile::{from_sortable, interpolate};

/// Values in a run before it divides; a run of 4 KiB stays in the first cache while it is changed.
const RUN_LIMIT: usize = 512;

/// Keys in a line of the cache.
const KEYS_IN_A_LINE: usize = 8;

/// A change looks at some keys of this many.
const CHANGES_TO_WALK: usize = 16;

/// Values beyond which a group's memory is not asked for before its turn: it would be out of the
/// cache again when that has come.
const MOST_ASKED_FOR: usize = 8 << 10;

/// Room to work in, for many multisets.
#[derive(Debug, Default)]
pub struct Room {
    places: Vec<usize>,
    kept: Vec<i64>,
}

/// A multiset of sortable integers, ascending, in runs of at most [`RUN_LIMIT`], of which only
/// a single one may be empty.
#[derive(Clone, Debug, Default)]
pub struct SortedValues {
    runs: Vec<Vec<i64>>,
    len: usize,
}

impl SortedValues {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes everything out, keeping the first run's memory unless it is large.
    pub fn clear(&mut self) {
        self.runs.truncate(1);
        match self.runs.first_mut() {
            Some(run) if run.capacity() <= RUN_LIMIT => run.clear(),
            Some(_) | None => self.runs.clear(),
        }
        self.len = 0;
    }

    /// Takes values out and adds others, both in ascending order; `Err` with the first that is not
    /// there.
    pub fn change(&mut self, gone: &[i64], come: &[i64], room: &mut Room) -> Result<(), i64> {
        let walks = self.walks(gone.len() + come.len());
        if walks && self.len > MOST_ASKED_FOR {
            self.look_at();
        }
        if let [run] = self.runs.as_mut_slice()
            && walks
        {
            change_run(run, gone, come, room)?;
            self.len = run.len();
            self.divide(0);
            return Ok(());
        }
        self.remove_sorted(gone, &mut room.places)?;
        self.insert_sorted(come, room);
        Ok(())
    }

    /// Whether so many changes touch most of what it holds.
    fn walks(&self, changes: usize) -> bool {
        changes * CHANGES_TO_WALK >= self.len
    }

    /// Asks for the memory that so many changes will soon touch: what many groups hold is not in
    /// the processor's cache when one's turn comes, and a search waits for one miss after the other.
    pub fn ask_for(&self, changes: usize) {
        if self.len <= MOST_ASKED_FOR && (self.len <= RUN_LIMIT || self.walks(changes)) {
            for run in &self.runs {
                (0..run.len()).step_by(KEYS_IN_A_LINE).for_each(|place| prefetch_index(run, place));
            }
        }
    }

    /// Brings what it holds into the cache: a search waits for one miss after the other, this waits
    /// for all of them together.
    fn look_at(&self) {
        let keys = self.runs.iter().flat_map(|run| run.iter().step_by(KEYS_IN_A_LINE));
        std::hint::black_box(keys.fold(0, |seen, key| seen ^ key));
    }

    /// Adds values, which come in ascending order.
    pub fn insert_sorted(&mut self, mut come: &[i64], room: &mut Room) {
        self.len += come.len();
        if self.runs.is_empty() && !come.is_empty() {
            self.runs.push(Vec::new());
        }
        let mut index = 0;
        while !come.is_empty() {
            let here = if index + 1 == self.runs.len() {
                come.len()
            } else {
                let last = self.runs[index].last().copied().unwrap_or(i64::MIN);
                come.partition_point(|value| *value <= last)
            };
            let (mine, rest) = come.split_at(here);
            come = rest;
            merge_into(&mut self.runs[index], mine, &mut room.places);
            index += self.divide(index);
        }
    }

    /// Divides a run that has become too long; gives how many runs stand in its place.
    fn divide(&mut self, index: usize) -> usize {
        let length = self.runs[index].len();
        if length <= RUN_LIMIT {
            return 1;
        }
        let each = length.div_ceil(length.div_ceil(RUN_LIMIT / 2));
        // Copies, so that no piece keeps the memory of the whole.
        let long = std::mem::take(&mut self.runs[index]);
        let pieces: Vec<Vec<i64>> = long.chunks(each).map(<[i64]>::to_vec).collect();
        let held = pieces.len();
        self.runs.splice(index..=index, pieces);
        held
    }

    /// Takes values out, which come in ascending order; `Err` with the first that is not there.
    /// `places` is room to work in.
    fn remove_sorted(&mut self, mut gone: &[i64], places: &mut Vec<usize>) -> Result<(), i64> {
        let mut index = 0;
        while let Some(next) = gone.first() {
            let ahead = self.runs[index..]
                .partition_point(|run| run.last().is_some_and(|last| last < next));
            index += ahead;
            let Some(run) = self.runs.get_mut(index) else { return Err(*next) };
            let last = run.last().copied().unwrap_or(i64::MIN);
            // No more than it may hold: of many equal values, each run would look for all.
            let here = gone.partition_point(|value| *value <= last).min(run.len());
            let taken = take_from(run, &gone[..here], places);
            if taken == 0 {
                return Err(*next);
            }
            self.len -= taken;
            gone = &gone[taken..];
            self.join(index);
        }
        Ok(())
    }

    /// Drops a run that has become empty, and joins a short one with the next.
    fn join(&mut self, index: usize) {
        if self.runs[index].is_empty() {
            if self.runs.len() > 1 {
                self.runs.remove(index);
            }
            return;
        }
        let next = self.runs.get(index + 1).map_or(RUN_LIMIT, Vec::len);
        if self.runs[index].len() + next <= RUN_LIMIT / 2 {
            let next = self.runs.remove(index + 1);
            self.runs[index].extend(next);
        }
    }

    /// The value of a rank.
    fn at(&self, rank: usize) -> f64 {
        let mut rest = rank;
        for run in &self.runs {
            if let Some(key) = run.get(rest) {
                return from_sortable(*key);
            }
            rest -= run.len();
        }
        f64::NAN
    }

    /// The continuous percentile, none of no values.
    pub fn percentile(&self, q: f64) -> Option<f64> {
        match self.runs.as_slice() {
            [only] => interpolate(only.len(), q, |rank| from_sortable(only[rank])),
            _ => interpolate(self.len, q, |rank| self.at(rank)),
        }
    }
}

/// Takes ascending values out of a run and merges others into it: the run is walked twice, from it
/// into `room` and back.
fn change_run(run: &mut Vec<i64>, gone: &[i64], come: &[i64], room: &mut Room) -> Result<(), i64> {
    let held = run.len();
    find_places::<false>(run, gone, &mut room.places);
    run.resize(held + BLOCK, 0);
    room.kept.resize(room.kept.len().max(held + BLOCK), 0);
    let (mut read, mut write) = (0, 0);
    for (value, place) in gone.iter().zip(&room.places) {
        // Of equal values the next one.
        let place = read.max(*place);
        if place >= held || run[place] != *value {
            run.truncate(held);
            return Err(*value);
        }
        copy_blocks(run, read..place, &mut room.kept, write);
        write += place - read;
        read = place + 1;
    }
    let kept = write + held - read;
    room.kept[write..kept].copy_from_slice(&run[read..held]);
    find_places::<true>(&room.kept[..kept], come, &mut room.places);
    room.kept.resize(room.kept.len().max(kept + BLOCK), 0);
    run.resize(kept + come.len() + BLOCK, 0);
    (read, write) = (0, 0);
    for (value, place) in come.iter().zip(&room.places) {
        copy_blocks(&room.kept, read..*place, run, write);
        write += place - read;
        run[write] = *value;
        write += 1;
        read = *place;
    }
    run[write..kept + come.len()].copy_from_slice(&room.kept[read..kept]);
    run.truncate(kept + come.len());
    Ok(())
}

/// Keys that are copied at once.
const BLOCK: usize = 16;

/// Copies `from[range]` to `to[at..]`, block by block, up to a block more than asked for: pieces of
/// a run are of random lengths, and a processor that guesses each of them wrong takes longer than
/// copying what is overwritten afterwards.
#[inline(always)]
fn copy_blocks(from: &[i64], range: Range<usize>, to: &mut [i64], at: usize) {
    let (mut read, mut write) = (range.start, at);
    loop {
        to[write..write + BLOCK].copy_from_slice(&from[read..read + BLOCK]);
        read += BLOCK;
        write += BLOCK;
        if read >= range.end {
            return;
        }
    }
}

/// Merges ascending values into an ascending run, from its end, in place.
fn merge_into(run: &mut Vec<i64>, come: &[i64], places: &mut Vec<usize>) {
    let mut end = run.len();
    if end == 0 {
        run.extend_from_slice(come);
        return;
    }
    find_places::<true>(run, come, places);
    let mut write = end + come.len();
    run.resize(write, 0);
    for (value, place) in come.iter().zip(places.iter()).rev() {
        let moved = end - place;
        run.copy_within(*place..end, write - moved);
        write -= moved + 1;
        run[write] = *value;
        end = *place;
    }
}

/// Takes out of an ascending run what it holds of the first of some ascending values; gives how
/// many it held, which is fewer when one is not there.
fn take_from(run: &mut Vec<i64>, gone: &[i64], places: &mut Vec<usize>) -> usize {
    find_places::<false>(run, gone, places);
    let (mut read, mut write, mut taken) = (0, 0, 0);
    for (value, place) in gone.iter().zip(places.iter()) {
        // Of equal values the next one.
        let place = read.max(*place);
        if run.get(place) != Some(value) {
            break;
        }
        if taken > 0 {
            run.copy_within(read..place, write);
        }
        write += place - read;
        read = place + 1;
        taken += 1;
    }
    if taken > 0 {
        run.copy_within(read.., write);
        run.truncate(run.len() - taken);
    }
    taken
}

/// Values that are searched for at once.
const LANES: usize = 8;

/// The place of each value in an ascending run: before equal ones, or behind them.
fn find_places<const BEHIND: bool>(run: &[i64], values: &[i64], places: &mut Vec<usize>) {
    places.clear();
    for some in values.chunks(LANES) {
        let mut lanes = [0; LANES];
        lanes[..some.len()].copy_from_slice(some);
        let found = search::<BEHIND>(run, &lanes);
        places.extend_from_slice(&found[..some.len()]);
    }
}

/// Binary searches side by side, without branches: none waits for another.
#[inline(always)]
fn search<const BEHIND: bool>(run: &[i64], values: &[i64; LANES]) -> [usize; LANES] {
    let is_right = |held: i64, value: i64| if BEHIND { held <= value } else { held < value };
    let mut places = [0; LANES];
    let mut size = run.len();
    while size > 1 {
        let half = size / 2;
        for (place, value) in places.iter_mut().zip(values) {
            let middle = *place + half;
            let right = is_right(run[middle], *value);
            *place = std::hint::select_unpredictable(right, middle, *place);
        }
        size -= half;
    }
    for (place, value) in places.iter_mut().zip(values) {
        let held = run.get(*place);
        *place += usize::from(held.is_some_and(|held| is_right(*held, *value)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::aggregate::functions::percentile::to_sortable;
    use proptest::prelude::*;

    fn sorted(values: impl IntoIterator<Item = i32>) -> Vec<i64> {
        let mut keys: Vec<i64> =
            values.into_iter().map(|value| to_sortable(f64::from(value))).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_is_not_there_cannot_leave() {
        let mut held = SortedValues::default();
        assert_eq!(held.remove_sorted(&[3], &mut Vec::new()), Err(3));
        held.insert_sorted(&[1, 2, 2], &mut Room::default());
        assert_eq!(held.remove_sorted(&[2, 2, 2], &mut Vec::new()), Err(2));
        assert_eq!(held.remove_sorted(&[7], &mut Vec::new()), Err(7));
        let mut room = Room::default();
        assert_eq!(held.change(&[], &[1, 2, 2, 3], &mut room), Ok(()));
        assert_eq!(held.change(&[2, 2, 2], &[5], &mut room), Err(2));
        assert_eq!(held.change(&[4], &[5], &mut room), Err(4));
        assert_eq!(held.change(&[9], &[5], &mut room), Err(9));
    }

    #[test]
    fn one_value_many_times_leaves_over_many_runs() {
        let mut held = SortedValues::default();
        held.insert_sorted(&[9; 2_000], &mut Room::default());
        held.insert_sorted(&[9; 30], &mut Room::default());
        assert_eq!(held.remove_sorted(&[9; 1_999], &mut Vec::new()), Ok(()));
        assert_eq!((held.len(), held.runs.concat()), (31, vec![9; 31]));
    }

    #[test]
    fn many_values_at_once_take_no_more_memory_than_they_need() {
        let mut held = SortedValues::default();
        let values: Vec<i64> = (0..100_000).collect();
        held.insert_sorted(&values, &mut Room::default());
        let capacity: usize = held.runs.iter().map(Vec::capacity).sum();
        assert!(capacity < 2 * values.len(), "{capacity}");
        assert_eq!(held.runs.concat(), values);
    }

    /// Few or many, so that multisets of one run and of several are changed.
    fn some_values() -> impl Strategy<Value = Vec<i32>> {
        let few = prop::collection::vec(0i32..400, 0..200);
        prop_oneof![3 => few, 1 => prop::collection::vec(0i32..400, 0..900)]
    }

    proptest! {
        /// Against a list that is sorted anew after every change.
        #[test]
        fn a_sorted_multiset_is_a_sorted_list(
            changes in prop::collection::vec(
                (some_values(), any::<prop::sample::Selector>(), 0usize..900),
                1..12,
            ),
            q in 0.0f64..=1.0,
        ) {
            let (mut held, mut room) = (SortedValues::default(), Room::default());
            let mut expected: Vec<i32> = Vec::new();
            for (come, pick, leave) in changes {
                let mut gone = Vec::new();
                for _ in 0..leave.min(expected.len()) {
                    let place = pick.select(0..expected.len());
                    gone.push(expected.swap_remove(place));
                }
                let (gone, keys) = (sorted(gone), sorted(come.iter().copied()));
                prop_assert_eq!(held.change(&gone, &keys, &mut room), Ok(()));
                expected.extend(come);
                prop_assert_eq!(held.len(), expected.len());
                let listed = sorted(expected.iter().copied());
                prop_assert_eq!(&held.runs.concat(), &listed);
                prop_assert!(held.runs.iter().all(|run| run.len() <= RUN_LIMIT));
                prop_assert!(held.runs.len() <= 1 || held.runs.iter().all(|run| !run.is_empty()));
                let want = interpolate(listed.len(), q, |rank| from_sortable(listed[rank]));
                prop_assert_eq!(held.percentile(q), want);
            }
        }

        /// Places are those of the standard library's search.
        #[test]
        fn places_are_found_side_by_side(
            run in prop::collection::vec(0i32..60, 0..200),
            values in prop::collection::vec(-1i32..61, 0..40),
        ) {
            let (run, values) = (sorted(run), sorted(values));
            let (mut before, mut behind) = (Vec::new(), Vec::new());
            find_places::<false>(&run, &values, &mut before);
            find_places::<true>(&run, &values, &mut behind);
            let place = |value: &i64| run.partition_point(|held| held < value);
            prop_assert_eq!(before, values.iter().map(place).collect::<Vec<_>>());
            let place = |value: &i64| run.partition_point(|held| held <= value);
            prop_assert_eq!(behind, values.iter().map(place).collect::<Vec<_>>());
        }
    }
}
