//! A multiset of doubles in order, changed many values at a time.
//!
//! What enters and leaves comes sorted, so that a run of the multiset is walked once for all of it:
//! each value costs a search in what is left of the run, and the values between two of them move
//! by one `memmove`.

use crate::sql::functions::percentile::interpolate;

/// Values in a run before it divides; a run of 4 KiB stays in the first cache while it is changed.
const RUN_LIMIT: usize = 512;

/// Keys in a line of the cache.
const KEYS_IN_A_LINE: usize = 8;

/// With a change to so many values or fewer, all of them are written anew.
const CHANGES_TO_WALK: usize = 16;

/// A double as an integer that sorts as `f64::total_cmp` does.
#[inline(always)]
pub fn to_sortable(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The double of a sortable integer.
#[inline(always)]
pub fn from_sortable(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
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

    /// Brings what it holds into the cache: a search waits for one miss after the other, this waits
    /// for all of them together.
    fn look_at(&self) {
        let keys = self.runs.iter().flat_map(|run| run.iter().step_by(KEYS_IN_A_LINE));
        std::hint::black_box(keys.fold(0, |seen, key| seen ^ key));
    }

    /// Adds and takes out values, which come in ascending order; `Err` with the first to leave that
    /// is not there.
    pub fn change(&mut self, come: &[i64], gone: &[i64], scratch: &mut Scratch) -> Result<(), i64> {
        if (come.len() + gone.len()) * CHANGES_TO_WALK < self.len || self.is_empty() {
            self.insert_sorted(come);
            return self.remove_sorted(gone);
        }
        self.look_at();
        let (mut come, mut gone) = (come, gone);
        let mut index = 0;
        while index < self.runs.len() {
            let here = |values: &[i64]| match self.runs.get(index + 1) {
                Some(_) => values.partition_point(|value| Some(value) <= self.runs[index].last()),
                None => values.len(),
            };
            let ((coming, come_rest), (going, gone_rest)) =
                (come.split_at(here(come)), gone.split_at(here(gone)));
            if !rewrite(&mut self.runs[index], coming, going, scratch) {
                // One of several equal values lies in the next run, or one comes and goes at once.
                self.insert_sorted(come);
                return self.remove_sorted(gone);
            }
            self.len = self.len + coming.len() - going.len();
            (come, gone) = (come_rest, gone_rest);
            index += self.divide(index);
        }
        self.tidy();
        Ok(())
    }

    /// Drops runs that have become empty, and joins short ones.
    fn tidy(&mut self) {
        let mut index = 0;
        while index + 1 < self.runs.len() {
            let held = self.runs.len();
            self.join(index);
            index += usize::from(self.runs.len() == held);
        }
        self.join(index);
    }

    /// Adds values, which come in ascending order.
    pub fn insert_sorted(&mut self, mut come: &[i64]) {
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
            merge_into(&mut self.runs[index], mine);
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
    pub fn remove_sorted(&mut self, mut gone: &[i64]) -> Result<(), i64> {
        let mut index = 0;
        while let Some(next) = gone.first() {
            let ahead = self.runs[index..]
                .partition_point(|run| run.last().is_some_and(|last| last < next));
            index += ahead;
            let Some(run) = self.runs.get_mut(index) else { return Err(*next) };
            let taken = take_from(run, gone);
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

/// What [`SortedValues::change`] works with; kept, so that it is not made for each.
#[derive(Debug, Default)]
pub struct Scratch {
    coming: Vec<usize>,
    going: Vec<usize>,
    /// By place in the run, how many values come before it.
    come_before: Vec<usize>,
    /// By place in the run, how many values before it go.
    gone_before: Vec<usize>,
    out: Vec<i64>,
}

/// Writes an ascending run anew with values that come and without values that go; false, and
/// nothing changed, when one of these is not there.
///
/// Where each value comes or goes is found for several at once, and then every value of the run is
/// put where it follows from these places. Neither depends on a comparison that the processor would
/// have to guess.
fn rewrite(run: &mut Vec<i64>, come: &[i64], gone: &[i64], scratch: &mut Scratch) -> bool {
    let Scratch { coming, going, come_before, gone_before, out } = scratch;
    find_places::<true>(run, come, coming);
    find_places::<false>(run, gone, going);
    come_before.clear();
    come_before.resize(run.len() + 1, 0);
    gone_before.clear();
    gone_before.resize(run.len() + 1, 0);
    let mut next = 0;
    for (value, place) in gone.iter().zip(going.iter()) {
        // Of equal values the next one.
        let place = next.max(*place);
        if run.get(place) != Some(value) {
            return false;
        }
        next = place + 1;
        gone_before[next] = 1;
    }
    let mut before = 0;
    for held in gone_before.iter_mut() {
        before += *held;
        *held = before;
    }
    for place in coming.iter() {
        come_before[*place] += 1;
    }
    // What goes is put where the next one comes to, which is put later.
    out.clear();
    out.resize(run.len() + come.len() + 1, 0);
    let mut before = 0;
    for ((place, value), (come, gone)) in
        run.iter().enumerate().zip(come_before.iter().zip(gone_before.iter()))
    {
        before += come;
        out[place + before - gone] = *value;
    }
    for ((number, value), place) in come.iter().enumerate().zip(coming.iter()) {
        out[place + number - gone_before[*place]] = *value;
    }
    let length = run.len() + come.len() - gone.len();
    run.clear();
    run.extend_from_slice(&out[..length]);
    true
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

/// Merges ascending values into an ascending run, from its end, in place.
fn merge_into(run: &mut Vec<i64>, come: &[i64]) {
    let mut end = run.len();
    let mut write = end + come.len();
    if end == 0 {
        run.extend_from_slice(come);
        return;
    }
    run.resize(write, 0);
    for value in come.iter().rev() {
        let place = run[..end].partition_point(|held| held <= value);
        let moved = end - place;
        run.copy_within(place..end, write - moved);
        write -= moved + 1;
        run[write] = *value;
        end = place;
    }
}

/// Takes out of an ascending run what it holds of the first of some ascending values; gives how
/// many it held, which is fewer when one is not there.
fn take_from(run: &mut Vec<i64>, gone: &[i64]) -> usize {
    let (mut read, mut write, mut taken) = (0, 0, 0);
    for value in gone {
        let place = read + run[read..].partition_point(|held| held < value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(values: impl IntoIterator<Item = i32>) -> Vec<i64> {
        let mut keys: Vec<i64> =
            values.into_iter().map(|value| to_sortable(f64::from(value))).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn sortable_integers_sort_as_doubles_and_come_back() {
        let mut values =
            vec![f64::NAN, f64::INFINITY, 1.5, 5e-324, 0.0, -0.0, -5e-324, -2.0, f64::NEG_INFINITY];
        let keys: Vec<i64> = values.iter().rev().copied().map(to_sortable).collect();
        assert!(keys.is_sorted());
        for (value, key) in values.drain(..).rev().zip(keys) {
            assert_eq!(from_sortable(key).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn what_is_not_there_cannot_leave() {
        let mut held = SortedValues::default();
        assert_eq!(held.remove_sorted(&[3]), Err(3));
        held.insert_sorted(&[1, 2, 2]);
        assert_eq!(held.remove_sorted(&[2, 2, 2]), Err(2));
        assert_eq!(held.remove_sorted(&[7]), Err(7));
    }

    /// What is walked over and what is not there, alone, in a run and behind equal ones.
    #[test]
    fn what_is_not_there_cannot_leave_with_what_comes() {
        let mut scratch = Scratch::default();
        let of = |values: &[i64]| {
            let mut held = SortedValues::default();
            held.insert_sorted(values);
            held
        };
        assert_eq!(of(&[]).change(&[1], &[2], &mut scratch), Err(2));
        assert_eq!(of(&[1, 3]).change(&[], &[2], &mut scratch), Err(2));
        assert_eq!(of(&[1, 2, 2]).change(&[], &[2, 2, 2], &mut scratch), Err(2));
        assert_eq!(of(&[1, 2]).change(&[3], &[4], &mut scratch), Err(4));
        let mut at_once = of(&[1, 2]);
        assert_eq!(at_once.change(&[2, 3], &[2, 3], &mut scratch), Ok(()));
        assert_eq!(at_once.runs.concat(), [1, 2]);
    }

    #[test]
    fn one_value_many_times_leaves_over_many_runs() {
        let mut held = SortedValues::default();
        held.insert_sorted(&[9; 2_000]);
        held.insert_sorted(&[9; 30]);
        assert_eq!(held.remove_sorted(&[9; 1_999]), Ok(()));
        assert_eq!((held.len(), held.runs.concat()), (31, vec![9; 31]));
    }

    #[test]
    fn many_values_at_once_take_no_more_memory_than_they_need() {
        let mut held = SortedValues::default();
        let values: Vec<i64> = (0..100_000).collect();
        held.insert_sorted(&values);
        let capacity: usize = held.runs.iter().map(Vec::capacity).sum();
        assert!(capacity < 2 * values.len(), "{capacity}");
        assert_eq!(held.runs.concat(), values);
    }

    proptest! {
        /// Both ways of changing, against a list that is sorted anew after every change.
        #[test]
        fn a_sorted_multiset_is_a_sorted_list(
            changes in prop::collection::vec(
                (prop::collection::vec(0i32..400, 0..900), any::<prop::sample::Selector>(), 0usize..900),
                1..12,
            ),
            q in 0.0f64..=1.0,
        ) {
            let [mut held, mut walked] = [SortedValues::default(), SortedValues::default()];
            let mut scratch = Scratch::default();
            let mut expected: Vec<i32> = Vec::new();
            for (come, pick, leave) in changes {
                let come_sorted = sorted(come.iter().copied());
                held.insert_sorted(&come_sorted);
                expected.extend(come);
                let mut gone = Vec::new();
                for _ in 0..leave.min(expected.len()) {
                    let place = pick.select(0..expected.len());
                    gone.push(expected.swap_remove(place));
                }
                let gone = sorted(gone);
                prop_assert_eq!(held.remove_sorted(&gone), Ok(()));
                prop_assert_eq!(walked.change(&come_sorted, &gone, &mut scratch), Ok(()));
                let listed = sorted(expected.iter().copied());
                for held in [&held, &walked] {
                    prop_assert_eq!(held.len(), expected.len());
                    prop_assert_eq!(&held.runs.concat(), &listed);
                    prop_assert!(held.runs.iter().all(|run| run.len() <= RUN_LIMIT));
                    let any_empty = held.runs.iter().any(Vec::is_empty);
                    prop_assert!(held.runs.len() <= 1 || !any_empty);
                    let want = interpolate(listed.len(), q, |rank| from_sortable(listed[rank]));
                    prop_assert_eq!(held.percentile(q), want);
                }
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
