//! What is followed in all partitions, each by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cut::BatchRises;
use super::follows::Follows;
use crate::flow::Partition;

/// By partition, what follows its entities.
pub struct Partitions<F> {
    new: Box<dyn Fn() -> F + Send>,
    followed: BTreeMap<Arc<Partition>, F>,
}

impl<F: Follows> Partitions<F> {
    /// Nothing has been seen; `new` makes what follows a partition's.
    pub fn new(new: impl Fn() -> F + Send + 'static) -> Partitions<F> {
        Partitions { new: Box::new(new), followed: BTreeMap::new() }
    }

    fn of(&mut self, partition: &Arc<Partition>) -> &mut F {
        self.followed.entry(Arc::clone(partition)).or_insert_with(&self.new)
    }

    /// Takes in a batch's steps, in which the watermark rose so, and does what is due by the partition's
    /// watermark after it.
    pub fn batch(
        &mut self,
        partition: &Arc<Partition>,
        (steps, rises): (Vec<F::Step>, &BatchRises),
        watermark: i64,
    ) -> F::Changes {
        self.of(partition).batch(steps, rises, watermark)
    }

    /// Does what is due by a watermark that moved without a record.
    pub fn advance(&mut self, partition: &Arc<Partition>, watermark: i64) -> F::Changes {
        self.of(partition).advance(watermark)
    }

    /// Nothing will come of a partition any more: what waits is applied.
    pub fn end(&mut self, partition: &Arc<Partition>) -> F::Changes {
        self.of(partition).end()
    }

    /// The input has ended at `end`: all that waits is applied, and timers go off up to there.
    pub fn finish(&mut self, end: i64) -> Vec<(Arc<Partition>, F::Changes)> {
        let followed = self.followed.iter_mut();
        followed.map(|(partition, one)| (Arc::clone(partition), one.finish(end))).collect()
    }

    /// Bytes of memory that are held.
    pub fn bytes(&self) -> usize {
        self.followed.values().map(Follows::bytes).sum()
    }
}
