//! What a run puts into its lake, when, and under which name.
//!
//! In come windows that fired, days that settled, the records of each batch and the advances of idle
//! partitions; out go immutable objects, put if absent, and the deletion of those in whose place
//! others stand. What is kept is what waits for the rest of its object.
//!
//! Read `deliver` first: it decides what is put under which name. `puts` puts it beside the loop,
//! `leaving` deletes. `live` and `runs` fold what of open days is to be seen.
//! `sections`, `parts` and `cabinet` file what is no table. `archived` and `standing` compare with what
//! earlier runs have left; `journal` writes down what the clock decided.

pub mod archived;
pub mod cabinet;
pub mod deliver;
pub mod journal;
pub mod leaving;
pub mod live;
pub mod parts;
pub mod puts;
pub mod runs;
pub mod sections;
pub mod standing;

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::error::DataFusionError;

use super::{LakeError, ObjectNotes};
use crate::flow::lake_key::Fingerprint;
use crate::keep::order::RowStream;
use crate::window::OffsetsByPartition;
use archived::OtherInput;

/// Why something cannot be delivered.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The lake cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The lake was filled from other input.
    #[error(transparent)]
    OtherInput(#[from] OtherInput),
    /// Rows cannot be made into an object.
    #[error("could not make objects of the rows of `{of}`")]
    Rows {
        /// The table or the section.
        of: String,
        /// What happened.
        #[source]
        source: DataFusionError,
    },
}

impl WriteError {
    fn of(what: &str, source: DataFusionError) -> WriteError {
        WriteError::Rows { of: what.to_owned(), source }
    }
}

/// A day that has settled.
pub struct Settled {
    /// The table.
    pub table: Arc<str>,
    /// The day.
    pub date: NaiveDate,
    /// Its rows, sorted, as they are asked for; at least one batch.
    pub rows: RowStream,
    /// Where they came from.
    pub origins: OffsetsByPartition,
}

/// What is known of a table's objects.
#[derive(Clone)]
pub struct TableNotes {
    /// The pipeline that computes it.
    pub pipeline: String,
    /// Of its SQL.
    pub fingerprint: Fingerprint,
    /// Of a settled day.
    pub notes: ObjectNotes,
    /// Live objects are small and many: they say what they are, not what their columns mean.
    pub live_notes: ObjectNotes,
}
