//! Reference tables: what a project says of laboratories, analysers and codes, as rows.

use arrow::array::RecordBatch;

/// A reference table: `ref.<name>`.
#[derive(Clone, Debug)]
pub struct ReferenceRows {
    /// The name after `ref.`.
    pub name: String,
    /// Its rows.
    pub rows: RecordBatch,
}
