//! What a source delivers: undecoded bytes with their positions.

use std::sync::Arc;

use bytes::Bytes;

use super::{Partition, Timestamp};

/// A run of undecoded records of one partition, in the order of their offsets.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// Where the records stand.
    pub partition: Arc<Partition>,
    /// All payloads.
    pub bytes: Bytes,
    /// How `bytes` divides into records.
    pub framing: Framing,
}

/// How a batch's bytes divide into records.
#[derive(Clone, Debug)]
pub enum Framing {
    /// Text lines. The last line may lack its line feed. Line `i` has offset `first_offset + i`;
    /// blank lines count in the numbering and carry nothing.
    Lines {
        /// The number of the first line, from 0.
        first_offset: i64,
        /// The instant that stands for "now" when the future is judged (`--as-of`).
        record_time: Timestamp,
    },
    /// Kafka messages.
    Records(Vec<RecordFrame>),
}

/// One Kafka message within a batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordFrame {
    /// The Kafka offset.
    pub offset: i64,
    /// The message's own Kafka timestamp.
    pub record_time: Timestamp,
    /// Whether that is when the broker took it in (`LogAppendTime`), not what a producer says.
    pub appended: bool,
    /// Where the payload starts in the batch's bytes.
    pub start: usize,
    /// Where the payload ends in the batch's bytes.
    pub end: usize,
}
