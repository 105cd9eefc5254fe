//! Foreign files → events: CSV into specimen events in the row form, sorted by event time.
//!
//! ```text
//! bytes ─ rows ─ convert (by a map) ─ sort ─ lines of JSON
//!           └───────┴── rejected rows with line and reason
//! ```
//!
//! A row of the file becomes two events: RECEIVED at `received_at`, and its status at
//! `processed_at` (at `received_at` when that is unknown). A bad row is a value and stops nothing.
//! A column that the map does not name never reaches an event, so patient data stays behind.
//! Does not read YAML (`config/csv_map.rs`); what writes the lines is `feed`.
//!
//! CsvRead `job` first; `file` opens, `rows` reads, `convert` makes events by a `map` (`resolve`, `value`,
//! `number`, `time`), `sort` sorts, `rejected` writes what became no event, `infer` drafts a map (`profile`). All but
//! `file`, `job`, `rejected` and the sorter's spills is pure.

pub mod convert;
pub mod file;
pub mod infer;
pub mod job;
pub mod map;
pub mod number;
mod profile;
pub mod rejected;
mod resolve;
pub mod rows;
pub mod sort;
pub mod time;
mod value;

use crate::feed::FeedError;

pub use convert::{ConvertedEvent, Converter};
pub use file::CsvFile;
pub use map::{CsvMap, FieldRule, MapFault};
pub use rows::{CsvRead, CsvRow, RowReader};
pub use sort::EventSorter;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is none that can be imported.
    #[error("{0}")]
    Wrong(String),
    /// It was stopped.
    #[error("interrupted; nothing was written under the output's name")]
    Interrupted,
    /// The events cannot be written.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Something did not work.
    #[error("could not {attempted}")]
    Failed {
        /// What was attempted, on what.
        attempted: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl ImportError {
    fn failed(attempted: impl Into<String>, source: std::io::Error) -> ImportError {
        ImportError::Failed { attempted: attempted.into(), source }
    }
}
