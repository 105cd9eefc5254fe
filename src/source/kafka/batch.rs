//! Gathers one partition's messages into a batch. Pure.

use std::sync::Arc;

use crate::flow::record::RecordFrame;
use crate::flow::{Framing, Partition, RawBatch, Timestamp};
use crate::source::pool::Pool;

/// A batch goes out with so many messages at most: of small ones, whose places take more room than
/// they do.
pub(super) const BATCH_RECORDS: usize = 32 * 1024;

/// A batch goes out with so many bytes: as large as a file's block, for the same reason. A larger
/// message is a batch of its own.
pub(super) const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A message's time, and whether the broker has set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) at: Timestamp,
    pub(super) appended: bool,
}

/// A batch that is being gathered.
#[derive(Default)]
pub(super) struct BatchBuilder {
    pool: Pool,
    bytes: Vec<u8>,
    frames: Vec<RecordFrame>,
}

impl BatchBuilder {
    /// A builder that takes its buffers from a pool.
    pub(super) fn new(pool: Pool) -> BatchBuilder {
        BatchBuilder { pool, bytes: Vec::new(), frames: Vec::new() }
    }

    /// Appends a message. A message without payload (a tombstone) is an empty record.
    #[inline]
    pub(super) fn push(&mut self, offset: i64, stamp: Stamp, payload: Option<&[u8]>) {
        if self.frames.is_empty() {
            self.bytes = self.pool.take();
            self.bytes.clear();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload.unwrap_or_default());
        let (record_time, appended) = (stamp.at, stamp.appended);
        let end = self.bytes.len();
        self.frames.push(RecordFrame { offset, record_time, appended, start, end });
    }

    /// True once the batch is large enough to go out.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= BATCH_RECORDS || self.bytes.len() >= BATCH_BYTES
    }

    /// The messages gathered, if any; the builder is empty after.
    pub(super) fn take(&mut self, partition: &Arc<Partition>) -> Option<RawBatch> {
        if self.frames.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let end = bytes.len();
        // A batch's place in memory is used again, but for one that a large message has made larger.
        let bytes = match bytes.capacity() <= 2 * BATCH_BYTES {
            true => self.pool.lend(bytes, end),
            false => bytes.into(),
        };
        let frames = std::mem::take(&mut self.frames);
        let framing = Framing::Records(frames);
        Some(RawBatch { partition: Arc::clone(partition), bytes, framing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Stamp = Stamp { at: Timestamp(0), appended: false };

    #[test]
    fn messages_keep_their_places_and_tombstones_are_empty() {
        let sent = |time| Stamp { at: Timestamp(time), appended: time == 20 };
        let partition = Arc::new(Partition { topic: "t".into(), index: 2 });
        let mut builder = BatchBuilder::default();
        assert!(builder.take(&partition).is_none());
        for round in 0..3 {
            builder.push(round + 3, sent(30), Some(b"abc"));
            builder.push(round + 4, sent(40), None);
            builder.push(round + 9, sent(20), Some(b"de"));
            let batch = builder.take(&partition).expect("three messages");
            let Framing::Records(frames) = &batch.framing else { panic!("records") };
            let found: Vec<_> = frames
                .iter()
                .map(|f| {
                    (f.offset - round, f.record_time.0, f.appended, &batch.bytes[f.start..f.end])
                })
                .collect();
            assert_eq!(
                found,
                [(3, 30, false, &b"abc"[..]), (4, 40, false, b""), (9, 20, true, b"de")]
            );
            assert!(builder.take(&partition).is_none());
        }
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_size() {
        let mut builder = BatchBuilder::default();
        builder.push(0, SENT, Some(&vec![b'x'; BATCH_BYTES]));
        assert!(builder.is_full());
        let mut builder = BatchBuilder::default();
        for offset in 0..BATCH_RECORDS {
            assert!(!builder.is_full());
            builder.push(offset as i64, SENT, None);
        }
        assert!(builder.is_full());
    }
}
