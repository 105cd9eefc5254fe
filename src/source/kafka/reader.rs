//! The thread that polls one topic: messages in, batches and ends out.
//!
//! Keeps each partition's order, delivers every message once, and never holds more than a batch
//! per partition beside librdkafka's own bounded queue. While the loop does not take batches it
//! pauses, and goes on polling. It does not decide what a batch means.
// long because one thread's states (reading, pausing, an outage, the end) are read side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::context::{Context, Problem};
use super::faults;
use super::lane::{Lane, record_time};
use super::sight::{PartitionSight, Sight};
use super::{KafkaSettings, SourceError, SourceEvent};

/// How long the loop may leave a batch untaken before the partitions are paused. Pausing throws
/// away what librdkafka holds ready, so a short wait is cheaper.
const PAUSE_AFTER: Duration = Duration::from_millis(500);

/// The longest poll: how soon a stop is noticed.
const POLL: Duration = Duration::from_millis(100);

/// The poll while batches are gathered or wait: well below a batch's age.
const SHORT_POLL: Duration = Duration::from_millis(10);

/// Batches are looked at for their age once in so many messages.
const MESSAGES_PER_LOOK: usize = 256;

/// How long the group may take to give this member every partition.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How often an outage is told of.
const OUTAGE_NOTICE: Duration = Duration::from_secs(30);

/// Why the reading ends.
enum Stop {
    /// Nobody waits for it any more.
    Unwanted,
    /// It cannot go on.
    Failed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Stop {
        Stop::Failed(error)
    }
}

type Sender = mpsc::Sender<Result<SourceEvent, SourceError>>;

/// Reads one topic.
pub(super) struct Reader {
    consumer: Arc<BaseConsumer<Context>>,
    topic: String,
    /// By partition number.
    lanes: Vec<Lane>,
    settings: KafkaSettings,
    sender: Sender,
    stop: Arc<AtomicBool>,
    paused: bool,
    /// Since when this member has not held every partition.
    incomplete_since: Option<Instant>,
    /// Since when no broker that serves a partition has been reachable.
    outage_since: Option<Instant>,
    outage_told: Option<Instant>,
}

impl Reader {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        topic: String,
        lanes: Vec<Lane>,
        settings: &KafkaSettings,
        sender: Sender,
        stop: Arc<AtomicBool>,
    ) -> Reader {
        Reader {
            consumer,
            topic,
            lanes,
            settings: settings.clone(),
            sender,
            stop,
            paused: false,
            incomplete_since: None,
            outage_since: None,
            outage_told: None,
        }
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
            Ok(()) | Err(Stop::Unwanted) => {}
            Err(Stop::Failed(error)) => {
                if self.sender.blocking_send(Err(error)).is_err() {
                    tracing::debug!(topic = self.topic, "failed after nobody waited any more");
                }
            }
        }
        for lane in &self.lanes {
            lane.meters.paused.set(0.0);
        }
    }

    fn read(&mut self) -> Result<(), Stop> {
        let consumer = Arc::clone(&self.consumer);
        self.incomplete_since = Some(Instant::now());
        let mut since_look = 0;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Stop::Unwanted);
            }
            let idle = self.lanes.iter().all(|lane| lane.gathered.is_empty());
            let event = consumer.poll(if idle { POLL } else { SHORT_POLL });
            since_look += 1;
            let full = match &event {
                Some(Ok(message)) => self.take(message)?,
                Some(Err(error)) => self.judge(error).map(|()| true)?,
                None => true,
            };
            if !full && since_look < MESSAGES_PER_LOOK {
                continue;
            }
            since_look = 0;
            self.watch()?;
            self.flush()?;
            if self.lanes.iter().all(Lane::is_read) {
                return self.deliver(SourceEvent::End);
            }
        }
    }

    /// Gathers a message; true when its batch is to go out.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<bool, Stop> {
        let index = message.partition();
        let offset = message.offset();
        let as_of = self.settings.as_of;
        let lane = self.lane(index).ok_or_else(|| faults::new_partition(message.topic(), index))?;
        if lane.read || offset < lane.next {
            // Beyond where to stop; or come again after a pause.
            return Ok(false);
        }
        if lane.stop_at.is_some_and(|stop_at| offset >= stop_at) {
            // What stood before it was removed by compaction or belongs to a transaction.
            lane.reach_end();
            self.set_flow(index, false)?;
            return Ok(true);
        }
        lane.gathered.push(
            offset,
            record_time(message.timestamp(), as_of),
            message.payload(),
            Instant::now(),
        );
        lane.next = offset + 1;
        lane.at_end = false;
        lane.to_tell = false;
        lane.meters.records.increment(1);
        if lane.stop_at == Some(lane.next) {
            lane.reach_end();
        }
        let (read, full) = (lane.read, lane.read || lane.gathered.is_full());
        self.consumer.context().set_position(index, offset + 1);
        if read {
            self.set_flow(index, false)?;
        }
        Ok(full)
    }

    /// What an event that is not a message means.
    fn judge(&mut self, error: &KafkaError) -> Result<(), Stop> {
        if let KafkaError::PartitionEOF(index) = error {
            if let Some(lane) = self.lane(*index) {
                lane.at_end = true;
                lane.reach_end();
            }
            return Ok(());
        }
        let reason = self.consumer.context().last_failure();
        match faults::verdict(error, reason, &self.settings, &self.topic) {
            Some(fault) => Err(fault.into()),
            None => {
                tracing::debug!(topic = self.topic, %error, "Kafka reports; librdkafka tries again");
                Ok(())
            }
        }
    }

    /// Looks at what the callbacks have noted.
    fn watch(&mut self) -> Result<(), Stop> {
        let consumer = Arc::clone(&self.consumer);
        let context = consumer.context();
        let (group, topic) = (&self.settings.group, &self.topic);
        match context.take_problem() {
            None => {}
            Some(Problem::TakenAway) => {
                let found = "another has just joined and was given some of the partitions";
                return Err(faults::several_instances(group, topic, found).into());
            }
            Some(Problem::NewPartition(index)) => {
                return Err(faults::new_partition(topic, index).into());
            }
            Some(Problem::Refused(reason)) => {
                return Err(faults::refused(&self.settings.brokers, &reason).into());
            }
            Some(Problem::Tls(reason)) => {
                tracing::warn!(topic, reason, "TLS with a broker failed; trying again");
            }
            Some(Problem::Rebalance(reason)) => {
                return Err(Stop::Failed(SourceError::Failed {
                    attempted: format!("take the partitions of topic `{topic}`; start again"),
                    source: anyhow::anyhow!(reason),
                }));
            }
        }
        let sight = context.take_sight();
        self.watch_membership(context.assigned())?;
        match sight {
            Some(sight) => self.look(&sight),
            None => Ok(()),
        }
    }

    /// Errs when the group leaves this member without every partition for too long.
    fn watch_membership(&mut self, assigned: usize) -> Result<(), Stop> {
        // During an outage nobody is given anything; the outage has its own limit.
        if assigned == self.lanes.len() || self.outage_since.is_some() {
            self.incomplete_since = None;
            return Ok(());
        }
        let since = *self.incomplete_since.get_or_insert_with(Instant::now);
        if since.elapsed() < JOIN_TIMEOUT {
            return Ok(());
        }
        let (all, group) = (self.lanes.len(), &self.settings.group);
        if assigned == 0 {
            let reason = self.consumer.context().last_failure();
            return Err(Stop::Failed(SourceError::Failed {
                attempted: format!(
                    "join group `{group}` within {} s; look at the group's coordinator",
                    JOIN_TIMEOUT.as_secs()
                ),
                source: anyhow::anyhow!(reason.unwrap_or_else(|| "no partition was given".into())),
            }));
        }
        let found = format!("this one was given {assigned} of {all} partitions");
        Err(faults::several_instances(group, &self.topic, &found).into())
    }

    /// Judges the statistics: lag, ends that still hold, outage.
    fn look(&mut self, sight: &Sight) -> Result<(), Stop> {
        let committed = self.reads_committed();
        let context = self.consumer.context();
        for lane in &mut self.lanes {
            let index = lane.partition.index;
            let Some(seen) = sight.partitions.get(&index) else { continue };
            let end = if committed { seen.stable } else { seen.high };
            let held = lane.at_end && seen.fresh && context.holds(index);
            if lane.read || held {
                lane.to_tell = true;
                lane.meters.lag.set(0.0);
            } else if let Some(end) = end {
                lane.meters.lag.set((end - lane.next).max(0) as f64);
            }
        }
        let reachable = |seen: &PartitionSight| seen.reachable;
        let wanted =
            |index: &i32| self.lanes.iter().any(|l| l.partition.index == *index && !l.read);
        let mut seen = sight.partitions.iter().filter(|(index, _)| wanted(index));
        if seen.any(|(_, seen)| reachable(seen)) {
            if self.outage_since.take().is_some() {
                tracing::info!(topic = self.topic, "Kafka can be reached again");
            }
            self.outage_told = None;
            return Ok(());
        }
        self.bear_outage()
    }

    /// Tells of an outage now and then, and errs when it has lasted too long.
    fn bear_outage(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        let since = *self.outage_since.get_or_insert(now);
        let (brokers, topic) = (&self.settings.brokers, &self.topic);
        let lasted = now.duration_since(since);
        let reason = self.consumer.context().last_failure();
        let reason = reason.unwrap_or_else(|| "no connection to a broker stands".to_owned());
        if lasted >= self.settings.outage_timeout {
            let seconds = lasted.as_secs();
            return Err(Stop::Failed(SourceError::Failed {
                attempted: format!(
                    "reach Kafka at `{brokers}` for {seconds} s while reading topic `{topic}`; \
                     look at the brokers and the network, and start again"
                ),
                source: anyhow::anyhow!(reason),
            }));
        }
        // The first moments after a start look like an outage.
        let due =
            self.outage_told.map_or(since + Duration::from_secs(5), |told| told + OUTAGE_NOTICE);
        if now >= due {
            self.outage_told = Some(now);
            tracing::warn!(
                brokers,
                topic,
                seconds = lasted.as_secs(),
                reason,
                "Kafka cannot be reached; trying on"
            );
        }
        Ok(())
    }

    /// Hands out what is due, and what is to be told once it is.
    fn flush(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if !lane.gathered.is_empty() && (lane.to_tell || lane.gathered.is_due(now)) {
                let batch = lane.gathered.take(&lane.partition);
                self.deliver(SourceEvent::Batch(batch))?;
            }
            let lane = &mut self.lanes[index];
            // A pause within `deliver` may have brought more.
            if lane.to_tell && lane.gathered.is_empty() {
                lane.to_tell = false;
                let partition = Arc::clone(&lane.partition);
                self.deliver(SourceEvent::CaughtUp(partition))?;
            }
        }
        Ok(())
    }

    /// Hands one event to the loop. Waits for room; when that takes long, pauses and polls.
    fn deliver(&mut self, event: SourceEvent) -> Result<(), Stop> {
        let consumer = Arc::clone(&self.consumer);
        let started = Instant::now();
        let mut event = Ok(event);
        loop {
            match self.sender.try_send(event) {
                Ok(()) => break,
                Err(TrySendError::Closed(_)) => return Err(Stop::Unwanted),
                Err(TrySendError::Full(back)) => event = back,
            }
            if self.stop.load(Ordering::SeqCst) {
                return Err(Stop::Unwanted);
            }
            if !self.paused {
                if started.elapsed() < PAUSE_AFTER {
                    // The loop unparks this thread when it has taken an event.
                    std::thread::park_timeout(SHORT_POLL);
                    continue;
                }
                self.pause(true)?;
            }
            match consumer.poll(SHORT_POLL) {
                // On its way when the pause began: it must not be lost.
                Some(Ok(message)) => self.take(&message).map(|_full| ())?,
                Some(Err(error)) => self.judge(&error)?,
                None => {}
            }
            self.watch()?;
        }
        if self.paused {
            self.pause(false)?;
        }
        Ok(())
    }

    /// Pauses or resumes every partition that is still to be read.
    fn pause(&mut self, pause: bool) -> Result<(), Stop> {
        self.paused = pause;
        if pause {
            self.consumer.context().note_pause();
        }
        let indices: Vec<i32> =
            self.lanes.iter().filter(|lane| !lane.read).map(|lane| lane.partition.index).collect();
        for index in indices {
            self.set_flow(index, !pause)?;
            if let Some(lane) = self.lane(index) {
                lane.meters.paused.set(if pause { 1.0 } else { 0.0 });
            }
        }
        Ok(())
    }

    /// Lets a partition flow, or stops it.
    fn set_flow(&mut self, index: i32, flow: bool) -> Result<(), Stop> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, index);
        let outcome = if flow { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        outcome.map_err(|error| {
            Stop::Failed(SourceError::Failed {
                attempted: format!(
                    "{} partition {index} of topic `{}`",
                    if flow { "resume" } else { "pause" },
                    self.topic
                ),
                source: error.into(),
            })
        })
    }

    fn lane(&mut self, index: i32) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::try_from(index).ok()?)
    }

    fn reads_committed(&self) -> bool {
        self.settings.options.get("isolation.level").is_none_or(|level| level == "read_committed")
    }
}
