//! The thread that reads one topic: messages in, batches and ends out.
//!
//! Keeps each partition's order, delivers every message once. What has been fetched waits in
//! librdkafka's bounded queues, one for each partition, and is taken a batch at a time: when there
//! is enough of it, or it has waited for long enough, and the partition is not ahead of the others.
//! While the loop does not take batches, none is taken here, and fetching comes to rest by itself;
//! the group's events are polled all the while, so that it keeps this member. It does not decide
//! what a batch means.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use turnaround_kafka_queue::PartitionQueue;

use super::context::Context;
use super::faults;
use super::faults::ReadEnd;
use super::health::{Health, WatchedTopic};
use super::lane::{Bounds, Lane};
use super::{SourceError, SourceEvent, TopicSettings};
use crate::source::align::Alignment;
use crate::source::pool::Pool;

/// How long the loop may leave a batch untaken before the partitions are called paused.
const PAUSE_AFTER: Duration = Duration::from_millis(500);

/// The rest while there is more to read, or batches wait for the loop.
const SHORT_REST: Duration = Duration::from_millis(5);

/// The rest at the end of the topic: how soon a message or a stop is noticed.
const LIVE_REST: Duration = Duration::from_millis(50);

/// Where a reader hands its events, and what tells it to go on or to stop.
pub(super) struct Reins {
    pub(super) sender: mpsc::Sender<Result<SourceEvent, SourceError>>,
    pub(super) alignment: Arc<Alignment>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Reads one topic.
pub(super) struct Reader {
    /// By partition number. Before the consumer: they are dropped in this order.
    pub(super) lanes: Vec<Lane>,
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) topic: String,
    pub(super) settings: TopicSettings,
    reins: Reins,
    /// Events that the loop has no room for yet: those of one batch at most.
    outbox: VecDeque<SourceEvent>,
    /// The lane whose turn it is.
    turn: usize,
    /// Since when the loop has had no room.
    full_since: Option<Instant>,
    paused: bool,
    pub(super) health: Health,
}

impl Reader {
    /// A reader of a topic's partitions, none of which has been assigned yet.
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        topic: &str,
        bounds: &[Bounds],
        settings: &TopicSettings,
        reins: Reins,
    ) -> Result<Reader, SourceError> {
        let pool = Pool::default();
        let count = bounds.len();
        let lane = |bounds: &Bounds| {
            let queue = PartitionQueue::split(Arc::clone(&consumer), topic, bounds.partition.index);
            let queue = queue.ok_or_else(|| SourceError::Failed {
                attempted: format!("read partition `{}` by itself", bounds.partition),
                source: anyhow::anyhow!("librdkafka has no queue for it"),
            })?;
            Ok(Lane::new(bounds, queue, pool.clone(), settings.once, count))
        };
        let lanes = bounds.iter().map(lane).collect::<Result<_, SourceError>>()?;
        Ok(Reader {
            lanes,
            consumer,
            topic: topic.to_owned(),
            settings: settings.clone(),
            reins,
            outbox: VecDeque::new(),
            turn: 0,
            full_since: None,
            paused: false,
            health: Health::default(),
        })
    }

    /// Joins the group and reads on a thread of its own.
    pub(super) fn start(mut self) -> Result<JoinHandle<()>, SourceError> {
        let topic = self.topic.clone();
        let failed = |source: anyhow::Error| SourceError::Failed {
            attempted: format!("start to read topic `{topic}`"),
            source,
        };
        self.consumer.subscribe(&[&self.topic]).map_err(|error| failed(error.into()))?;
        std::thread::Builder::new()
            .name(format!("kafka-{topic}"))
            .spawn(move || self.run())
            .map_err(|error| failed(error.into()))
    }

    fn run(&mut self) {
        match self.read() {
            Ok(()) | Err(ReadEnd::Unwanted) => {}
            Err(ReadEnd::Failed(error)) => {
                if self.reins.sender.blocking_send(Err(error)).is_err() {
                    tracing::debug!(topic = self.topic, "failed after nobody waited any more");
                }
            }
        }
        for lane in &self.lanes {
            lane.meters.paused.set(0.0);
        }
    }

    fn read(&mut self) -> Result<(), ReadEnd> {
        let mut rest = Duration::ZERO;
        loop {
            if self.reins.stop.load(Ordering::SeqCst) {
                return Err(ReadEnd::Unwanted);
            }
            self.serve_group(rest)?;
            self.watch()?;
            let now = Instant::now();
            if !self.hand_over(now)? {
                rest = SHORT_REST;
                continue;
            }
            if self.lanes.iter().all(|lane| lane.read && !lane.to_tell) {
                self.outbox.push_back(SourceEvent::End);
                return self.hand_over_at_last();
            }
            rest = match self.gather(now)? {
                true => Duration::ZERO,
                false if self.lanes.iter().all(|lane| lane.at_end || lane.read) => LIVE_REST,
                false => SHORT_REST,
            };
        }
    }

    /// Looks at what the callbacks have noted.
    pub(super) fn watch(&mut self) -> Result<(), ReadEnd> {
        self.health.watch(&mut WatchedTopic {
            consumer: &self.consumer,
            lanes: &mut self.lanes,
            settings: &self.settings,
            topic: &self.topic,
        })
    }

    /// Serves the group: rebalances, statistics, answers to commits, errors of the client.
    fn serve_group(&mut self, rest: Duration) -> Result<(), ReadEnd> {
        let consumer = Arc::clone(&self.consumer);
        match consumer.poll(rest) {
            None => Ok(()),
            Some(Err(error)) => self.judge(&error),
            // Every partition has a queue of its own.
            Some(Ok(message)) => {
                Err(faults::new_partition(&self.topic, message.partition()).into())
            }
        }
    }

    /// What went wrong, if it cannot be borne.
    fn judge(&self, error: &KafkaError) -> Result<(), ReadEnd> {
        let reason = self.consumer.context().last_failure();
        match faults::verdict(error, reason, &self.settings, &self.topic) {
            Some(fault) => Err(fault.into()),
            None => {
                tracing::debug!(topic = self.topic, %error, "Kafka reports; librdkafka tries again");
                Ok(())
            }
        }
    }

    /// Gives the lanes their turns, until one has brought something. True when one has.
    fn gather(&mut self, now: Instant) -> Result<bool, ReadEnd> {
        let slowest = self.reins.alignment.slowest(now);
        for _ in 0..self.lanes.len() {
            let at = self.turn % self.lanes.len();
            self.turn = at + 1;
            let lane = &mut self.lanes[at];
            let due = lane.is_due(now);
            let ahead = due && !self.reins.alignment.may_read(&lane.partition, slowest);
            lane.hold(ahead);
            if due && !ahead {
                self.take(at, now)?;
            } else if lane.to_tell && (lane.read || lane.is_drained()) {
                self.tell(at, now);
            }
            if !self.outbox.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes what waits of a partition.
    fn take(&mut self, at: usize, now: Instant) -> Result<(), ReadEnd> {
        let lane = &mut self.lanes[at];
        let turn = lane.take(self.settings.as_of);
        self.consumer.context().set_position(lane.partition.index, lane.next);
        if turn.lags {
            self.reins.alignment.lags(&lane.partition);
        }
        self.outbox.extend(turn.batch.map(SourceEvent::Batch));
        if let Some(fault) = turn.fault {
            self.judge(&fault)?;
        }
        if self.lanes[at].to_tell {
            self.tell(at, now);
        }
        Ok(())
    }

    /// Says that a partition is read to its end.
    fn tell(&mut self, at: usize, now: Instant) {
        let lane = &mut self.lanes[at];
        lane.to_tell = false;
        let partition = Arc::clone(&lane.partition);
        self.outbox.push_back(if lane.read {
            self.reins.alignment.ended(&partition);
            SourceEvent::Ended(partition)
        } else {
            self.reins.alignment.reached_end(&partition, now);
            SourceEvent::CaughtUp(partition, now)
        });
    }

    /// Hands events to the loop while it has room. True when none is left.
    fn hand_over(&mut self, now: Instant) -> Result<bool, ReadEnd> {
        while let Some(event) = self.outbox.pop_front() {
            match self.reins.sender.try_send(Ok(event)) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return Err(ReadEnd::Unwanted),
                Err(TrySendError::Full(back)) => {
                    if let Ok(event) = back {
                        self.outbox.push_front(event);
                    }
                    let since = *self.full_since.get_or_insert(now);
                    if !self.paused && now.saturating_duration_since(since) >= PAUSE_AFTER {
                        self.call_paused(true);
                    }
                    return Ok(false);
                }
            }
        }
        self.full_since = None;
        if self.paused {
            self.call_paused(false);
        }
        Ok(true)
    }

    /// Waits until the last events are taken.
    fn hand_over_at_last(&mut self) -> Result<(), ReadEnd> {
        while !self.hand_over(Instant::now())? {
            if self.reins.stop.load(Ordering::SeqCst) {
                return Err(ReadEnd::Unwanted);
            }
            self.serve_group(SHORT_REST)?;
        }
        Ok(())
    }

    /// Notes that nothing is read because the loop is busy, or that it is read on.
    fn call_paused(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.consumer.context().note_pause();
        }
        for lane in self.lanes.iter().filter(|lane| !lane.read) {
            lane.meters.paused.set(if paused { 1.0 } else { 0.0 });
        }
    }
}
