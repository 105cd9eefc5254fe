//! The entities of one machine in all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Entities;
use super::moves::Moves;
use super::step::EntityStep;
use super::timers::Lengths;
use crate::flow::{Partition, Span};
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::machine::StateMachine;

/// The entities that a machine moves.
#[derive(Debug)]
pub struct MachineStage {
    machine: Arc<StateMachine>,
    lengths: Arc<dyn Lengths>,
    keep: Span,
    partitions: BTreeMap<Arc<Partition>, Entities>,
}

impl MachineStage {
    /// Nothing has been seen. A finished entity is kept for so long.
    pub fn new(machine: Arc<StateMachine>, lengths: Arc<dyn Lengths>, keep: Span) -> MachineStage {
        MachineStage { machine, lengths, keep, partitions: BTreeMap::new() }
    }

    fn of(&mut self, partition: &Arc<Partition>) -> &mut Entities {
        let MachineStage { machine, lengths, keep, partitions } = self;
        partitions
            .entry(Arc::clone(partition))
            .or_insert_with(|| Entities::new(Arc::clone(machine), Arc::clone(lengths), keep.0))
    }

    /// Takes in a batch's steps, in which the watermark rose so, and does what is due by the partition's
    /// watermark after it.
    pub fn batch(
        &mut self,
        partition: &Arc<Partition>,
        (steps, rises): (Vec<EntityStep>, &BatchRises),
        watermark: i64,
    ) -> Moves {
        self.of(partition).batch(steps, rises, watermark)
    }

    /// Does what is due by a watermark that moved without a record.
    pub fn advance(&mut self, partition: &Arc<Partition>, watermark: i64) -> Moves {
        self.of(partition).advance(watermark)
    }

    /// Nothing will come of a partition any more: what waits is applied.
    pub fn end(&mut self, partition: &Arc<Partition>) -> Moves {
        self.of(partition).end()
    }

    /// The input has ended at `end`: all that waits is applied, and timers go off up to there.
    pub fn finish(&mut self, end: i64) -> Vec<(Arc<Partition>, Moves)> {
        let finish = |(partition, entities): (&Arc<Partition>, &mut Entities)| {
            (Arc::clone(partition), entities.finish(end))
        };
        self.partitions.iter_mut().map(finish).collect()
    }

    /// Bytes of memory that are held.
    pub fn bytes(&self) -> usize {
        self.partitions.values().map(Entities::bytes).sum()
    }
}
