//! Drops events that came before, by their `event_id`, within one partition.
//!
//! An id is remembered for [`Repeats::span`] of event time: until the partition's watermark has
//! passed, by that span, both the event's own time and the watermark at which it came. What is
//! forgotten depends on the sequence of the events alone, never on how they were batched, so a
//! replay drops the same ones. The time is kept in units of about a second, rounded up, and of an
//! id's hash 96 bits: of a trillion ids, each compared with a million, one is mistaken for another
//! with a probability below 1e-10. It does not look across partitions.

use prefetch_index::prefetch_index;
use xxhash_rust::xxh3::xxh3_128;

use crate::flow::{Span, Timestamp};

/// When more ids than this are to be remembered, the oldest half is forgotten, which is said
/// ([`Repeats::take_forgotten`]). So a partition has
/// at most twice as many entries of 16 bytes and 4 Mi slots of 4: 64 MiB.
const MOST_IDS: usize = 3 << 19;

/// Entries before those that are forgotten are first looked for.
const FIRST_ENTRIES: usize = 512;

/// Limits of entries between one power of two and the next.
const STEPS: usize = 8;

/// Bits of a slot that name an entry; the others are the entry's tag.
const PLACE_BITS: u32 = 22;

/// Ids whose slots are asked for before they are needed: those of a large table are not in the
/// processor's cache, and no id before it has touched its slot.
const AHEAD: usize = 32;

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

/// The ids that one partition remembers.
///
/// Entries are appended, and found through slots of four bytes with a tag each: an id that is new,
/// as nearly all are, touches one line of the slots and the end of the entries, however many are
/// remembered.
#[derive(Clone, Debug)]
pub struct Repeats {
    span: Span,
    /// In the order in which they came.
    entries: Vec<SeenId>,
    /// How many entries there may be before those that are forgotten are dropped.
    entries_limit: usize,
    /// Linear probing; a power of two of them, 0 where free.
    slots: Vec<u32>,
    most: usize,
    forgotten: Option<Forgotten>,
}

/// Ids that had to be forgotten before their time because there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How many.
    pub ids: u64,
    /// How far back before the watermark ids are still remembered.
    pub horizon: Span,
}

/// A remembered id.
#[derive(Clone, Copy, Debug)]
struct SeenId {
    low: u64,
    high: u32,
    /// Remembered while the watermark less the span is not beyond this; see [`coarse`].
    until: u32,
}

/// The slot of the entry at a place.
#[inline(always)]
fn slot_of(low: u64, place: usize) -> u32 {
    tag_of(low) | (place as u32 + 1)
}

/// The tag of an id; its slot is found by other bits.
#[inline(always)]
fn tag_of(low: u64) -> u32 {
    ((low >> 32) as u32) & (u32::MAX << PLACE_BITS)
}

/// The unit in which event time is kept, in microseconds.
const UNIT: i64 = 1 << 20;

/// Event time in units of 2^20 microseconds from 1970 on, rounded up; what lies outside of them
/// counts as the end that is nearer.
#[inline(always)]
fn coarse(time: Timestamp) -> u32 {
    let units = (time.0.clamp(0, i64::MAX - UNIT) + UNIT - 1) / UNIT;
    units.min(i64::from(u32::MAX)) as u32
}

impl Repeats {
    /// Remembers nothing yet; will remember ids for `span` of event time.
    pub fn new(span: Span) -> Repeats {
        Repeats::with_most(span, MOST_IDS)
    }

    fn with_most(span: Span, most: usize) -> Repeats {
        let mut repeats = Repeats {
            span,
            entries: Vec::new(),
            entries_limit: 0,
            slots: Vec::new(),
            most,
            forgotten: None,
        };
        repeats.index();
        repeats
    }

    /// How long ids are remembered.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.entries.capacity() * size_of::<SeenId>() + self.slots.capacity() * size_of::<u32>()
    }

    /// What had to be forgotten since this was last asked.
    pub fn take_forgotten(&mut self) -> Option<Forgotten> {
        self.forgotten.take()
    }

    /// Judges events in their order, given the identities of [`Decoded`](super::Decoded), the event
    /// times and the partition's watermark before each, in microseconds. Gives the rows that are
    /// repeats, ascending; those without an identity never are.
    pub fn find(&mut self, identities: &[Identity], times: &[i64], watermarks: &[i64]) -> Vec<u32> {
        let mut repeats = Vec::new();
        for (row, identity) in identities.iter().enumerate() {
            if let Some(next) = identities.get(row + AHEAD) {
                prefetch_index(&self.slots, next.0 as usize & (self.slots.len() - 1));
            }
            let (time, watermark) = (Timestamp(times[row]), Timestamp(watermarks[row]));
            if !self.admit(*identity, time, watermark) {
                repeats.push(row as u32);
            }
        }
        repeats
    }

    /// Whether the event is new; remembers it if so.
    #[inline(always)]
    fn admit(&mut self, identity: Identity, time: Timestamp, watermark: Timestamp) -> bool {
        if identity == Identity::NONE {
            return true;
        }
        let (low, high) = (identity.0 as u64, (identity.0 >> 64) as u32);
        let until = coarse(time.max(watermark));
        let span = self.span;
        let mask = self.slots.len() - 1;
        let mut at = low as usize & mask;
        while self.slots[at] != 0 {
            let slot = self.slots[at];
            at = (at + 1) & mask;
            if slot & (u32::MAX << PLACE_BITS) != tag_of(low) {
                continue;
            }
            let place = (slot & !(u32::MAX << PLACE_BITS)) as usize - 1;
            let entry = &mut self.entries[place];
            if entry.low == low && entry.high == high {
                let repeat = entry.until >= coarse(watermark.minus(span));
                if !repeat {
                    entry.until = until;
                }
                return !repeat;
            }
        }
        self.slots[at] = slot_of(low, self.entries.len());
        self.entries.push(SeenId { low, high, until });
        if self.entries.len() == self.entries_limit {
            self.make_room(watermark);
        }
        true
    }

    /// Drops what is forgotten, and at the limit the oldest half of what is not.
    #[cold]
    fn make_room(&mut self, watermark: Timestamp) {
        let horizon = coarse(watermark.minus(self.span));
        self.entries.retain(|entry| entry.until >= horizon);
        if self.entries.len() > self.most {
            let half = self.entries.len() / 2;
            // Equal times are ordered by hash, so that the choice does not depend on the order.
            let age = |entry: &SeenId| (entry.until, entry.high, entry.low);
            self.entries.select_nth_unstable_by_key(half, age);
            let oldest = self.entries[half].until;
            self.entries.drain(..half);
            let before = self.forgotten.map_or(0, |forgotten| forgotten.ids);
            let ids = before + half as u64;
            let horizon = Span(i64::from(coarse(watermark).saturating_sub(oldest)) * UNIT);
            self.forgotten = Some(Forgotten { ids, horizon });
        }
        self.index();
    }

    /// Makes the slots anew, for twice as many entries again as there are: so an id is placed about
    /// half a time more before it is forgotten. At most four fifths of the slots are then taken.
    fn index(&mut self) {
        let wanted = (self.entries.len() * 3).max(FIRST_ENTRIES);
        // In steps: a little more each time would copy what is held, into memory that is new.
        let step = wanted.next_power_of_two() / STEPS;
        self.entries_limit = wanted.next_multiple_of(step).min(self.most * 2);
        self.entries.reserve_exact(self.entries_limit - self.entries.len());
        let slots = (self.entries_limit * 5 / 4).next_power_of_two();
        self.slots.clear();
        self.slots.resize(slots, 0);
        let mask = slots - 1;
        for (place, entry) in self.entries.iter().enumerate() {
            if let Some(next) = self.entries.get(place + AHEAD) {
                prefetch_index(&self.slots, next.low as usize & mask);
            }
            let mut at = entry.low as usize & mask;
            while self.slots[at] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot_of(entry.low, place);
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
        let [time, watermark] = [time_min, watermark_min].map(|minute| minute * MINUTE);
        repeats.find(&[id(n)], &[time], &[watermark]).is_empty()
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
            assert!(repeats.find(&[Identity::NONE], &[0], &[i64::MIN]).is_empty());
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_first() {
        let mut repeats = Repeats::with_most(Span::HOUR, 3000);
        for n in 0..100_000u32 {
            let time = i64::from(n) * Span::SECOND.0 / 100;
            assert!(repeats.find(&[id(n)], &[time], &[time]).is_empty());
            assert!(repeats.entries.len() <= 6000 && repeats.slots.len() <= 8192);
        }
        // 100 ids a second: between 3000 and 6000 of them are the last 30 to 60 seconds.
        let Forgotten { ids, horizon } = repeats.take_forgotten().expect("most were forgotten");
        assert!(ids > 90_000 && (29..62).contains(&(horizon.0 / Span::SECOND.0)), "{horizon}");
        assert_eq!(repeats.take_forgotten(), None);
        let end = 1_000 * Span::SECOND.0;
        assert!((98_500..100_000).all(|n| !repeats.find(&[id(n)], &[end], &[end]).is_empty()));
    }

    /// As one at a time, though the slots are made anew in between.
    #[test]
    fn many_at_once_are_judged_as_one_by_one() {
        let ids: Vec<Identity> = (0..20_000u32).map(|n| id(n - n % 7 % 2)).collect();
        let times: Vec<i64> = (0..20_000).map(|n| n * Span::SECOND.0 / 10).collect();
        let found = Repeats::new(Span::HOUR).find(&ids, &times, &times);
        let mut one_by_one = Repeats::new(Span::HOUR);
        let is_repeat = |row: &u32| {
            let row = *row as usize..*row as usize + 1;
            !one_by_one.find(&ids[row.clone()], &times[row.clone()], &times[row]).is_empty()
        };
        assert_eq!(found, (0..20_000).filter(is_repeat).collect::<Vec<u32>>());
        let by_hand = (0..20_000u32).filter(|n| n % 7 % 2 == 1).count();
        assert_eq!(found.len(), by_hand);
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
