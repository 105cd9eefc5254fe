//! Where in the input what a window counts came from: ranges of offsets by partition.
//!
//! Kept by pane or period and by the first moment at which a window may count it, so that the
//! answer for a window and revision is a function of the rows that it counts, like its figures.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use crate::flow::{OffsetRange, Partition};

/// Ranges of offsets by partition.
pub type OffsetsByPartition = BTreeMap<Arc<Partition>, OffsetRange>;

/// Ranges of offsets by place in time.
#[derive(Debug)]
pub struct Origins<K> {
    by_place: BTreeMap<K, Vec<Origin>>,
}

#[derive(Debug)]
struct Origin {
    since: i64,
    partition: Arc<Partition>,
    range: OffsetRange,
}

impl<K> Default for Origins<K> {
    fn default() -> Origins<K> {
        Origins { by_place: BTreeMap::new() }
    }
}

impl<K: Ord> Origins<K> {
    /// Notes records of a partition, from the first to the last that counts in a place from
    /// `since` on.
    pub fn add(&mut self, place: K, since: i64, partition: &Arc<Partition>, range: OffsetRange) {
        let held = self.by_place.entry(place).or_default();
        let same = held
            .iter_mut()
            .rev()
            .find(|origin| origin.since == since && origin.partition == *partition);
        match same {
            Some(origin) => origin.range = cover(origin.range, range),
            None => held.push(Origin { since, partition: Arc::clone(partition), range }),
        }
    }

    /// The ranges over some places of what `counts`, which is asked with the place and `since`.
    pub fn over(
        &self,
        places: impl RangeBounds<K>,
        counts: impl Fn(&K, i64) -> bool,
    ) -> OffsetsByPartition {
        let mut found = OffsetsByPartition::new();
        if is_empty(&places) {
            return found;
        }
        for (place, origins) in self.by_place.range(places) {
            for origin in origins.iter().filter(|origin| counts(place, origin.since)) {
                found
                    .entry(Arc::clone(&origin.partition))
                    .and_modify(|held| *held = cover(*held, origin.range))
                    .or_insert(origin.range);
            }
        }
        found
    }

    /// Forgets places.
    pub fn retain(&mut self, kept: impl Fn(&K) -> bool) {
        self.by_place.retain(|place, _| kept(place));
    }
}

/// Whether bounds leave nothing between them; asking a map for such a range panics.
fn is_empty<K: Ord>(places: &impl RangeBounds<K>) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    match (places.start_bound(), places.end_bound()) {
        (Included(start), Included(end)) => start > end,
        (Included(start) | Excluded(start), Excluded(end)) => start >= end,
        (Excluded(start), Included(end)) => start >= end,
        (Unbounded, _) | (_, Unbounded) => false,
    }
}

/// The smallest range that holds both.
fn cover(a: OffsetRange, b: OffsetRange) -> OffsetRange {
    OffsetRange { from: a.from.min(b.from), to: a.to.max(b.to) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Offset;

    #[test]
    fn ranges_cover_what_counts_and_no_more() {
        let partition = |index| Arc::new(Partition { topic: "t".into(), index });
        let (a, b) = (partition(0), partition(1));
        let mut origins = Origins::default();
        let through = |first, last| OffsetRange::through(Offset(first), Offset(last));
        origins.add(1, 2, &a, through(10, 12));
        origins.add(1, 2, &a, through(20, 20));
        origins.add(1, 9, &a, through(90, 90));
        origins.add(2, 3, &b, through(5, 6));
        let range = |from, to| OffsetRange { from: Offset(from), to: Offset(to) };
        let both = origins.over(1..3, |_, since| since < 9);
        assert_eq!(both, [(a.clone(), range(10, 21)), (b, range(5, 7))].into());
        let late = origins.over(1..=1, |_, _| true);
        assert_eq!(late, [(a, range(10, 91))].into());
        origins.retain(|place| *place > 1);
        assert!(origins.over(..2, |_, _| true).is_empty());
        let (three, two) = (3, 2);
        assert!(origins.over(three..two, |_, _| true).is_empty());
    }
}
