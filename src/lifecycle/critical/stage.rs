//! The critical results of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::CriticalChanges;
use super::{CriticalRules, CriticalStep, PartitionResults};
use crate::flow::Partition;
use crate::lifecycle::cut::BatchRises;

/// Critical results as they are followed.
#[derive(Debug)]
pub struct CriticalResults {
    rules: Arc<CriticalRules>,
    partitions: BTreeMap<Arc<Partition>, PartitionResults>,
}

impl CriticalResults {
    /// Nothing has been seen.
    pub fn new(rules: Arc<CriticalRules>) -> CriticalResults {
        CriticalResults { rules, partitions: BTreeMap::new() }
    }

    fn of(&mut self, partition: &Arc<Partition>) -> &mut PartitionResults {
        let rules = &self.rules;
        let new = || PartitionResults::new(Arc::clone(rules));
        self.partitions.entry(Arc::clone(partition)).or_insert_with(new)
    }

    /// Takes in a batch's steps, in which the watermark rose so, and does what is due by the partition's
    /// watermark after it.
    pub fn batch(
        &mut self,
        partition: &Arc<Partition>,
        (steps, rises): (Vec<CriticalStep>, &BatchRises),
        watermark: i64,
    ) -> CriticalChanges {
        self.of(partition).batch(steps, rises, watermark)
    }

    /// Does what is due by a watermark that moved without a record.
    pub fn advance(&mut self, partition: &Arc<Partition>, watermark: i64) -> CriticalChanges {
        self.of(partition).advance(watermark)
    }

    /// Nothing will come of a partition any more: what waits is applied.
    pub fn end(&mut self, partition: &Arc<Partition>) -> CriticalChanges {
        self.of(partition).end()
    }

    /// The input has ended at `end`: all that waits is applied, and timers go off up to there.
    pub fn finish(&mut self, end: i64) -> Vec<(Arc<Partition>, CriticalChanges)> {
        let finish = |(partition, results): (&Arc<Partition>, &mut PartitionResults)| {
            (Arc::clone(partition), results.finish(end))
        };
        self.partitions.iter_mut().map(finish).collect()
    }

    /// Bytes of memory that are held.
    pub fn bytes(&self) -> usize {
        self.partitions.values().map(PartitionResults::bytes).sum()
    }
}
