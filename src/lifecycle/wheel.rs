//! Timers in the order of their times.
//!
//! Far ones lie unsorted in the bucket of their minute, four bytes each; a bucket is sorted when its
//! minute comes. A timer is not taken out when its entity no longer wants it: whoever it goes off for
//! looks whether it is still meant.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A bucket's length in microseconds.
const BUCKET: i64 = 60_000_000;

/// A timer: when it goes off, where its entity was first seen, and the entity's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WheelTimer {
    pub(super) at: i64,
    pub(super) born: i64,
    pub(super) entity: u32,
}

/// Timers of one partition.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    near: BinaryHeap<Reverse<WheelTimer>>,
    far: BTreeMap<i64, Vec<u32>>,
    /// Buckets before this one have been opened.
    opened: i64,
    /// No timer is earlier.
    earliest: Option<i64>,
}

impl Wheel {
    /// Sets a timer.
    #[inline]
    pub(super) fn set(&mut self, timer: WheelTimer) {
        let bucket = timer.at.div_euclid(BUCKET);
        if bucket < self.opened {
            self.near.push(Reverse(timer));
        } else {
            self.far.entry(bucket).or_default().push(timer.entity);
        }
        self.earliest = Some(self.earliest.map_or(timer.at, |earliest| earliest.min(timer.at)));
    }

    /// Whether a timer may be earlier than `until`.
    #[inline]
    pub(super) fn may_be_due(&self, until: i64) -> bool {
        self.earliest.is_some_and(|earliest| earliest < until)
    }

    /// The earliest timer before `until`; `time_of` tells when an entity's timer goes off now and
    /// where it was first seen.
    pub(super) fn next(
        &mut self,
        until: i64,
        time_of: impl Fn(u32) -> Option<(i64, i64)>,
    ) -> Option<WheelTimer> {
        if !self.may_be_due(until) {
            return None;
        }
        // All buckets that may hold a timer before the nearest one that is known.
        while let Some(entry) = self.far.first_entry()
            && *entry.key() * BUCKET < until
            && self.near.peek().is_none_or(|near| near.0.at >= *entry.key() * BUCKET)
        {
            let bucket = *entry.key();
            let timers = entry.remove().into_iter();
            let timed =
                |entity| time_of(entity).map(|(at, born)| Reverse(WheelTimer { at, born, entity }));
            self.near.extend(timers.filter_map(timed));
            self.opened = self.opened.max(bucket + 1);
        }
        let next = self.near.peek().map(|next| next.0);
        let far = self.far.first_key_value().map(|(bucket, _)| bucket * BUCKET);
        match next.filter(|next| next.at < until) {
            Some(next) => {
                self.near.pop();
                Some(next)
            }
            None => {
                self.earliest = [next.map(|next| next.at), far].into_iter().flatten().min();
                None
            }
        }
    }

    /// Bytes that timers take, about.
    pub(super) fn bytes(&self) -> usize {
        let far: usize = self.far.values().map(|bucket| bucket.capacity() * size_of::<u32>()).sum();
        far + self.near.capacity() * size_of::<WheelTimer>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against all timers in one list.
        #[test]
        fn timers_go_off_in_their_order(
            steps in prop::collection::vec((0i64..600, 0i64..400), 1..60)
        ) {
            let (mut wheel, mut list, mut times) = (Wheel::default(), Vec::new(), Vec::new());
            let mut now = 0;
            for (ahead, forward) in steps {
                let at = (now + ahead) * 1_000_000;
                let entity = times.len() as u32;
                times.push((at, i64::from(entity)));
                wheel.set(WheelTimer { at, born: i64::from(entity), entity });
                list.push((at, i64::from(entity)));
                now += forward;
                let until = now * 1_000_000;
                let mut gone = Vec::new();
                while let Some(timer) = wheel.next(until, |entity| Some(times[entity as usize])) {
                    gone.push((timer.at, timer.born));
                }
                list.sort_unstable();
                let due = list.partition_point(|(at, _)| *at < until);
                prop_assert_eq!(gone, list.drain(..due).collect::<Vec<_>>());
            }
        }
    }
}
