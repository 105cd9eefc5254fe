//! Positions in the input.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One ordered log: a Kafka partition, or a file expression as partition 0 of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The Kafka topic, or the file expression's name.
    pub topic: Arc<str>,
    /// The partition's number within the topic.
    pub index: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// A record's position within its partition: a Kafka offset, or a line's number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// Half-open: `to` is the next offset to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset within.
    pub from: Offset,
    /// The first offset beyond.
    pub to: Offset,
}

impl OffsetRange {
    /// From one record to another, both within.
    pub fn through(first: Offset, last: Offset) -> OffsetRange {
        OffsetRange { from: first, to: Offset(last.0 + 1) }
    }
}

/// What partitions hold, from the first record that is still there to their end.
pub type Extents = BTreeMap<Arc<Partition>, OffsetRange>;
