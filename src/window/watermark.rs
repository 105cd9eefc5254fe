//! The job's watermark: how far event time has surely come in every partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::{Partition, Timestamp};

/// How far the input reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins: where groups are expected, windows without rows fire that end after this.
    pub begins_at: Timestamp,
    /// Where it ends: and no later than this.
    pub ends_at: Timestamp,
    /// From here on nothing of it is known to be missing; windows that begin before are incomplete.
    pub complete_from: Timestamp,
}

/// The job's watermark: the minimum over its partitions that have not ended, never decreasing.
#[derive(Clone, Debug)]
pub struct JobWatermark {
    partitions: BTreeMap<Arc<Partition>, Timestamp>,
    ended: BTreeSet<Partition>,
    begins: BTreeMap<Arc<Partition>, Timestamp>,
    /// Partitions whose first records are gone.
    trimmed: BTreeSet<Arc<Partition>>,
    current: Timestamp,
}

impl JobWatermark {
    /// The job's watermark over these partitions, none of which has delivered anything.
    pub fn new(partitions: &[Arc<Partition>]) -> JobWatermark {
        let partitions = partitions.iter().map(|p| (Arc::clone(p), Timestamp::MIN)).collect();
        JobWatermark {
            partitions,
            ended: BTreeSet::new(),
            begins: BTreeMap::new(),
            trimmed: BTreeSet::new(),
            current: Timestamp::MIN,
        }
    }

    /// Notes partitions whose first records are gone, so that what they held is missing.
    pub fn trimmed(&mut self, partitions: impl IntoIterator<Item = Arc<Partition>>) {
        self.trimmed.extend(partitions);
    }

    /// Takes in how far a partition has come.
    pub fn observe(&mut self, partition: &Arc<Partition>, watermark: Timestamp) {
        let slot = self.partitions.entry(Arc::clone(partition)).or_insert(Timestamp::MIN);
        *slot = (*slot).max(watermark);
        self.advance();
    }

    /// Notes that nothing will come of a partition any more. Once all have ended the job stands
    /// where it stood: how far time goes at the end of the input is not told by partitions.
    pub fn end(&mut self, partition: &Partition) {
        self.ended.insert(partition.clone());
        self.advance();
    }

    fn advance(&mut self) {
        let open = self.partitions.iter().filter(|(held, _)| !self.ended.contains(held.as_ref()));
        let slowest = open.map(|(_, watermark)| *watermark).min();
        self.current = self.current.max(slowest.unwrap_or(Timestamp::MIN));
    }

    /// Takes in where a partition begins.
    pub fn begin(&mut self, partition: &Arc<Partition>, at: Timestamp) {
        self.begins.insert(Arc::clone(partition), at);
    }

    /// How far the input reaches, if it ends at `ends_at`. It begins where its earliest partition does;
    /// what was before the first record of a trimmed one is missing. Of a trimmed partition that has
    /// no record nothing is known.
    pub fn extent(&self, ends_at: Timestamp) -> Extent {
        let begins_at = self.begins.values().min().copied().unwrap_or(Timestamp::MIN);
        let known = self.trimmed.iter().filter_map(|partition| self.begins.get(partition));
        let complete_from = known.max().copied().unwrap_or(Timestamp::MIN);
        Extent { begins_at, ends_at, complete_from }
    }

    /// How far the job has come.
    pub fn current(&self) -> Timestamp {
        self.current
    }

    /// How far one partition has come.
    pub fn of(&self, partition: &Partition) -> Timestamp {
        self.partitions.get(partition).copied().unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_holds_the_job() {
        let a = Arc::new(Partition { topic: "t".into(), index: 0 });
        let b = Arc::new(Partition { topic: "t".into(), index: 1 });
        let mut job = JobWatermark::new(&[Arc::clone(&a), Arc::clone(&b)]);
        job.observe(&a, Timestamp(50));
        assert_eq!(job.current(), Timestamp::MIN);
        job.observe(&b, Timestamp(20));
        assert_eq!(job.current(), Timestamp(20));
    }

    #[test]
    fn a_partition_that_has_ended_holds_nothing() {
        let held = [0, 1].map(|index| Arc::new(Partition { topic: "t".into(), index }));
        let mut job = JobWatermark::new(&held);
        job.end(&held[0]);
        job.observe(&held[1], Timestamp(50));
        assert_eq!(job.current(), Timestamp(50));
        job.end(&held[1]);
        assert_eq!(job.current(), Timestamp(50), "the last one's end is not the end of time");
    }

    #[test]
    fn the_input_begins_with_its_earliest_partition_and_is_complete_from_the_last_trimmed_one() {
        let [a, b, c] = [0, 1, 2].map(|index| Arc::new(Partition { topic: "t".into(), index }));
        let mut job = JobWatermark::new(&[Arc::clone(&a), Arc::clone(&b), Arc::clone(&c)]);
        let of = |begins_at, complete_from| Extent {
            begins_at: Timestamp(begins_at),
            ends_at: Timestamp(90),
            complete_from: Timestamp(complete_from),
        };
        assert_eq!(job.extent(Timestamp(90)), of(i64::MIN, i64::MIN));
        job.trimmed([Arc::clone(&b), Arc::clone(&c)]);
        job.begin(&a, Timestamp(10));
        assert_eq!(job.extent(Timestamp(90)), of(10, i64::MIN));
        job.begin(&b, Timestamp(50));
        assert_eq!(job.extent(Timestamp(90)), of(10, 50));
    }
}
