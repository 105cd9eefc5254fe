//! Stage 1: where records come from. Kafka, files or the generator into [`RawBatch`]es.
//!
//! A source delivers each partition's records in the order of their offsets and never skips one.
//! It does not look inside of a record.

pub mod csv;
pub mod file;
pub mod generator;
pub mod kafka;

use std::sync::Arc;

use async_trait::async_trait;

use crate::flow::{Partition, RawBatch};

/// What a source has to say.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records arrived.
    Batch(RawBatch),
    /// Everything that the partition holds by now has been delivered (lag 0). Said again after
    /// each batch that reaches the end, and at each poll that finds nothing.
    CaughtUp(Arc<Partition>),
    /// Nothing to deliver for the length of a poll; the loop may do its timed work.
    Quiet,
    /// Every partition has been read to where it was to be read (`--once`); nothing follows.
    End,
}

/// Where records come from.
#[async_trait]
pub trait Source: Send {
    /// The partitions that this source reads, known before the first record.
    fn partitions(&self) -> &[Arc<Partition>];

    /// The next event. Waits at most about 200 ms before it says [`SourceEvent::Quiet`].
    async fn next(&mut self) -> Result<SourceEvent, SourceError>;
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
