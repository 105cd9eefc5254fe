//! Gathers one partition's messages into batches. Pure but for the instant handed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::flow::record::RecordFrame;
use crate::flow::{Framing, Partition, RawBatch, Timestamp};

/// A batch goes out with so many messages: enough that the cost of a batch does not show.
pub(super) const BATCH_RECORDS: usize = 16 * 1024;

/// A batch goes out with so many bytes. A larger message is a batch of its own.
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

/// A batch goes out after so long, full or not: what a slow topic adds to the latency.
pub(super) const BATCH_AGE: Duration = Duration::from_millis(50);

/// A batch that is being gathered.
#[derive(Default)]
pub(super) struct BatchBuilder {
    bytes: BytesMut,
    frames: Vec<RecordFrame>,
    since: Option<Instant>,
}

impl BatchBuilder {
    /// Appends a message. A message without payload (a tombstone) is an empty record.
    pub(super) fn push(
        &mut self,
        offset: i64,
        record_time: Timestamp,
        payload: Option<&[u8]>,
        now: Instant,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload.unwrap_or_default());
        self.frames.push(RecordFrame { offset, record_time, start, end: self.bytes.len() });
        self.since.get_or_insert(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// True once the batch is large enough to go out.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= BATCH_RECORDS || self.bytes.len() >= BATCH_BYTES
    }

    /// True once the batch is full or old enough to go out.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_full() || self.since.is_some_and(|since| now.duration_since(since) >= BATCH_AGE)
    }

    /// The messages gathered; the builder is empty after.
    pub(super) fn take(&mut self, partition: &Arc<Partition>) -> RawBatch {
        self.since = None;
        RawBatch {
            partition: Arc::clone(partition),
            bytes: Bytes::from(std::mem::take(&mut self.bytes)),
            framing: Framing::Records(std::mem::take(&mut self.frames)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_places_and_tombstones_are_empty() {
        let now = Instant::now();
        let mut builder = BatchBuilder::default();
        assert!(!builder.is_due(now + BATCH_AGE), "an empty batch is never due");
        builder.push(3, Timestamp(30), Some(b"abc"), now);
        builder.push(4, Timestamp(40), None, now);
        builder.push(9, Timestamp(20), Some(b"de"), now + BATCH_AGE);
        assert!(!builder.is_due(now) && builder.is_due(now + BATCH_AGE));
        let partition = Arc::new(Partition { topic: "t".into(), index: 2 });
        let batch = builder.take(&partition);
        let Framing::Records(frames) = &batch.framing else { panic!("records") };
        let found: Vec<_> = frames
            .iter()
            .map(|f| (f.offset, f.record_time.0, &batch.bytes[f.start..f.end]))
            .collect();
        assert_eq!(found, [(3, 30, &b"abc"[..]), (4, 40, b""), (9, 20, b"de")]);
        assert!(builder.is_empty() && !builder.is_due(now + BATCH_AGE * 2));
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_size() {
        let now = Instant::now();
        let mut builder = BatchBuilder::default();
        builder.push(0, Timestamp(0), Some(&vec![b'x'; BATCH_BYTES]), now);
        assert!(builder.is_full());
        let mut builder = BatchBuilder::default();
        for offset in 0..BATCH_RECORDS {
            assert!(!builder.is_full());
            builder.push(offset as i64, Timestamp(0), None, now);
        }
        assert!(builder.is_full());
    }
}
