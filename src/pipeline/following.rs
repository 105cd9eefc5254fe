//! Tests as a run follows them: what moves when a batch comes, a watermark moves, or a partition ends.
//!
//! Handed on from batch to batch as the judge is, so that each finds what those before it have left. A
//! partition that has ended goes on with the job: what it holds open comes to be due as time passes in
//! the others.

use std::sync::Arc;

use crate::flow::{IdleAdvance, Partition, Timestamp};
use crate::judge::Judged;
use crate::lifecycle::change::Changes;
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::{Lifecycle, Prepared};
use crate::plan::follow::FollowPlan;
use crate::window::JobWatermark;

/// What has changed in a partition.
pub(super) struct PartitionChanges {
    pub(super) partition: Arc<Partition>,
    pub(super) changes: Changes,
}

/// A batch as the stage takes it: what came before it can be told on any core.
pub(super) struct FollowedBatch {
    pub(super) partition: Arc<Partition>,
    pub(super) prepared: Prepared,
    pub(super) rises: BatchRises,
    pub(super) watermark: Timestamp,
}

/// The tests of a run.
pub(super) struct Following {
    lifecycle: Lifecycle,
    watermark: JobWatermark,
    ended: Vec<Arc<Partition>>,
}

impl Following {
    /// Nothing has been seen of these partitions.
    pub(super) fn new(plan: &FollowPlan, partitions: &[Arc<Partition>]) -> Following {
        Following {
            lifecycle: Lifecycle::new(plan.shared.clone(), plan.wanted),
            watermark: JobWatermark::new(partitions),
            ended: Vec::new(),
        }
    }

    /// Takes in a batch; the first of what is given is its own partition's.
    pub(super) fn batch(&mut self, batch: FollowedBatch) -> Vec<PartitionChanges> {
        let FollowedBatch { partition, prepared, rises, watermark } = batch;
        self.watermark.observe(&partition, watermark);
        let changes = self.lifecycle.batch(&partition, (prepared, &rises), watermark.0);
        let own = PartitionChanges { partition, changes };
        std::iter::once(own).chain(self.move_ended()).collect()
    }

    /// Takes in watermarks that have moved without a record.
    pub(super) fn moved(&mut self, moved: &[IdleAdvance]) -> Vec<PartitionChanges> {
        let mut all = Vec::new();
        for IdleAdvance { partition, watermark, .. } in moved {
            self.watermark.observe(partition, *watermark);
            let changes = self.lifecycle.advance(partition, watermark.0);
            all.push(PartitionChanges { partition: Arc::clone(partition), changes });
        }
        all.extend(self.move_ended());
        all
    }

    /// Nothing will come of a partition any more: what waits in it is applied.
    pub(super) fn ended(&mut self, partition: &Arc<Partition>) -> Vec<PartitionChanges> {
        self.watermark.end(partition);
        self.ended.push(Arc::clone(partition));
        let changes = self.lifecycle.end(partition);
        let own = PartitionChanges { partition: Arc::clone(partition), changes };
        std::iter::once(own).chain(self.move_ended()).collect()
    }

    /// The input has ended, having come so far.
    pub(super) fn finish(&mut self, reached: Option<Timestamp>) -> Vec<PartitionChanges> {
        let Some(reached) = reached else { return Vec::new() };
        let all = self.lifecycle.finish(reached.0).into_iter();
        all.map(|(partition, changes)| PartitionChanges { partition, changes }).collect()
    }

    /// Bytes of memory that are held.
    pub(super) fn bytes(&self) -> usize {
        self.lifecycle.bytes()
    }

    fn move_ended(&mut self) -> Vec<PartitionChanges> {
        let Following { lifecycle, watermark, ended } = self;
        let job = watermark.current();
        let advance = |partition: &Arc<Partition>| PartitionChanges {
            partition: Arc::clone(partition),
            changes: lifecycle.advance(partition, job.0),
        };
        ended.iter().map(advance).filter(|moved| !moved.changes.causes.is_empty()).collect()
    }
}

/// How the watermark rose among all records of a batch.
pub(super) fn rises_of(judged: &Judged) -> BatchRises {
    let events = judged.events.offsets.iter().copied();
    let events = events.zip(judged.watermark_before.values().iter().copied());
    if judged.repeated.offsets.is_empty() && judged.dead_letters.is_empty() {
        return BatchRises::of(events);
    }
    let repeated = judged.repeated.offsets.iter().copied();
    let repeated = repeated.zip(judged.repeated_watermark.values().iter().copied());
    let letters = judged.dead_letters.iter().map(|(letter, stood)| (letter.offset, stood.0));
    let mut all: Vec<(i64, i64)> = events.chain(repeated).chain(letters).collect();
    all.sort_unstable();
    BatchRises::of(all)
}
