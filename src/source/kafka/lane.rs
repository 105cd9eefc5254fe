//! One partition's reading: where it is, what waits, whether its end is reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};
use rdkafka::error::KafkaError;
use rdkafka::message::Timestamp as MessageTime;
use turnaround_kafka_queue::{PartitionQueue, Taken};

use super::batch::{BATCH_BYTES, BATCH_RECORDS, BatchBuilder, Stamp};
use super::context::Context;
use crate::flow::{Partition, RawBatch, Timestamp};
use crate::source::pool::Pool;

/// How long messages that are not enough for a batch wait for more while there is more to read.
const LAGGING_WAIT: Duration = Duration::from_millis(50);

/// The same at the end of a partition, for each partition of the topic, since every batch costs a
/// pass over all pipelines: however many partitions a topic has, so many batches come of it a second.
const LIVE_WAIT_EACH: Duration = Duration::from_millis(40);

/// The most that messages wait at the end of a partition: an alert comes within a second.
const LIVE_WAIT_MOST: Duration = Duration::from_millis(500);

/// So many statistics, a second apart, must bear out an end that was told before them: an answer to a
/// fetch at the end takes 200 ms (`fetch.wait.max.ms`).
const BORNE_OUT: u32 = 2;

/// What a message is taken to have before there was one.
const BYTES_EXPECTED: usize = 256;

/// Where a partition begins and ends, found out before the first record.
pub(super) struct Bounds {
    pub(super) partition: Arc<Partition>,
    /// The first offset.
    pub(super) low: i64,
    /// The offset behind the last.
    pub(super) high: i64,
}

/// One partition's reading.
pub(super) struct Lane {
    pub(super) partition: Arc<Partition>,
    /// Messages that have been fetched.
    queue: PartitionQueue<Context>,
    gathered: BatchBuilder,
    /// The next offset to read.
    pub(super) next: i64,
    /// Only for `once`: the offset to stop before.
    stop_at: Option<i64>,
    /// Since when messages wait for more.
    waiting_since: Option<Instant>,
    /// So many messages make a batch, as far as is known.
    enough: usize,
    /// How long messages wait for more at the end.
    live_wait: Duration,
    /// librdkafka has told that it reached the end, and nothing came since.
    pub(super) at_end: bool,
    /// In so many statistics, one after the other, nothing spoke against that.
    borne_out: u32,
    /// The loop is to be told that the partition is read to its end.
    pub(super) to_tell: bool,
    /// Only for `once`: read to `stop_at`.
    pub(super) read: bool,
    /// It is ahead of the others.
    held: bool,
    pub(super) meters: Meters,
}

/// What a turn has brought.
#[derive(Default)]
pub(super) struct LaneTurn {
    pub(super) batch: Option<RawBatch>,
    /// There is more than a batch.
    pub(super) lags: bool,
    /// What went wrong with the partition.
    pub(super) fault: Option<KafkaError>,
}

/// A partition's metrics.
pub(super) struct Meters {
    pub(super) records: Counter,
    pub(super) lag: Gauge,
    pub(super) paused: Gauge,
}

impl Bounds {
    /// Whether there is nothing to read before the end of when the reading began.
    pub(super) fn is_empty(&self) -> bool {
        self.low >= self.high
    }
}

impl Lane {
    /// The reading of one of a topic's `partitions`.
    pub(super) fn new(
        bounds: &Bounds,
        queue: PartitionQueue<Context>,
        pool: Pool,
        once: bool,
        partitions: usize,
    ) -> Lane {
        let partition = Arc::clone(&bounds.partition);
        let labels =
            [("topic", partition.topic.to_string()), ("partition", partition.index.to_string())];
        let meters = Meters {
            records: metrics::counter!("turnaround_source_records_total", &labels),
            lag: metrics::gauge!("turnaround_consumer_lag", &labels),
            paused: metrics::gauge!("turnaround_source_paused", &labels),
        };
        let read = once && bounds.is_empty();
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        Lane {
            partition,
            queue,
            gathered: BatchBuilder::new(pool),
            next: bounds.low,
            stop_at: once.then_some(bounds.high),
            waiting_since: None,
            enough: BATCH_BYTES / BYTES_EXPECTED,
            live_wait: LIVE_WAIT_EACH.saturating_mul(partitions).min(LIVE_WAIT_MOST),
            at_end: false,
            borne_out: 0,
            to_tell: read,
            read,
            held: false,
            meters,
        }
    }

    /// Notes that the group has given it to this member anew: fetching begins again at `next`, and
    /// where the end lies by now will be told again.
    pub(super) fn assigned_anew(&mut self) {
        self.queue.forget();
        self.waiting_since = None;
        (self.at_end, self.borne_out) = (false, 0);
        self.to_tell &= self.read;
    }

    /// Whether the end that was reached still holds by the statistics, given whether these speak for
    /// it: its broker has answered just now, and the partition is held. Once is not enough: after an
    /// outage the connection stands before the first fetch has come back.
    pub(super) fn still_at_end(&mut self, vouched: bool) -> bool {
        let holds = self.at_end && vouched && self.is_drained();
        self.borne_out = if holds { self.borne_out.saturating_add(1) } else { 0 };
        self.borne_out >= BORNE_OUT
    }

    /// Whether everything that has been fetched has been taken.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.waiting() == 0
    }

    /// Notes whether it is held back because it is ahead of the others.
    pub(super) fn hold(&mut self, held: bool) {
        if self.held != held {
            self.held = held;
            self.meters.paused.set(if held { 1.0 } else { 0.0 });
        }
    }

    /// Whether what waits is to be taken: enough for a batch, or for long enough.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.read {
            return false;
        }
        let waiting = self.queue.waiting();
        if waiting == 0 {
            self.waiting_since = None;
            return false;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let wait = if self.at_end { self.live_wait } else { LAGGING_WAIT };
        let left = self.stop_at.and_then(|stop_at| usize::try_from(stop_at - self.next).ok());
        waiting >= self.enough
            || left.is_some_and(|left| waiting >= left)
            || now.saturating_duration_since(since) >= wait
    }

    /// Takes what waits, up to a batch.
    pub(super) fn take(&mut self, as_of: Timestamp) -> LaneTurn {
        self.waiting_since = None;
        let mut records = 0;
        let mut turn = LaneTurn::default();
        while let Some(taken) = self.queue.next() {
            let message = match taken {
                Taken::Message(message) => message,
                Taken::Event(KafkaError::PartitionEOF(_)) => {
                    self.at_end = true;
                    self.to_tell = true;
                    self.read = self.stop_at.is_some();
                    if self.read {
                        break;
                    }
                    continue;
                }
                Taken::Event(fault) => {
                    turn.fault = Some(fault);
                    break;
                }
            };
            self.at_end = false;
            self.to_tell = false;
            if message.offset < self.next {
                // Come again after the group had taken this member for dead.
                continue;
            }
            if self.stop_at.is_some_and(|stop_at| message.offset >= stop_at) {
                // What stood before it was removed by compaction or belongs to a transaction.
                (self.read, self.to_tell) = (true, true);
                break;
            }
            let time = record_time(message.time, as_of);
            self.gathered.push(message.offset, time, message.payload);
            self.next = message.offset + 1;
            records += 1;
            if self.stop_at == Some(self.next) {
                (self.read, self.to_tell) = (true, true);
                break;
            }
            if self.gathered.is_full() {
                turn.lags = true;
                break;
            }
        }
        self.meters.records.increment(records);
        turn.batch = self.gathered.take(&self.partition);
        if let Some(batch) = &turn.batch
            && turn.lags
        {
            // As many as were in this one, or a few less.
            let mean = batch.bytes.len() / usize::try_from(records).unwrap_or(1).max(1) + 1;
            self.enough = (BATCH_BYTES / mean).clamp(1, BATCH_RECORDS);
        }
        turn
    }
}

/// A message's own time; `as_of` when it has none.
pub(super) fn record_time(time: MessageTime, as_of: Timestamp) -> Stamp {
    let at = |millis: i64| Timestamp(millis.saturating_mul(1000));
    match time {
        MessageTime::CreateTime(millis) if millis >= 0 => Stamp { at: at(millis), appended: false },
        MessageTime::LogAppendTime(millis) if millis >= 0 => {
            Stamp { at: at(millis), appended: true }
        }
        MessageTime::CreateTime(_) | MessageTime::LogAppendTime(_) | MessageTime::NotAvailable => {
            Stamp { at: as_of, appended: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_time_is_its_own_or_the_runs() {
        let as_of = Timestamp(9);
        let sent = |at| Stamp { at: Timestamp(at), appended: false };
        let found = record_time(MessageTime::CreateTime(1_772_366_400_123), as_of);
        assert_eq!(found, sent(1_772_366_400_123_000));
        let appended = Stamp { at: Timestamp(5000), appended: true };
        assert_eq!(record_time(MessageTime::LogAppendTime(5), as_of), appended);
        assert_eq!(record_time(MessageTime::NotAvailable, as_of), sent(9));
        assert_eq!(record_time(MessageTime::CreateTime(-1), as_of), sent(9));
        assert_eq!(record_time(MessageTime::LogAppendTime(-1), as_of), sent(9));
        let latest = record_time(MessageTime::CreateTime(i64::MAX), as_of);
        assert_eq!(latest.at, Timestamp::MAX);
    }
}
