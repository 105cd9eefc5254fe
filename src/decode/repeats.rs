//! Drops events that came before, by their `event_id`, within one partition.
//!
//! An id is remembered for [`Repeats::span`] of event time: until the partition's watermark has
//! passed, by that span, both the event's own time and the watermark at which it came. What is
//! forgotten depends on the sequence of the events alone, never on how they were batched, so a
//! replay drops the same ones. The time is kept in units of about a second, rounded up, and of an
//! id's hash 96 bits: of a trillion ids, each compared with a million, one is mistaken for another
//! with a probability below 1e-10. It does not look across partitions.

use xxhash_rust::xxh3::xxh3_128;

use crate::flow::{Span, Timestamp};

/// Entries in a bucket.
const ENTRIES: usize = 256;

/// Entries in a line of the cache.
const LINE: usize = 4;

/// Words of a bucket's filter. Of a full bucket, eight entries share a word, and an id that is new
/// finds its four bits set once in some forty times; of one that is half full, once in 400.
const WORDS: usize = 32;

/// A full bucket divides when more than so many of it are not forgotten.
const CROWDED: usize = ENTRIES / 2;

/// Bits of the hash that name a bucket, at first and at most. So a partition has at most 4 Mi entries
/// of 16 bytes, and their filters: 68 MiB.
const FIRST_BITS: u32 = 3;
const MOST_BITS: u32 = 14;

/// Ids whose places are looked at before any of them is judged, so that the cache misses of a large
/// table are waited for together.
const AHEAD: usize = 16;

/// With more ids than this they are judged bucket by bucket.
const FEW: usize = 1024;

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

    #[inline(always)]
    fn entry(self, until: u32) -> Entry {
        Entry { low: self.0 as u64, high: (self.0 >> 64) as u32, until }
    }
}

/// The ids that one partition remembers.
///
/// They lie in buckets by hash, each bucket in the order in which they came, behind a filter: of
/// each id four bits are set in one word of its bucket. An id that is new, as nearly all are, finds
/// one of its bits unset and is appended to its bucket's last line. Only when its bits are set is its
/// bucket looked through.
///
/// A batch is judged bucket by bucket, which goes through the filters and the last lines once from
/// end to end where id by id would touch them at random. Equal ids are judged in the order in which
/// they came, and what becomes of a bucket depends on its own ids alone, so the answer is the same.
#[derive(Clone, Debug)]
pub struct Repeats {
    span: Span,
    /// By so many leading bits of the hash the number of a bucket. Several may name the same one.
    buckets: Vec<u32>,
    bits: u32,
    most_bits: u32,
    /// By bucket, by how many leading bits its ids are equal.
    depths: Vec<u8>,
    /// By bucket [`ENTRIES`]. Of the first `lengths` of them those are there that fill a line.
    entries: Vec<Entry>,
    lengths: Vec<u16>,
    /// By bucket those that do not fill a line yet.
    last_lines: Vec<[Entry; LINE]>,
    /// By bucket [`WORDS`].
    filter: Vec<u64>,
    forgotten_early: u64,
}

/// A remembered id.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    low: u64,
    high: u32,
    /// Remembered while the watermark less the span is not beyond this; see [`coarse`].
    until: u32,
}

/// Where an id belongs.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    bucket: usize,
    /// Its word in the filter, and its bits there.
    word: usize,
    mark: u64,
}

impl Entry {
    /// Its first bits.
    #[inline(always)]
    fn prefix(self, bits: u32) -> usize {
        (self.low >> (u64::BITS - bits)) as usize
    }
}

/// Event time in units of 2^20 microseconds from 1970 on, rounded up; what lies outside of them
/// counts as the end that is nearer.
#[inline(always)]
fn coarse(time: Timestamp) -> u32 {
    const UNIT: i64 = 1 << 20;
    let units = (time.0.clamp(0, i64::MAX - UNIT) + UNIT - 1) / UNIT;
    units.min(i64::from(u32::MAX)) as u32
}

impl Repeats {
    /// Remembers nothing yet; will remember ids for `span` of event time.
    pub fn new(span: Span) -> Repeats {
        Repeats::with_most(span, MOST_BITS)
    }

    fn with_most(span: Span, most_bits: u32) -> Repeats {
        let mut repeats = Repeats {
            span,
            buckets: (0..1 << FIRST_BITS).collect(),
            bits: FIRST_BITS,
            most_bits,
            depths: Vec::new(),
            entries: Vec::new(),
            lengths: Vec::new(),
            last_lines: Vec::new(),
            filter: Vec::new(),
            forgotten_early: 0,
        };
        for _ in 0..1 << FIRST_BITS {
            repeats.add_bucket(FIRST_BITS as u8);
        }
        repeats
    }

    /// One more bucket; gives its number.
    fn add_bucket(&mut self, depth: u8) -> u32 {
        let bucket = self.lengths.len();
        self.depths.push(depth);
        self.entries.resize((bucket + 1) * ENTRIES, Entry::default());
        self.lengths.push(0);
        self.last_lines.push([Entry::default(); LINE]);
        self.filter.resize((bucket + 1) * WORDS, 0);
        bucket as u32
    }

    /// How long ids are remembered.
    pub fn span(&self) -> Span {
        self.span
    }

    /// How many ids had to be forgotten before their time because there were too many.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// Judges events in their order, given the identities of [`Decoded`](super::Decoded), the event
    /// times and the partition's watermark before each, in microseconds. Gives the rows that are
    /// repeats, ascending; those without an identity never are.
    pub fn find(
        &mut self,
        identities: &[Identity],
        times: &[i64],
        watermarks: &[i64],
    ) -> Vec<u32> {
        let mut repeats = Vec::new();
        let rows = self.by_bucket(identities);
        for rows in rows.chunks(AHEAD) {
            self.look_at(rows, identities);
            for row in rows {
                let at = *row as usize;
                let (time, watermark) = (Timestamp(times[at]), Timestamp(watermarks[at]));
                if !self.admit(identities[at], time, watermark) {
                    repeats.push(*row);
                }
            }
        }
        repeats.sort_unstable();
        repeats
    }

    /// The rows of ids, bucket by bucket where there are many, those of one as they came.
    fn by_bucket(&self, identities: &[Identity]) -> Vec<u32> {
        if identities.len() <= FEW {
            return (0..identities.len() as u32).collect();
        }
        let bucket_of = |identity: &Identity| self.buckets[identity.entry(0).prefix(self.bits)];
        let buckets: Vec<u32> = identities.iter().map(bucket_of).collect();
        let mut next = vec![0u32; self.lengths.len() + 1];
        for bucket in &buckets {
            next[*bucket as usize + 1] += 1;
        }
        for bucket in 1..next.len() {
            next[bucket] += next[bucket - 1];
        }
        let mut rows = vec![0u32; identities.len()];
        for (row, bucket) in buckets.iter().enumerate() {
            let place = &mut next[*bucket as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        rows
    }

    /// Where an id belongs.
    #[inline(always)]
    fn place(&self, entry: Entry) -> Place {
        let bucket = self.buckets[entry.prefix(self.bits)] as usize;
        let word = bucket * WORDS + entry.low as usize % WORDS;
        let bit = |place: u32| 1u64 << (entry.high >> (6 * place) & 63);
        Place { bucket, word, mark: bit(0) | bit(1) | bit(2) | bit(3) }
    }

    /// Brings the places of some ids into the cache.
    #[inline(always)]
    fn look_at(&self, rows: &[u32], identities: &[Identity]) {
        let seen = rows.iter().fold(0, |seen, row| {
            let place = self.place(identities[*row as usize].entry(0));
            seen ^ self.filter[place.word] ^ self.last_lines[place.bucket][0].low
        });
        std::hint::black_box(seen);
    }

    /// Whether the event is new; remembers it if so.
    #[inline(always)]
    fn admit(
        &mut self,
        identity: Identity,
        time: Timestamp,
        watermark: Timestamp,
    ) -> bool {
        if identity == Identity::NONE {
            return true;
        }
        let entry = identity.entry(coarse(time.max(watermark)));
        let (place, span) = (self.place(entry), self.span);
        if self.filter[place.word] & place.mark == place.mark
            && let Some(known) = self.known(entry, place.bucket)
        {
            let repeat = known.until >= coarse(watermark.minus(span));
            if !repeat {
                known.until = entry.until;
            }
            return !repeat;
        }
        if self.append(entry, place) == ENTRIES {
            self.make_room(place.bucket, coarse(watermark.minus(span)));
        }
        true
    }

    /// Appends an entry to its bucket, which has room; gives how many that has then.
    #[inline(always)]
    fn append(&mut self, entry: Entry, Place { bucket, word, mark }: Place) -> usize {
        self.filter[word] |= mark;
        let length = self.lengths[bucket] as usize;
        let line = &mut self.last_lines[bucket];
        line[length % LINE] = entry;
        if length % LINE == LINE - 1 {
            let end = bucket * ENTRIES + length + 1;
            self.entries[end - LINE..end].copy_from_slice(line);
        }
        self.lengths[bucket] = length as u16 + 1;
        length + 1
    }

    /// The entry of the same id.
    #[inline(never)]
    fn known(&mut self, entry: Entry, bucket: usize) -> Option<&mut Entry> {
        let (start, length) = (bucket * ENTRIES, self.lengths[bucket] as usize);
        let full = &mut self.entries[start..start + length / LINE * LINE];
        let rest = &mut self.last_lines[bucket][..length % LINE];
        let is_same = |held: &&mut Entry| held.low == entry.low && held.high == entry.high;
        full.iter_mut().chain(rest).find(is_same)
    }

    /// Drops what is forgotten of a full bucket. If that is little it divides; where its ids are
    /// equal by as many bits as may be, the oldest half is forgotten.
    #[cold]
    fn make_room(&mut self, bucket: usize, horizon: u32) {
        let start = bucket * ENTRIES;
        let mut held = self.entries[start..start + ENTRIES].to_vec();
        held.retain(|entry| entry.until >= horizon);
        self.filter[bucket * WORDS..(bucket + 1) * WORDS].fill(0);
        self.lengths[bucket] = 0;
        if held.len() > CROWDED {
            if u32::from(self.depths[bucket]) < self.most_bits {
                self.divide(bucket, held[0]);
            } else {
                let half = held.len() / 2;
                // Equal times are ordered by hash, so that the choice does not depend on the order.
                held.sort_unstable_by_key(|entry| (entry.until, entry.high, entry.low));
                held.drain(..half);
                self.forgotten_early += half as u64;
            }
        }
        for entry in held {
            let place = self.place(entry);
            if self.append(entry, place) == ENTRIES {
                // All of them went to one side.
                self.make_room(place.bucket, horizon);
            }
        }
    }

    /// Makes two buckets of an empty one, in which `entry` was.
    fn divide(&mut self, bucket: usize, entry: Entry) {
        let depth = self.depths[bucket];
        if u32::from(depth) == self.bits {
            self.buckets = self.buckets.iter().flat_map(|bucket| [*bucket; 2]).collect();
            self.bits += 1;
        }
        self.depths[bucket] = depth + 1;
        let other = self.add_bucket(depth + 1);
        let width = 1 << (self.bits - u32::from(depth));
        let start = entry.prefix(self.bits) / width * width;
        self.buckets[start + width / 2..start + width].fill(other);
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
        let mut repeats = Repeats::with_most(Span::HOUR, 4);
        for n in 0..100_000u32 {
            let time = i64::from(n) * Span::SECOND.0 / 100;
            assert!(repeats.find(&[id(n)], &[time], &[time]).is_empty());
            assert!(repeats.entries.len() <= 16 * ENTRIES);
        }
        let held: u64 = repeats.lengths.iter().map(|length| u64::from(*length)).sum();
        assert_eq!(repeats.forgotten_early(), 100_000 - held);
        let end = 1_000 * Span::SECOND.0;
        assert!((99_500..100_000).all(|n| !repeats.find(&[id(n)], &[end], &[end]).is_empty()));
    }

    /// A bucket that is full of what is forgotten is used again.
    #[test]
    fn what_is_forgotten_makes_room() {
        let mut repeats = Repeats::new(Span::HOUR);
        for n in 0..200_000u32 {
            // A hundred a minute: some 6,000 are remembered.
            assert!(admit(&mut repeats, n, i64::from(n / 100), i64::from(n / 100)));
        }
        assert!(repeats.entries.len() <= 128 * ENTRIES, "{}", repeats.entries.len());
        assert!((194_100..200_000).all(|n| !admit(&mut repeats, n, 1_999, 1_999)));
        assert_eq!(repeats.forgotten_early(), 0);
    }

    /// As one at a time, though the buckets divide in between.
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
