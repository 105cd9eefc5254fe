//! Kafka topics as partitions, read from their earliest offsets in one consumer group.
//!
//! Each topic has a consumer and a thread of its own. The threads hand batches over a short channel;
//! while it is full nothing is taken from librdkafka's bounded queues and fetching rests, and the
//! threads go on polling, so that the group keeps this member. Offsets are committed only when the loop says so, and are advisory: until checkpoints exist, every start
//! reads from the earliest offset. It does not create topics, and does not share partitions with
//! another instance: that needs checkpoints, and is an error that says so.

mod batch;
mod client;
mod consumer;
mod context;
mod faults;
mod health;
mod lane;
mod reader;
mod sight;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::align::Alignment;
use super::{ProgressUnit, QUIET_AFTER, Source, SourceError, SourceEvent, SourceProgress};
use crate::flow::{Extents, Framing, Offset, OffsetRange, Partition, RawBatch, Timestamp};
use context::Context;
use lane::Bounds;
use reader::{Reader, Reins};

/// How many events wait for the loop. With batches of at most
/// [`batch::BATCH_BYTES`] (or one large message) this bounds the memory of the channel.
const CHANNEL_EVENTS: usize = 4;

/// How often offsets are committed: a commit for each batch would be most of what a slow topic makes
/// a broker write.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// How to read topics.
#[derive(Clone)]
pub struct TopicSettings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// The topics, all partitions of each.
    pub topics: Vec<String>,
    /// Any librdkafka settings, TLS and SASL among them. Values are secrets: they are never shown.
    pub options: BTreeMap<String, String>,
    /// Read to the high watermarks at start, then end.
    pub once: bool,
    /// The record time of messages that carry no timestamp (those of producers before Kafka 0.10,
    /// or that set it to -1): it is a constant of the run, as for files, so a replay with the same
    /// `--as-of` decides alike. `--as-of`.
    pub as_of: Timestamp,
    /// How long to try to reach the brokers at the start.
    pub start_timeout: Duration,
    /// How long another member of the group may stay at the start: a killed instance is a member
    /// until its session ends.
    pub linger_timeout: Duration,
    /// How long to bear that no broker can be reached later on.
    pub outage_timeout: Duration,
}

impl TopicSettings {
    /// Settings with the defaults: group `turnaround`, streaming, 30 s to reach the brokers at the
    /// start, 60 s for another instance to leave, 5 min of outage later on.
    pub fn new(brokers: impl Into<String>, topics: Vec<String>, as_of: Timestamp) -> TopicSettings {
        TopicSettings {
            brokers: brokers.into(),
            group: "turnaround".to_owned(),
            topics,
            options: BTreeMap::new(),
            once: false,
            as_of,
            start_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(60),
            outage_timeout: Duration::from_secs(300),
        }
    }
}

impl fmt::Debug for TopicSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("options", &self.options.keys())
            .field("once", &self.once)
            .finish_non_exhaustive()
    }
}

/// All partitions of some topics.
pub struct KafkaSource {
    partitions: Vec<Arc<Partition>>,
    spans: BTreeMap<Arc<Partition>, ReadSpan>,
    once: bool,
    topics: Vec<Topic>,
    alignment: Arc<Alignment>,
    events: mpsc::Receiver<Result<SourceEvent, SourceError>>,
    stop: Arc<AtomicBool>,
    /// Topics that have not been read to their end.
    open_topics: usize,
    /// Partitions of topics without anything to read, whose end is still to be told.
    ended: VecDeque<Arc<Partition>>,
    /// Offsets that have not been committed.
    to_commit: BTreeMap<Partition, Offset>,
    committed_at: Instant,
}

/// One topic's consumer and the thread that polls it.
struct Topic {
    name: String,
    consumer: Arc<BaseConsumer<Context>>,
    /// `None` when there was nothing to read.
    thread: Option<JoinHandle<()>>,
}

/// Where the reading of a partition began, has come to, and was to end when it began.
struct ReadSpan {
    from: i64,
    next: i64,
    end: i64,
}

impl KafkaSource {
    /// Finds the topics' partitions and starts to read them.
    ///
    /// # Errors
    /// [`SourceError::Wrong`] for a setting that librdkafka refuses, credentials that the broker
    /// refuses, a topic that does not exist, a group that another instance is in;
    /// [`SourceError::Failed`] when no broker can be reached in time.
    pub async fn connect(settings: TopicSettings) -> Result<KafkaSource, SourceError> {
        let opening = tokio::task::spawn_blocking(move || KafkaSource::open(settings));
        opening.await.map_err(|error| SourceError::Failed {
            attempted: "connect to Kafka".to_owned(),
            source: error.into(),
        })?
    }

    fn open(settings: TopicSettings) -> Result<KafkaSource, SourceError> {
        let found = client::find_topics(&settings)?;
        let (sender, events) = mpsc::channel(CHANNEL_EVENTS);
        let bounds = || found.iter().flat_map(|topic| &topic.bounds);
        let span = |bounds: &Bounds| {
            let span = ReadSpan { from: bounds.low, next: bounds.low, end: bounds.high };
            (Arc::clone(&bounds.partition), span)
        };
        let partitions: Vec<_> = bounds().map(|bounds| Arc::clone(&bounds.partition)).collect();
        let mut source = KafkaSource {
            alignment: Arc::new(Alignment::new(&partitions)),
            spans: bounds().map(span).collect(),
            partitions,
            once: settings.once,
            topics: Vec::new(),
            events,
            stop: Arc::new(AtomicBool::new(false)),
            open_topics: 0,
            ended: VecDeque::new(),
            to_commit: BTreeMap::new(),
            committed_at: Instant::now(),
        };
        for topic in found {
            let thread = if settings.once && topic.bounds.iter().all(Bounds::is_empty) {
                for Bounds { partition, .. } in &topic.bounds {
                    source.alignment.ended(partition);
                    source.ended.push_back(Arc::clone(partition));
                }
                None
            } else {
                let reins = Reins {
                    sender: sender.clone(),
                    alignment: Arc::clone(&source.alignment),
                    stop: Arc::clone(&source.stop),
                };
                let consumer = Arc::clone(&topic.consumer);
                let reader = Reader::new(consumer, &topic.name, &topic.bounds, &settings, reins)?;
                source.open_topics += 1;
                Some(reader.start()?)
            };
            source.topics.push(Topic { name: topic.name, consumer: topic.consumer, thread });
        }
        Ok(source)
    }

    /// Commits what there is to commit, if it is time.
    fn commit_now_and_then(&mut self) {
        if !self.to_commit.is_empty() && self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit_all();
        }
    }

    /// Commits what there is to commit. Does not wait for the answer.
    fn commit_all(&mut self) {
        self.committed_at = Instant::now();
        let positions = std::mem::take(&mut self.to_commit);
        for topic in &self.topics {
            let mut offsets = TopicPartitionList::new();
            let of_topic = positions.iter().filter(|(held, _)| *held.topic == *topic.name);
            let outcome = of_topic
                .map(|(held, next)| (held.index, rdkafka::Offset::Offset(next.0)))
                .try_for_each(|(index, next)| {
                    offsets.add_partition_offset(&topic.name, index, next)
                })
                .and_then(|()| match offsets.count() {
                    0 => Ok(()),
                    _ => topic.consumer.commit(&offsets, CommitMode::Async),
                });
            if let Err(error) = outcome {
                let topic = topic.name.as_str();
                tracing::warn!(topic, %error, "could not commit offsets; they are advisory");
            }
        }
    }

    /// Notes what a batch adds to the progress.
    fn note(&mut self, batch: &RawBatch) {
        let Framing::Records(frames) = &batch.framing else { return };
        if let (Some(span), Some(last)) = (self.spans.get_mut(&batch.partition), frames.last()) {
            span.next = last.offset + 1;
        }
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    async fn next(&mut self) -> Result<SourceEvent, SourceError> {
        loop {
            self.commit_now_and_then();
            if let Some(partition) = self.ended.pop_front() {
                return Ok(SourceEvent::Ended(partition));
            }
            if self.open_topics == 0 {
                return Ok(SourceEvent::End);
            }
            let event = match timeout(QUIET_AFTER, self.events.recv()).await {
                Err(_elapsed) => return Ok(SourceEvent::Quiet),
                Ok(None) => {
                    return Err(SourceError::Failed {
                        attempted: "read on from Kafka: a reading thread ended early".to_owned(),
                        source: anyhow::anyhow!("see the log above"),
                    });
                }
                Ok(Some(event)) => event?,
            };
            match event {
                SourceEvent::End => self.open_topics -= 1,
                SourceEvent::Batch(batch) => {
                    self.note(&batch);
                    return Ok(SourceEvent::Batch(batch));
                }
                SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) | SourceEvent::Quiet => {
                    return Ok(event);
                }
            }
        }
    }

    fn trimmed(&self) -> Vec<Arc<Partition>> {
        let trimmed = self.spans.iter().filter(|(_, span)| span.from > 0);
        trimmed.map(|(partition, _)| Arc::clone(partition)).collect()
    }

    fn progress(&self) -> Option<SourceProgress> {
        let count = |length: i64| u64::try_from(length).unwrap_or(0);
        let all_read = self.once && self.open_topics == 0;
        let spans = || self.spans.values();
        let total: u64 = spans().map(|span| count(span.end - span.from)).sum();
        let read: u64 = spans().map(|span| count(span.next - span.from)).sum();
        Some(SourceProgress {
            done: if all_read { total } else { read },
            total: self.once.then_some(total),
            unit: ProgressUnit::Records,
        })
    }

    fn extents(&self) -> Extents {
        let extent =
            |span: &ReadSpan| OffsetRange { from: Offset(span.from), to: Offset(span.end) };
        self.spans.iter().map(|(partition, span)| (Arc::clone(partition), extent(span))).collect()
    }

    fn alignment(&self) -> Arc<Alignment> {
        Arc::clone(&self.alignment)
    }

    fn commit(&mut self, partition: &Partition, next: Offset) {
        self.to_commit.insert(partition.clone(), next);
    }
}

impl Drop for KafkaSource {
    /// Commits, ends the threads and leaves the group, so that the next start need not wait for
    /// this member to time out.
    fn drop(&mut self) {
        if !self.to_commit.is_empty() {
            self.commit_all();
        }
        self.stop.store(true, Ordering::SeqCst);
        self.events.close();
        for topic in &mut self.topics {
            topic.consumer.context().closing();
            if let Some(thread) = topic.thread.take()
                && thread.join().is_err()
            {
                tracing::error!(topic = topic.name, "the thread that read it panicked");
            }
        }
    }
}
