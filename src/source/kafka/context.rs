//! What librdkafka calls back: rebalances, errors, logs, statistics.
//!
//! The callbacks run on the thread that polls. They do what cannot wait (take and give back
//! partitions) and note the rest down for that thread to judge.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::sight::{self, TopicSight};

/// A topic's callbacks.
pub(super) struct Context {
    topic: String,
    /// The next offset to read of each partition, so that a partition that was lost and came back
    /// goes on where it was; -1 for the earliest.
    positions: OnceLock<Box<[AtomicI64]>>,
    notes: Mutex<CallbackNotes>,
}

#[derive(Default)]
struct CallbackNotes {
    closing: bool,
    assigned: BTreeSet<i32>,
    /// Partitions that have been given to this member, and nobody has looked at it yet.
    given: BTreeSet<i32>,
    problem: Option<Problem>,
    /// librdkafka's own words on the last thing that failed.
    failure: Option<String>,
    sight: Option<TopicSight>,
    #[cfg(test)]
    pauses: usize,
    #[cfg(test)]
    losses: usize,
}

/// What the polling thread must act upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The group gave partitions of ours to another member.
    TakenAway,
    /// The group gave us a partition that was not there at the start.
    NewPartition(i32),
    /// The broker refuses our credentials.
    Refused(String),
    /// TLS cannot be agreed upon.
    Tls(String),
    /// librdkafka refused what we asked in a rebalance.
    Rebalance(String),
}

impl Context {
    pub(super) fn new(topic: &str) -> Context {
        Context {
            topic: topic.to_owned(),
            positions: OnceLock::new(),
            notes: Mutex::new(CallbackNotes::default()),
        }
    }

    /// Says how many partitions there are. Before it is said, none can be taken.
    pub(super) fn expect_partitions(&self, count: usize) {
        self.positions.get_or_init(|| (0..count).map(|_| AtomicI64::new(-1)).collect());
    }

    /// Notes the next offset to read.
    pub(super) fn set_position(&self, partition: i32, next: i64) {
        if let Some(position) = self.position(partition) {
            position.store(next, Ordering::Relaxed);
        }
    }

    /// From now on partitions that are taken are given up on purpose.
    pub(super) fn closing(&self) {
        self.notes().closing = true;
    }

    /// How many partitions this member holds.
    pub(super) fn assigned(&self) -> usize {
        self.notes().assigned.len()
    }

    pub(super) fn holds(&self, partition: i32) -> bool {
        self.notes().assigned.contains(&partition)
    }

    /// The partitions that this member was given since the last call.
    pub(super) fn take_given(&self) -> BTreeSet<i32> {
        std::mem::take(&mut self.notes().given)
    }

    pub(super) fn take_problem(&self) -> Option<Problem> {
        self.notes().problem.take()
    }

    /// The statistics that came since the last call.
    pub(super) fn take_sight(&self) -> Option<TopicSight> {
        self.notes().sight.take()
    }

    pub(super) fn last_failure(&self) -> Option<String> {
        self.notes().failure.clone()
    }

    /// Tells of back-pressure.
    pub(super) fn note_pause(&self) {
        tracing::debug!(topic = self.topic, "the loop is busy; pausing");
        #[cfg(test)]
        {
            self.notes().pauses += 1;
        }
    }

    /// How often the partitions were paused.
    #[cfg(test)]
    pub(super) fn pauses(&self) -> usize {
        self.notes().pauses
    }

    /// How often partitions were taken from this member.
    #[cfg(test)]
    pub(super) fn losses(&self) -> usize {
        self.notes().losses
    }

    /// Notes that this member was given partitions.
    pub(super) fn note_given(&self, partitions: &[i32]) {
        let mut notes = self.notes();
        notes.assigned.extend(partitions);
        notes.given.extend(partitions);
    }

    fn position(&self, partition: i32) -> Option<&AtomicI64> {
        self.positions.get()?.get(usize::try_from(partition).ok()?)
    }

    fn notes(&self) -> MutexGuard<'_, CallbackNotes> {
        // Every note is whole by itself; one that panicked half-way leaves nothing broken.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let indices: Vec<i32> = partitions.elements().iter().map(|e| e.partition()).collect();
        for index in &indices {
            if self.position(*index).is_none() {
                self.notes().problem.get_or_insert(Problem::NewPartition(*index));
                continue;
            }
            partitions.set_partition_offset(&self.topic, *index, self.place(*index))?;
        }
        consumer.incremental_assign(partitions)?;
        tracing::debug!(topic = self.topic, partitions = ?indices, "took partitions");
        let kept = self.keep_place(consumer, &indices)?;
        self.note_given(&indices);
        self.note_given(&kept);
        Ok(())
    }

    /// Tells librdkafka where those partitions are to be read on that this member keeps. It pauses them
    /// for a rebalance, and goes on from its own idea of what was taken; where the last thing that was
    /// taken is a partition's end, that idea is one beyond it: the next record would be passed over, or
    /// the partition be said to end before where it is read. (`rd_kafka_consume_batch_queue` counts the
    /// end as a record.) What it had fetched is fetched anew.
    fn keep_place(&self, consumer: &BaseConsumer<Self>, given: &[i32]) -> KafkaResult<Vec<i32>> {
        let held = self.notes().assigned.clone();
        let kept: Vec<i32> = held.into_iter().filter(|index| !given.contains(index)).collect();
        if kept.is_empty() {
            return Ok(kept);
        }
        let mut places = TopicPartitionList::with_capacity(kept.len());
        for index in &kept {
            places.add_partition_offset(&self.topic, *index, self.place(*index))?;
        }
        // Not waited for: it is done before anything that is fetched later can be taken.
        consumer.seek_partitions(places, Duration::ZERO)?;
        Ok(kept)
    }

    /// Where a partition is to be read on.
    fn place(&self, index: i32) -> Offset {
        match self.position(index).map(|position| position.load(Ordering::Relaxed)) {
            Some(next) if next >= 0 => Offset::Offset(next),
            Some(_) | None => Offset::Beginning,
        }
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> KafkaResult<()> {
        // Lost: this member was out of reach for too long, and will ask for them again.
        let lost = consumer.assignment_lost();
        consumer.incremental_unassign(partitions)?;
        let mut notes = self.notes();
        #[cfg(test)]
        {
            notes.losses += 1;
        }
        for element in partitions.elements() {
            notes.assigned.remove(&element.partition());
        }
        if lost {
            tracing::warn!(
                topic = self.topic,
                "the group took this member for dead; joining again"
            );
        } else if !notes.closing && partitions.count() > 0 {
            notes.problem.get_or_insert(Problem::TakenAway);
        }
        Ok(())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
        let mut notes = self.notes();
        if facility == "FAIL" && !notes.closing {
            notes.failure = Some(message.to_owned());
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match sight::read(statistics, &self.topic) {
            Ok(sight) => self.notes().sight = Some(sight),
            Err(error) => tracing::warn!(%error, "could not read librdkafka's statistics"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = reason.to_owned();
        let mut notes = self.notes();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                notes.problem = Some(Problem::Refused(reason.clone()));
            }
            Some(RDKafkaErrorCode::SSL) => notes.problem = Some(Problem::Tls(reason.clone())),
            // Says only that every broker failed; the reason came before.
            Some(RDKafkaErrorCode::AllBrokersDown) if notes.failure.is_some() => return,
            _ => {}
        }
        notes.failure = Some(reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let outcome = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, partitions)
        } else {
            self.revoke(consumer, partitions)
        };
        if let Err(error) = outcome {
            self.notes().problem = Some(Problem::Rebalance(error.to_string()));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(topic = self.topic, %error, "could not commit offsets; they are advisory");
        }
    }
}
