//! Event lines → a file, standard output or a Kafka topic: what `generate` and `import` share.
//!
//! In come lines of JSON in their order, each with a key and perhaps a time; the same lines go out,
//! each once. A target that is full holds the writer up; nothing is dropped, and what could not be
//! delivered is an error. Kept is what the target has not taken yet.
//!
//! Read `writer` first; `target` says where to, `lines` and `kafka` are the ways there, `bar` shows how
//! far it has come.

pub mod bar;
mod kafka;
pub mod lines;
pub mod target;
pub mod writer;

/// Why a feed cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Wrong(String),
    /// Something did not work.
    #[error("could not {attempted}")]
    Failed {
        /// What was attempted, on what.
        attempted: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl FeedError {
    fn failed(
        attempted: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> FeedError {
        FeedError::Failed { attempted: attempted.into(), source: source.into() }
    }
}

/// Whether a record was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was.
    Taken,
    /// Standard output is closed: nobody reads any more.
    ReaderGone,
}
