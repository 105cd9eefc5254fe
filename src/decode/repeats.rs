//! Drops events that came before, by their `event_id`, within one partition.
//!
//! An id is remembered for [`Repeats::span`] of event time: until the partition's watermark has
//! passed, by that span, both the event's own time and the watermark at which it came. What is
//! forgotten depends on the sequence of the events alone, never on how they were batched, so a
//! replay drops the same ones. Ids are kept as 128-bit hashes; two ids of a trillion collide with a
//! probability below 1e-14. It does not look across partitions.

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::datatypes::TimestampMicrosecondType;
use xxhash_rust::xxh3::xxh3_128;

use crate::flow::{EventBatch, Span, Timestamp};

/// When the table is full and more ids than this are still to be remembered, the oldest half is
/// forgotten. So a partition's table has at most 4 Mi slots of 24 bytes, 96 MiB.
const MOST_IDS: usize = 3 << 19;

/// The table's first size.
const FIRST_SLOTS: usize = 1 << 10;

/// The hash of an event's id; [`Identity::NONE`] for an event without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(u128);

impl Identity {
    /// An event without an id, which repeats nothing.
    pub const NONE: Identity = Identity(0);

    /// The identity of an `event_id`.
    #[inline]
    pub fn of(event_id: &[u8]) -> Identity {
        Identity(xxh3_128(event_id).max(1))
    }
}

/// Which events of a batch are not repeats.
#[derive(Clone, Debug)]
pub struct Retained {
    /// True for each row to keep.
    pub keep: BooleanArray,
    /// How many rows are repeats.
    pub repeats: u64,
}

/// The ids that one partition remembers.
#[derive(Clone, Debug)]
pub struct Repeats {
    span: Span,
    /// Linear probing; a power of two of slots, at most half of them taken.
    slots: Vec<Slot>,
    taken: usize,
    most: usize,
    forgotten_early: u64,
}

/// A remembered id; free when both halves are 0.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    low: u64,
    high: u64,
    /// Remembered while the watermark less the span is not beyond this.
    until: i64,
}

impl Slot {
    #[inline(always)]
    fn is_free(&self) -> bool {
        self.low == 0 && self.high == 0
    }
}

impl Repeats {
    /// Remembers nothing yet; will remember ids for `span` of event time.
    pub fn new(span: Span) -> Repeats {
        Repeats::with_most(span, MOST_IDS)
    }

    fn with_most(span: Span, most: usize) -> Repeats {
        let slots = vec![Slot::default(); FIRST_SLOTS];
        Repeats { span, slots, taken: 0, most, forgotten_early: 0 }
    }

    /// How long ids are remembered.
    pub fn span(&self) -> Span {
        self.span
    }

    /// How many ids had to be forgotten before their time because there were too many.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// Judges the events of a batch in their order. `identities` are those of
    /// [`Decoded`](super::Decoded); `watermarks` holds the partition's watermark before each row.
    /// The batch must hold `event_time`; rows without an identity are kept.
    pub fn retain(
        &mut self,
        events: &EventBatch,
        identities: &[Identity],
        watermarks: &[Timestamp],
    ) -> Retained {
        let times = events
            .rows
            .column_by_name("event_time")
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let mut keep = BooleanBufferBuilder::new(identities.len());
        let mut repeats = 0;
        for (row, (identity, watermark)) in identities.iter().zip(watermarks).enumerate() {
            let time = times.map_or(i64::MIN, |times| times.value(row));
            let new = self.admit(*identity, Timestamp(time), *watermark);
            repeats += u64::from(!new);
            keep.append(new);
        }
        Retained { keep: BooleanArray::new(keep.finish(), None), repeats }
    }

    /// Whether the event is new; remembers it if so.
    #[inline(always)]
    fn admit(&mut self, identity: Identity, time: Timestamp, watermark: Timestamp) -> bool {
        if identity == Identity::NONE {
            return true;
        }
        let (low, high) = (identity.0 as u64, (identity.0 >> 64) as u64);
        let horizon = watermark.minus(self.span).0;
        let until = time.max(watermark).0;
        let mask = self.slots.len() - 1;
        let mut at = low as usize & mask;
        loop {
            let slot = &mut self.slots[at];
            if slot.low == low && slot.high == high {
                let repeat = slot.until >= horizon;
                if !repeat {
                    slot.until = until;
                }
                return !repeat;
            }
            if slot.is_free() {
                *slot = Slot { low, high, until };
                self.taken += 1;
                if self.taken * 2 > self.slots.len() {
                    self.make_room(horizon);
                }
                return true;
            }
            at = (at + 1) & mask;
        }
    }

    /// Forgets what is beyond the horizon, grows where that is not enough, and at the limit forgets
    /// the oldest half.
    #[cold]
    fn make_room(&mut self, horizon: i64) {
        let old = std::mem::take(&mut self.slots);
        let remembered = |slot: &&Slot| !slot.is_free() && slot.until >= horizon;
        let live = old.iter().filter(remembered).count();
        if live > self.most {
            let mut live: Vec<Slot> = old.iter().filter(remembered).copied().collect();
            let half = live.len() / 2;
            // Equal times are ordered by hash, so that the choice does not depend on the table.
            live.select_nth_unstable_by_key(half, |slot| (slot.until, slot.high, slot.low));
            self.forgotten_early += half as u64;
            self.refill(live.len() - half, live[half..].iter());
        } else {
            self.refill(live, old.iter().filter(remembered));
        }
    }

    /// Takes these into a table of at most a quarter taken, up to the largest table that there is:
    /// so an id is moved about once before it is forgotten.
    fn refill<'a>(&mut self, count: usize, live: impl Iterator<Item = &'a Slot>) {
        let most = (self.most * 8 / 3).next_power_of_two();
        let slots = (count * 4).next_power_of_two().clamp(FIRST_SLOTS, most.max(FIRST_SLOTS));
        self.slots = vec![Slot::default(); slots];
        self.taken = count;
        for slot in live {
            let mut at = slot.low as usize & (slots - 1);
            while !self.slots[at].is_free() {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = *slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = Span::MINUTE.0;

    fn id(n: u32) -> Identity {
        Identity::of(&n.to_le_bytes())
    }

    fn admit(repeats: &mut Repeats, n: u32, time_min: i64, watermark_min: i64) -> bool {
        repeats.admit(id(n), Timestamp(time_min * MINUTE), Timestamp(watermark_min * MINUTE))
    }

    #[test]
    fn a_repeat_is_dropped_until_an_hour_has_passed() {
        let mut repeats = Repeats::new(Span::HOUR);
        assert!(admit(&mut repeats, 1, 100, 99));
        assert!(!admit(&mut repeats, 1, 100, 99));
        assert!(!admit(&mut repeats, 1, 100, 160));
        assert!(admit(&mut repeats, 2, 100, 160));
        assert!(admit(&mut repeats, 1, 100, 161));
        assert!(!admit(&mut repeats, 1, 100, 161));
    }

    #[test]
    fn a_late_events_id_is_remembered_from_when_it_came() {
        let mut repeats = Repeats::new(Span::HOUR);
        assert!(admit(&mut repeats, 1, 0, 300));
        assert!(!admit(&mut repeats, 1, 0, 360));
        assert!(admit(&mut repeats, 1, 0, 361));
    }

    #[test]
    fn events_without_an_id_repeat_nothing() {
        let mut repeats = Repeats::new(Span::HOUR);
        for _ in 0..3 {
            assert!(repeats.admit(Identity::NONE, Timestamp(0), Timestamp::MIN));
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_first() {
        let mut repeats = Repeats::with_most(Span::HOUR, 3000);
        for n in 0..100_000u32 {
            let time = Timestamp(i64::from(n));
            assert!(repeats.admit(id(n), time, time));
            assert!(repeats.slots.len() <= 8192);
        }
        assert!(repeats.forgotten_early() > 90_000);
        let end = Timestamp(100_000);
        assert!((98_500..100_000).all(|n| !repeats.admit(id(n), end, end)));
    }

    proptest! {
        /// Against a map that never forgets and compares times.
        #[test]
        fn as_if_nothing_were_ever_forgotten(
            steps in proptest::collection::vec((0u32..4000, 0i64..90, 0i64..2), 0..6000)
        ) {
            let mut repeats = Repeats::new(Span::HOUR);
            let mut naive: HashMap<u32, i64> = HashMap::new();
            let mut watermark = 0;
            for (n, behind, step) in steps {
                watermark += step;
                let time = watermark + 60 - behind;
                let known = naive.get(&n).is_some_and(|until| *until >= watermark - 60);
                if !known {
                    naive.insert(n, time.max(watermark));
                }
                prop_assert_eq!(admit(&mut repeats, n, time, watermark), !known);
            }
        }
    }
}
