//! One partition's reading: where it is, what is gathered, whether its end is reached. Pure but
//! for the metrics.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use rdkafka::message::Timestamp as MessageTime;

use super::batch::BatchBuilder;
use crate::flow::{Partition, Timestamp};

/// One partition's reading.
pub(super) struct Lane {
    pub(super) partition: Arc<Partition>,
    /// The first offset when the reading began.
    pub(super) low: i64,
    /// The end when the reading began.
    pub(super) high: i64,
    pub(super) gathered: BatchBuilder,
    /// The next offset to read.
    pub(super) next: i64,
    /// Only for `once`: the offset to stop before.
    pub(super) stop_at: Option<i64>,
    /// librdkafka has told that it reached the end, and nothing came since.
    pub(super) at_end: bool,
    /// The loop is to be told that the partition is read to its end.
    pub(super) to_tell: bool,
    /// Only for `once`: read to `stop_at`.
    pub(super) read: bool,
    pub(super) meters: Meters,
}

/// A partition's metrics.
pub(super) struct Meters {
    pub(super) records: Counter,
    pub(super) lag: Gauge,
    pub(super) paused: Gauge,
}

impl Lane {
    pub(super) fn new(partition: Arc<Partition>, low: i64, high: i64, once: bool) -> Lane {
        let labels =
            [("topic", partition.topic.to_string()), ("partition", partition.index.to_string())];
        let meters = Meters {
            records: metrics::counter!("turnaround_source_records_total", &labels),
            lag: metrics::gauge!("turnaround_consumer_lag", &labels),
            paused: metrics::gauge!("turnaround_source_paused", &labels),
        };
        let read = once && low >= high;
        Lane {
            partition,
            low,
            high,
            gathered: BatchBuilder::default(),
            next: low,
            stop_at: once.then_some(high),
            at_end: false,
            to_tell: read,
            read,
            meters,
        }
    }

    /// Whether there is nothing left to read.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    /// Notes that everything has been read, up to `stop_at` when there is one.
    pub(super) fn reach_end(&mut self) {
        self.to_tell = true;
        self.read = self.stop_at.is_some();
    }
}

/// A message's own time; `as_of` when it has none.
pub(super) fn record_time(time: MessageTime, as_of: Timestamp) -> Timestamp {
    match time {
        MessageTime::CreateTime(millis) | MessageTime::LogAppendTime(millis) if millis >= 0 => {
            Timestamp(millis.saturating_mul(1000))
        }
        MessageTime::CreateTime(_) | MessageTime::LogAppendTime(_) | MessageTime::NotAvailable => {
            as_of
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_time_is_its_own_or_the_runs() {
        let as_of = Timestamp(9);
        assert_eq!(
            record_time(MessageTime::CreateTime(1_772_366_400_123), as_of).0,
            1_772_366_400_123_000
        );
        assert_eq!(record_time(MessageTime::LogAppendTime(5), as_of), Timestamp(5000));
        assert_eq!(record_time(MessageTime::NotAvailable, as_of), as_of);
        assert_eq!(record_time(MessageTime::CreateTime(-1), as_of), as_of);
        assert_eq!(record_time(MessageTime::CreateTime(i64::MAX), as_of), Timestamp::MAX);
    }

    #[test]
    fn a_lane_that_is_empty_at_the_start_is_read_only_for_once() {
        let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
        assert!(Lane::new(Arc::clone(&partition), 5, 5, true).is_read());
        assert!(!Lane::new(Arc::clone(&partition), 5, 5, false).is_read());
        assert!(!Lane::new(partition, 5, 6, true).is_read());
    }
}
