//! Where settings live: a project's files, the environment, and their precedence.
//!
//! Turns YAML, SQL, CSV, environment and flags into [`Project`] and [`Settings`]. Every reader goes
//! on after a mistake and reports them all as [`Fault`]s with file, line, column and remedy. What a
//! query says, and whether a broker or store can be reached, is not looked at here.

pub mod fault;
pub mod yaml;
mod decode;
mod values;
mod csv_text;
pub mod csv_map;
mod files;
pub mod reference;
mod own_tables;
pub mod center_settings;
pub(crate) mod lifecycle_yaml;
pub mod pipeline;
mod window_yaml;
mod pipeline_yaml;
pub mod project;
pub mod env;
pub mod settings;
mod settings_yaml;
mod resolve;

pub use env::Env;
pub(crate) use fault::nearest;
pub use fault::{Fault, Position};
pub use pipeline::{ColumnDoc, KeyPositions, PipelineSpec, WindowSpec};
pub use project::{Project, ReadProject, StagingView};
pub use reference::ReferenceTable;
pub use settings::{Flags, Settings, SourceSpec};
pub(crate) use window_yaml::MAX_PANES;

#[cfg(test)]
mod tests;
