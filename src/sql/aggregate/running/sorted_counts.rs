//! A multiset of doubles in order, each distinct value once with how often it occurs.

use prefetch_index::prefetch_index;

/// Distinct values in a run before it divides; a run is moved by one `memmove`.
const RUN_LIMIT: usize = 256;

/// Entries in a line of the cache.
const IN_A_LINE: usize = 4;

/// Entries whose counts are summed before any of them is looked at: a sum needs no branches.
const BLOCK: usize = 16;

/// Distinct values, ascending in the total order of doubles, in runs.
#[derive(Clone, Debug, Default)]
pub struct SortedCounts {
    runs: Vec<ValueRun>,
    distinct: usize,
}

#[derive(Clone, Debug, Default)]
struct ValueRun {
    entries: Vec<(f64, u64)>,
    /// The sum of the counts.
    total: u64,
}

impl ValueRun {
    /// The place of the entry at a rank within the run, and how many values come before it.
    fn place_of(&self, rank: u64) -> Option<(usize, u64)> {
        if self.total == self.entries.len() as u64 {
            return Some((rank as usize, rank));
        }
        let (mut place, mut before) = (0, 0);
        for block in self.entries.chunks(BLOCK) {
            let behind = before + block.iter().map(|(_, count)| count).sum::<u64>();
            if rank < behind {
                break;
            }
            (place, before) = (place + block.len(), behind);
        }
        for (_, count) in self.entries.get(place..)? {
            if rank < before + count {
                return Some((place, before));
            }
            (place, before) = (place + 1, before + count);
        }
        None
    }
}

impl SortedCounts {
    /// How many distinct values it holds.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.runs.capacity() * size_of::<ValueRun>() + self.distinct * size_of::<(f64, u64)>()
    }

    /// The run that holds, or would hold, a value, and its place there: found or not.
    fn place(&self, value: f64) -> Option<(usize, Result<usize, usize>)> {
        let run = self.run_of(value)?;
        let found = self.runs[run].entries.binary_search_by(|(held, _)| held.total_cmp(&value));
        Some((run, found))
    }

    /// The run that holds, or would hold, a value.
    fn run_of(&self, value: f64) -> Option<usize> {
        let last = self.runs.len().checked_sub(1)?;
        if last == 0 {
            return Some(0);
        }
        let is_before = |run: &ValueRun| {
            run.entries.last().is_some_and(|(held, _)| held.total_cmp(&value).is_lt())
        };
        Some(self.runs.partition_point(is_before).min(last))
    }

    /// Asks for the memory that adding or removing a value will soon touch.
    pub fn ask_for(&self, value: f64) {
        if let Some(run) = self.run_of(value) {
            let entries = &self.runs[run].entries;
            (0..entries.len()).step_by(IN_A_LINE).for_each(|place| prefetch_index(entries, place));
        }
    }

    /// Adds a value `count` times.
    pub fn add(&mut self, value: f64, count: u64) {
        let Some((index, found)) = self.place(value) else {
            self.runs.push(ValueRun { entries: vec![(value, count)], total: count });
            self.distinct = 1;
            return;
        };
        let run = &mut self.runs[index];
        run.total += count;
        match found {
            Ok(place) => run.entries[place].1 += count,
            Err(place) => {
                run.entries.insert(place, (value, count));
                self.distinct += 1;
            }
        }
        if run.entries.len() > RUN_LIMIT {
            let entries = run.entries.split_off(RUN_LIMIT / 2);
            let total = entries.iter().map(|(_, count)| count).sum();
            run.total -= total;
            self.runs.insert(index + 1, ValueRun { entries, total });
        }
    }

    /// Takes a value out `count` times; false, and nothing changed, when it is not there so often.
    pub fn remove(&mut self, value: f64, count: u64) -> bool {
        let Some((index, Ok(place))) = self.place(value) else { return false };
        let run = &mut self.runs[index];
        let Some(left) = run.entries[place].1.checked_sub(count) else { return false };
        run.total -= count;
        run.entries[place].1 = left;
        if left == 0 {
            run.entries.remove(place);
            self.distinct -= 1;
            if run.entries.is_empty() {
                self.runs.remove(index);
            }
        }
        true
    }

    /// The distinct values with their counts, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.runs.iter().flat_map(|run| run.entries.iter().copied())
    }

    /// The value at a rank and the one at the next rank, or the same at the end.
    pub fn at_ranks(&self, rank: u64) -> Option<(f64, f64)> {
        let mut rest = rank;
        for (index, run) in self.runs.iter().enumerate() {
            if rest >= run.total {
                rest -= run.total;
                continue;
            }
            let (place, before) = run.place_of(rest)?;
            rest -= before;
            let (value, count) = run.entries[place];
            if rest + 1 < count {
                return Some((value, value));
            }
            let following = run.entries.get(place + 1);
            let following = following.or_else(|| self.runs.get(index + 1)?.entries.first());
            return Some((value, following.map_or(value, |(next, _)| *next)));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_in_order_are_a_sorted_list(
            values in prop::collection::vec((0i32..700, 1u64..4), 1..2_000),
            leave in prop::collection::vec(any::<bool>(), 2_000),
        ) {
            let mut held = SortedCounts::default();
            let mut listed = Vec::new();
            for (value, count) in &values {
                held.add(f64::from(*value), *count);
            }
            for ((value, count), leaves) in values.iter().zip(&leave) {
                if *leaves {
                    prop_assert!(held.remove(f64::from(*value), *count));
                } else {
                    listed.extend(std::iter::repeat_n(f64::from(*value), *count as usize));
                }
            }
            prop_assert!(!held.remove(-1.0, 1));
            listed.sort_by(f64::total_cmp);
            let expanded: Vec<f64> = held
                .entries()
                .flat_map(|(value, count)| std::iter::repeat_n(value, count as usize))
                .collect();
            prop_assert_eq!(&expanded, &listed);
            for (rank, value) in listed.iter().enumerate() {
                let next = listed.get(rank + 1).unwrap_or(value);
                prop_assert_eq!(held.at_ranks(rank as u64), Some((*value, *next)));
            }
            prop_assert_eq!(held.at_ranks(listed.len() as u64), None);
            listed.dedup();
            prop_assert_eq!(held.distinct(), listed.len());
        }
    }
}
