//! Why a lake cannot be asked.

use datafusion::error::DataFusionError;

use crate::flow::layout::{OtherLayout, REMEDY};

/// Why a lake cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeViewError {
    /// The store failed while its objects were listed.
    #[error("could not list the lake's objects")]
    List(#[source] object_store::Error),
    /// The lake was written by another version, under other names.
    #[error("the lake has {0}, which this version does not read; {REMEDY}")]
    OtherLayout(OtherLayout),
    /// No such table.
    #[error("there is no table `{table}`; the lake has {known}")]
    UnknownTable {
        /// As written.
        table: String,
        /// All tables.
        known: String,
    },
    /// An object of a table that the query names cannot be read.
    #[error("could not read the objects of a table")]
    Object(#[source] DataFusionError),
    /// The text is not one SQL query over these tables.
    #[error("could not understand the query")]
    Sql(#[source] DataFusionError),
    /// The text would change something.
    #[error("the lake can only be read: write one SELECT")]
    NotAQuery(#[source] DataFusionError),
    /// The rows cannot be computed or read.
    #[error("could not run the query")]
    Run(#[source] DataFusionError),
    /// The session could not be made.
    #[error("could not set up the query engine")]
    Setup(#[source] DataFusionError),
}
