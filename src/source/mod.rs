//! Stage 1: where records come from. Kafka, files or the generator into [`RawBatch`]es.
//!
//! A source delivers each partition's records in the order of their offsets and never skips one.
//! It does not look inside of a record.

pub mod align;
pub mod file;
pub mod generator;
pub mod kafka;
mod pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::flow::{Extents, Offset, Partition, RawBatch};
use align::Alignment;

/// The longest that [`Source::next`] waits for a record before it says [`SourceEvent::Quiet`].
pub const QUIET_AFTER: Duration = Duration::from_millis(200);

/// How long a [`SourceEvent::CaughtUp`] can be believed. A source says it again at least three
/// times within this span for as long as it holds; it falls silent when it has lost sight of the
/// partition's end (a broker out of reach, say), and then the partition may be lagging.
pub const CAUGHT_UP_HOLDS: Duration = Duration::from_secs(5);

/// The longest record that a source delivers whole. Kafka messages of 10 MB are legal and occur;
/// beyond this one record would hold more memory than a batch. A longer line of a file comes as
/// its first `MAX_RECORD_BYTES + 1` bytes, so that decode can tell it from one that fits.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// What a source has to say.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records arrived.
    Batch(RawBatch),
    /// Everything that the partition holds by now has been delivered (lag 0). Said after each
    /// batch that reaches the end, and again while it stays so (see [`CAUGHT_UP_HOLDS`]). With the
    /// moment at which it was so: where the loop is held up it may be heard much later.
    CaughtUp(Arc<Partition>, Instant),
    /// A partition has been read to where it was to be read (`--once`): nothing follows of it.
    Ended(Arc<Partition>),
    /// Nothing to deliver for the length of a poll; the loop may do its timed work.
    Quiet,
    /// Every partition has been read to where it was to be read (`--once`); nothing follows.
    End,
}

/// What a source counts its progress in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Bytes of input.
    Bytes,
    /// Records of input.
    Records,
}

/// How far a source has come, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceProgress {
    /// So much has been delivered.
    pub done: u64,
    /// So much there is; `None` when the input has no known end.
    pub total: Option<u64>,
    /// What `done` and `total` count.
    pub unit: ProgressUnit,
}

/// Where records come from.
#[async_trait]
pub trait Source: Send {
    /// The partitions that this source reads, known before the first record.
    fn partitions(&self) -> &[Arc<Partition>];

    /// The next event. Waits at most about [`QUIET_AFTER`] before it says [`SourceEvent::Quiet`].
    /// May be dropped between polls without losing an event.
    async fn next(&mut self) -> Result<SourceEvent, SourceError>;

    /// The partitions whose first records are gone, removed by a topic's retention, say.
    fn trimmed(&self) -> Vec<Arc<Partition>> {
        Vec::new()
    }

    /// How far it has come; `None` when it does not count.
    fn progress(&self) -> Option<SourceProgress> {
        None
    }

    /// What holds partitions back that run ahead of the others; to be told how far each has come.
    /// A source of one partition needs none.
    fn alignment(&self) -> Arc<Alignment> {
        Arc::default()
    }

    /// What its partitions held when it was opened. A partition whose extent it does not know is
    /// absent.
    fn extents(&self) -> Extents {
        Extents::new()
    }

    /// Tells where the records come from that everything before `next` has been used up. Advisory:
    /// nothing depends on it, a failure is logged. Only Kafka keeps it.
    fn commit(&mut self, _partition: &Partition, _next: Offset) {}
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The configuration or the input named cannot be used; retrying will not help.
    #[error("{0}")]
    Wrong(String),
    /// The world failed, after retries with back-off.
    #[error("could not {attempted}")]
    Failed {
        /// What was attempted, on what, for how long; and what to do.
        attempted: String,
        /// What happened.
        #[source]
        source: anyhow::Error,
    },
}
