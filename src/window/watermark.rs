//! Watermarks: how far event time has surely come, per partition and for the job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::{Partition, Span, Timestamp};

/// The watermark of one partition: the largest event time so far minus `max_disorder`.
///
/// Never goes back. What is judged against it uses its value *before* the record in hand.
#[derive(Clone, Debug)]
pub struct PartitionWatermark {
    max_disorder: Span,
    current: Timestamp,
}

impl PartitionWatermark {
    /// The watermark of a partition that has delivered nothing.
    pub fn new(max_disorder: Span) -> PartitionWatermark {
        PartitionWatermark { max_disorder, current: Timestamp::MIN }
    }

    /// How far the partition has come.
    pub fn current(&self) -> Timestamp {
        self.current
    }

    /// Takes in the event times of consecutive records and returns, for each, the watermark that
    /// stood before it, in microseconds.
    pub fn observe(&mut self, event_times: &[i64]) -> Vec<i64> {
        let mut watermark = self.current.0;
        let before = event_times
            .iter()
            .map(|time| {
                let stood = watermark;
                watermark = watermark.max(time.saturating_sub(self.max_disorder.0));
                stood
            })
            .collect();
        self.current = Timestamp(watermark);
        before
    }

    /// Moves the watermark to `to` without a record, as an idle partition's does.
    pub fn advance_to(&mut self, to: Timestamp) {
        self.current = self.current.max(to);
    }
}

/// The job's watermark: the minimum over its partitions that have not ended, never decreasing.
#[derive(Clone, Debug)]
pub struct JobWatermark {
    partitions: BTreeMap<Arc<Partition>, Timestamp>,
    ended: BTreeSet<Partition>,
    current: Timestamp,
}

impl JobWatermark {
    /// The job's watermark over these partitions, none of which has delivered anything.
    pub fn new(partitions: &[Arc<Partition>]) -> JobWatermark {
        let partitions = partitions.iter().map(|p| (Arc::clone(p), Timestamp::MIN)).collect();
        JobWatermark { partitions, ended: BTreeSet::new(), current: Timestamp::MIN }
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
    use proptest::prelude::*;

    #[test]
    fn a_record_is_judged_by_the_watermark_before_it() {
        let mut watermark = PartitionWatermark::new(Span(10));
        assert_eq!(watermark.observe(&[100, 95, 120]), vec![i64::MIN, 90, 90]);
        assert_eq!(watermark.current(), Timestamp(110));
    }

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

    proptest! {
        #[test]
        fn the_watermark_never_goes_back(
            times in prop::collection::vec(0i64..1_000, 1..100),
            cut in 0usize..100,
        ) {
            let cut = cut.min(times.len());
            let mut whole = PartitionWatermark::new(Span(7));
            let expected = whole.observe(&times);
            prop_assert!(expected.windows(2).all(|pair| pair[0] <= pair[1]));
            let mut parts = PartitionWatermark::new(Span(7));
            let mut seen = parts.observe(&times[..cut]);
            seen.extend(parts.observe(&times[cut..]));
            prop_assert_eq!(seen, expected);
        }
    }
}
