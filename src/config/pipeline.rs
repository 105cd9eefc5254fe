//! What `pipelines/<name>.yaml` and its SQL file declare.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::flow::Span;
use crate::sink::teams::rule::AlertRule;
use crate::window::WindowKind;

/// One pipeline: an SQL query over windows.
#[derive(Clone, Debug)]
pub struct PipelineSpec {
    /// The YAML file's stem.
    pub name: String,
    /// What the tables hold, for readers and for the Parquet metadata.
    pub description: String,
    /// The YAML file, for error messages.
    pub yaml_path: PathBuf,
    /// The SQL file, for error messages.
    pub sql_path: PathBuf,
    /// The SQL text.
    pub sql: String,
    /// One table per window, in the order of the file.
    pub windows: Vec<WindowSpec>,
    /// How long after a window's end late rows still revise it.
    pub allowed_lateness: Span,
    /// The width of a revision's step.
    pub late_step: Span,
    /// Columns unique within a window, and the sort order of the output.
    pub grain: Vec<String>,
    /// A reference table (`labs` for `ref.labs`) whose groups appear even without input.
    pub expect: Option<String>,
    /// Descriptions of the output columns.
    pub columns: BTreeMap<String, ColumnDoc>,
    /// Alert rules over the output rows.
    pub alerts: Vec<AlertRule>,
}

/// One window of a pipeline and so one table.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    /// The name within the pipeline, the table's suffix; `none` for row-level tables.
    pub name: String,
    /// Kind and parameters.
    pub kind: WindowKind,
}

/// What a column means.
#[derive(Clone, Debug, Default)]
pub struct ColumnDoc {
    /// For people.
    pub description: String,
    /// As `min`, `%` or nothing.
    pub unit: Option<String>,
    /// Whether sums over disjoint windows or groups are right.
    pub additive: Option<bool>,
}

impl PipelineSpec {
    /// The table that a window of this pipeline writes: `<pipeline>_<window>`, row-level tables
    /// `<pipeline>`.
    pub fn table_name(&self, window: &WindowSpec) -> String {
        match window.kind {
            WindowKind::RowLevel => self.name.clone(),
            WindowKind::Tumbling { .. }
            | WindowKind::Hopping { .. }
            | WindowKind::Session { .. }
            | WindowKind::Calendar { .. } => format!("{}_{}", self.name, window.name),
        }
    }
}
