//! Where settings live: a project's YAML files, the environment, and their precedence.

pub mod pipeline;

pub use pipeline::{ColumnDoc, PipelineSpec, WindowSpec};
