//! Keeps partitions together in event time while they are read: which of them may be read on.
//!
//! Windows wait for the partition that has come least far. What is read of another beyond that
//! waits in memory, so a partition that is empty, short or a tenth as large as its neighbours would
//! have all of theirs held. Here each partition's batches are counted that lie beyond where the
//! slowest one stands, and a partition of which too much does is not read until the slowest has
//! come nearer. The slowest is always read, so reading goes on. What is held back waits in Kafka.
//!
//! This is about memory and speed alone: which rows a window counts does not depend on it. A lock
//! and the sources' words aside, pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::flow::{Partition, Timestamp};

/// How much of all partitions together may lie beyond the slowest: enough that no core waits while
/// the slowest one's next fetch is on its way, little beside what windows hold.
const MOST_AHEAD_BYTES: u64 = 64 * 1024 * 1024;

/// What each partition may have beyond the slowest however many there are: two batches.
const LEAST_AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Batches below this are counted as one.
const GRAIN_BYTES: u64 = 64 * 1024;

/// How long a partition that has been read to its end is waited for. A silent one becomes idle in
/// this time (30 s unless told otherwise) and then follows the others; one that gets a record now
/// and then, of an old event time, must not stop the others for good.
const WAIT_AT_END: Duration = Duration::from_secs(60);

/// How far partitions have come, shared by who reads and who judges.
#[derive(Debug, Default)]
pub struct Alignment {
    partitions: Mutex<BTreeMap<Arc<Partition>, Course>>,
}

#[derive(Debug)]
struct Course {
    watermark: Timestamp,
    place: ReadingPlace,
    /// What may lie beyond the slowest: the watermark after each batch, and its bytes.
    ahead: VecDeque<(Timestamp, u64)>,
    /// The bytes of all of these.
    ahead_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum ReadingPlace {
    /// There is more to read.
    Lagging,
    /// Read to its end, which may grow.
    AtEnd(Instant),
    /// Nothing will come any more.
    Ended,
}

impl Alignment {
    /// Partitions of which nothing has been read.
    pub fn new(partitions: &[Arc<Partition>]) -> Alignment {
        let course = || Course {
            watermark: Timestamp::MIN,
            place: ReadingPlace::Lagging,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
        };
        let partitions = partitions.iter().map(|held| (Arc::clone(held), course())).collect();
        Alignment { partitions: Mutex::new(partitions) }
    }

    /// A batch of so many bytes has brought a partition to `watermark`.
    pub fn judged(&self, partition: &Partition, bytes: u64, watermark: Timestamp) {
        let mut partitions = self.lock();
        let Some(course) = partitions.get_mut(partition) else { return };
        course.watermark = course.watermark.max(watermark);
        course.ahead_bytes += bytes;
        match course.ahead.back_mut().filter(|(_, held)| *held < GRAIN_BYTES) {
            Some((until, held)) => (*until, *held) = (course.watermark, *held + bytes),
            None => course.ahead.push_back((course.watermark, bytes)),
        }
    }

    /// A partition's watermark has moved on without a record.
    pub fn moved(&self, partition: &Partition, watermark: Timestamp) {
        if let Some(course) = self.lock().get_mut(partition) {
            course.watermark = course.watermark.max(watermark);
        }
    }

    /// There is more to read of a partition than a batch.
    pub fn lags(&self, partition: &Partition) {
        self.put(partition, ReadingPlace::Lagging);
    }

    /// A partition has been read to its end, which may grow.
    pub fn reached_end(&self, partition: &Partition, now: Instant) {
        let mut partitions = self.lock();
        if let Some(course) = partitions.get_mut(partition)
            && matches!(course.place, ReadingPlace::Lagging)
        {
            course.place = ReadingPlace::AtEnd(now);
        }
    }

    /// Nothing will come of a partition any more: nobody waits for it.
    pub fn ended(&self, partition: &Partition) {
        self.put(partition, ReadingPlace::Ended);
    }

    /// Where the slowest of the partitions stands that are waited for. It looks at all of them, so
    /// whoever asks about many of them asks for it once.
    pub fn slowest(&self, now: Instant) -> Timestamp {
        let partitions = self.lock();
        let waited_for = partitions.values().filter(|course| course.is_waited_for(now));
        waited_for.map(|course| course.watermark).min().unwrap_or(Timestamp::MAX)
    }

    /// Whether a partition may be read on: not too much of it lies beyond the slowest.
    pub fn may_read(&self, partition: &Partition, slowest: Timestamp) -> bool {
        let mut partitions = self.lock();
        let count = partitions.len().max(1) as u64;
        let Some(course) = partitions.get_mut(partition) else { return true };
        while let Some((_, bytes)) = course.ahead.pop_front_if(|(until, _)| *until <= slowest) {
            course.ahead_bytes -= bytes;
        }
        course.ahead_bytes <= (MOST_AHEAD_BYTES / count).max(LEAST_AHEAD_BYTES)
    }

    fn put(&self, partition: &Partition, place: ReadingPlace) {
        if let Some(course) = self.lock().get_mut(partition) {
            course.place = place;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<Partition>, Course>> {
        // Every change is whole by itself.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn is_waited_for(&self, now: Instant) -> bool {
        match self.place {
            ReadingPlace::Lagging => true,
            ReadingPlace::AtEnd(since) => now.saturating_duration_since(since) < WAIT_AT_END,
            ReadingPlace::Ended => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn partitions(count: i32) -> Vec<Arc<Partition>> {
        (0..count).map(|index| Arc::new(Partition { topic: "t".into(), index })).collect()
    }

    /// Reads as a source would: whoever may be read gives a batch of a MiB and an hour.
    fn read(alignment: &Alignment, partition: &Partition, hours: &mut i64, now: Instant) -> bool {
        let may = alignment.may_read(partition, alignment.slowest(now));
        if may {
            *hours += 1;
            alignment.judged(partition, MIB, Timestamp(*hours * 3_600_000_000));
        }
        may
    }

    #[test]
    fn no_partition_runs_ahead_of_the_slowest_by_more_than_its_share() {
        let (held, now) = (partitions(2), Instant::now());
        let alignment = Alignment::new(&held);
        let (mut fast, mut slow) = (0, 0);
        while read(&alignment, &held[0], &mut fast, now) {}
        assert_eq!(fast, 33, "32 MiB, and the batch that goes beyond");
        for _ in 0..100 {
            assert!(read(&alignment, &held[1], &mut slow, now), "the slowest is always read");
            while read(&alignment, &held[0], &mut fast, now) {}
            assert_eq!(fast - slow, 33, "hours of a MiB each");
        }
    }

    #[test]
    fn a_partition_that_has_ended_is_not_waited_for() {
        let (held, now) = (partitions(2), Instant::now());
        let alignment = Alignment::new(&held);
        alignment.ended(&held[1]);
        let mut hours = 0;
        assert!((0..1000).all(|_| read(&alignment, &held[0], &mut hours, now)));
    }

    #[test]
    fn one_at_its_end_is_waited_for_until_it_is_idle_or_a_minute_is_over() {
        let (held, now) = (partitions(16), Instant::now());
        let alignment = Alignment::new(&held);
        held[1..].iter().for_each(|partition| alignment.reached_end(partition, now));
        let mut hours = 0;
        while read(&alignment, &held[0], &mut hours, now) {}
        assert_eq!(hours, 9, "the least share is 8 MiB");
        held[1..].iter().for_each(|p| alignment.moved(p, Timestamp(5 * 3_600_000_000)));
        while read(&alignment, &held[0], &mut hours, now) {}
        assert_eq!(hours, 14, "the others have followed by five hours");
        // Said again, it is still the same end; more than a batch to read begins another.
        let later = now + WAIT_AT_END;
        held[1..].iter().for_each(|partition| alignment.reached_end(partition, later));
        assert!(alignment.may_read(&held[0], alignment.slowest(later)));
        alignment.lags(&held[1]);
        let before = hours;
        while read(&alignment, &held[0], &mut hours, later) {}
        assert_eq!(hours - before, 9, "its share again");
    }

    #[test]
    fn small_batches_are_counted_together() {
        let held = partitions(2);
        let alignment = Alignment::new(&held);
        for time in 0..100_000 {
            alignment.judged(&held[0], 100, Timestamp(time));
        }
        let counted = alignment.lock()[&held[0]].ahead.len();
        assert!(counted < 200, "{counted}");
        assert_eq!(alignment.lock()[&held[0]].ahead_bytes, 10_000_000);
        assert!(alignment.may_read(&held[0], Timestamp::MIN));
        // By the time that the last has, all lies behind the slowest.
        assert!(alignment.may_read(&held[0], Timestamp(99_999)));
        assert_eq!(alignment.lock()[&held[0]].ahead_bytes, 0);
    }

    #[test]
    fn a_partition_that_is_not_known_is_never_held_back() {
        let other = Partition { topic: "other".into(), index: 0 };
        assert!(Alignment::default().may_read(&other, Timestamp::MIN));
    }
}
