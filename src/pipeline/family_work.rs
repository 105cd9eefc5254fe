//! What the families of a pipeline collect of a batch.

use crate::sql::collect::collected::Partial;

/// What one batch gives to one pipeline.
#[derive(Default)]
pub struct PipelineWork {
    /// One per family.
    pub partials: Vec<Partial>,
}
