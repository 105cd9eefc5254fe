//! Tests and other entities as a run follows them: what moves when a batch comes, a watermark moves, or a
//! partition ends.
//!
//! Handed on from batch to batch as the judge is, so that each finds what those before it have left. A
//! partition that has ended goes on with the job: what it holds open comes to be due as time passes in
//! the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::flow::{IdleAdvance, Partition, Timestamp};
use crate::judge::Judged;
use crate::lifecycle::change::{Cause, Changes};
use crate::lifecycle::critical::{CriticalChanges, CriticalResults, CriticalStep};
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::entity::{Entities, EntityStep, Moves};
use crate::lifecycle::{Lifecycle, Partitions, Prepared, ScatteredTubes};
use crate::plan::follow::{CriticalPlan, FollowPlan, MachinePlan};
use crate::window::JobWatermark;

/// What has changed in a partition.
pub(super) struct PartitionChanges {
    pub(super) partition: Arc<Partition>,
    /// Of tests; nothing where they are not followed.
    pub(super) tests: Changes,
    /// Of critical results; nothing where they are not followed.
    pub(super) critical: CriticalChanges,
    /// Of the entities of each machine that is followed.
    pub(super) machines: Vec<Moves>,
}

impl PartitionChanges {
    fn none(partition: Arc<Partition>) -> PartitionChanges {
        PartitionChanges {
            partition,
            tests: Changes::default(),
            critical: CriticalChanges::default(),
            machines: Vec::new(),
        }
    }

    /// What brought the changes about: of tests, of critical results, then of each machine's entities.
    pub(super) fn causes(&self) -> impl Iterator<Item = &[Cause]> {
        let machines = self.machines.iter().map(|moves| moves.causes.as_slice());
        [self.tests.causes.as_slice(), &self.critical.moves.causes].into_iter().chain(machines)
    }

    /// Whether nothing has changed.
    pub(super) fn is_nothing(&self) -> bool {
        self.causes().all(<[Cause]>::is_empty)
    }
}

/// A batch as the stages take it: what came before them can be told on any core.
pub(super) struct FollowedBatch {
    pub(super) partition: Arc<Partition>,
    /// Steps of tests; none where they are not followed.
    pub(super) tests: Option<Prepared>,
    /// Steps of critical results.
    pub(super) critical: Vec<CriticalStep>,
    /// Steps of the entities of each machine.
    pub(super) machines: Vec<Vec<EntityStep>>,
    pub(super) rises: BatchRises,
    pub(super) watermark: Timestamp,
}

impl FollowedBatch {
    /// The rows of the events that are steps.
    pub(super) fn rows(&self) -> impl Iterator<Item = u32> {
        let tests = self.tests.iter().flat_map(Prepared::rows);
        let critical = self.critical.iter().map(CriticalStep::batch_row);
        tests.chain(critical).chain(self.machines.iter().flatten().map(|step| step.batch_row))
    }
}

/// How it stands with what is followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FollowedState {
    /// Bytes of memory that are held.
    pub(super) bytes: usize,
    /// Whether tubes' events came on one partition each.
    pub(super) scattered: ScatteredTubes,
}

/// The tests and entities of a run.
pub(super) struct Following {
    tests: Option<Lifecycle>,
    critical: Option<Partitions<CriticalResults>>,
    machines: Vec<Partitions<Entities>>,
    watermark: JobWatermark,
    ended: Vec<Arc<Partition>>,
}

impl Following {
    /// Nothing has been seen of these partitions.
    pub(super) fn new(plan: &FollowPlan, partitions: &[Arc<Partition>]) -> Following {
        let tests = plan.tests.as_ref();
        let critical = plan.critical.as_ref();
        Following {
            critical: critical.map(CriticalPlan::results),
            tests: tests.map(|plan| {
                Lifecycle::new(plan.shared.clone(), plan.wanted).over(partitions.len())
            }),
            machines: plan.machines.iter().map(MachinePlan::entities).collect(),
            watermark: JobWatermark::new(partitions),
            ended: Vec::new(),
        }
    }

    /// Takes in a batch; the first of what is given is its own partition's.
    pub(super) fn batch(&mut self, batch: FollowedBatch) -> Vec<PartitionChanges> {
        let FollowedBatch { partition, tests, critical, machines, rises, watermark } = batch;
        self.watermark.observe(&partition, watermark);
        let mut own = PartitionChanges::none(partition);
        // First what centres publish, so that tests find it.
        for (stage, steps) in self.machines.iter_mut().zip(machines) {
            own.machines.push(stage.batch(&own.partition, (steps, &rises), watermark.0));
        }
        self.publish(&own);
        if let (Some(stage), Some(prepared)) = (&mut self.tests, tests) {
            own.tests = stage.batch(&own.partition, (prepared, &rises), watermark.0);
        }
        if let Some(stage) = &mut self.critical {
            own.critical = stage.batch(&own.partition, (critical, &rises), watermark.0);
        }
        std::iter::once(own).chain(self.move_ended()).collect()
    }

    /// Takes in watermarks that have moved without a record.
    pub(super) fn moved(&mut self, moved: &[IdleAdvance]) -> Vec<PartitionChanges> {
        let mut all = Vec::new();
        for IdleAdvance { partition, watermark, .. } in moved {
            self.watermark.observe(partition, *watermark);
            all.push(self.advance(partition, *watermark));
        }
        all.extend(self.move_ended());
        all
    }

    /// Nothing will come of a partition any more: what waits in it is applied.
    pub(super) fn ended(&mut self, partition: &Arc<Partition>) -> Vec<PartitionChanges> {
        self.watermark.end(partition);
        self.ended.push(Arc::clone(partition));
        let mut own = PartitionChanges::none(Arc::clone(partition));
        own.machines = self.machines.iter_mut().map(|stage| stage.end(partition)).collect();
        self.publish(&own);
        own.tests = self.tests.as_mut().map(|stage| stage.end(partition)).unwrap_or_default();
        own.critical = self.critical.as_mut().map(|stage| stage.end(partition)).unwrap_or_default();
        std::iter::once(own).chain(self.move_ended()).collect()
    }

    /// The input has ended, having come so far.
    pub(super) fn finish(&mut self, reached: Option<Timestamp>) -> Vec<PartitionChanges> {
        let Some(reached) = reached else { return Vec::new() };
        let mut all: BTreeMap<Arc<Partition>, PartitionChanges> = BTreeMap::new();
        let none = |partition: &Arc<Partition>| PartitionChanges::none(Arc::clone(partition));
        let machines = self.machines.iter_mut().map(|stage| stage.finish(reached.0));
        for (number, finished) in machines.enumerate() {
            for (partition, moves) in finished {
                let own = all.entry(partition).or_insert_with_key(none);
                own.machines.resize_with(number, Moves::default);
                own.machines.push(moves);
            }
        }
        all.values().for_each(|own| self.publish(own));
        let tests = self.tests.as_mut().map(|stage| stage.finish(reached.0)).unwrap_or_default();
        for (partition, changes) in tests {
            all.entry(partition).or_insert_with_key(none).tests = changes;
        }
        let critical = self.critical.as_mut().map(|stage| stage.finish(reached.0));
        for (partition, changes) in critical.unwrap_or_default() {
            all.entry(partition).or_insert_with_key(none).critical = changes;
        }
        all.into_values().collect()
    }

    fn advance(&mut self, partition: &Arc<Partition>, to: Timestamp) -> PartitionChanges {
        let mut own = PartitionChanges::none(Arc::clone(partition));
        let machines = self.machines.iter_mut().map(|stage| stage.advance(partition, to.0));
        own.machines = machines.collect();
        self.publish(&own);
        let tests = self.tests.as_mut().map(|stage| stage.advance(partition, to.0));
        let critical = self.critical.as_mut().map(|stage| stage.advance(partition, to.0));
        (own.tests, own.critical) = (tests.unwrap_or_default(), critical.unwrap_or_default());
        own
    }

    /// Tells the tests of a partition which targets its centres have published. They count from when it
    /// was known in the partition that they are in force: a test that was received before keeps its own.
    fn publish(&mut self, own: &PartitionChanges) {
        let Some(tests) = &mut self.tests else { return };
        for moved in own.machines.iter().flat_map(|moves| &moves.moved) {
            let (Some(targets), Some(lab)) = (&moved.in_force, moved.key.text(0)) else { continue };
            let valid_from = Timestamp(moved.at.max(moved.watermark_before));
            tests.publish(&own.partition, lab, (targets, valid_from));
        }
    }

    /// How it stands with it.
    pub(super) fn state(&self) -> FollowedState {
        let scattered = self.tests.as_ref().map(Lifecycle::scattered).unwrap_or_default();
        FollowedState { bytes: self.bytes(), scattered }
    }

    /// Bytes of memory that are held.
    fn bytes(&self) -> usize {
        let machines: usize = self.machines.iter().map(Partitions::bytes).sum();
        let critical = self.critical.as_ref().map_or(0, Partitions::bytes);
        self.tests.as_ref().map_or(0, Lifecycle::bytes) + critical + machines
    }

    fn move_ended(&mut self) -> Vec<PartitionChanges> {
        let job = self.watermark.current();
        let ended = self.ended.clone();
        let moved = ended.iter().map(|partition| self.advance(partition, job));
        moved.filter(|moved| !moved.is_nothing()).collect()
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
