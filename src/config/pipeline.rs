//! What `pipelines/<name>.yaml` and its SQL file declare.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::alert::rule::AlertRule;
use crate::flow::Span;
use crate::window::WindowKind;

use super::fault::{Fault, Position};

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
    /// Where each key of the YAML file stands.
    pub positions: KeyPositions,
}

/// Where the keys of a YAML file stand, by key path: `grain`, `grain[1]`, `expect`,
/// `windows.1h`, `windows.1h.hopping.size`, `columns.p90_minutes`, `alerts[0].when` and, by the
/// alert's name, `alerts.tat_p90_over_target.when`.
///
/// The place is the value's where the value is text, number or list, and the key's where it is a
/// map or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPositions(pub(crate) BTreeMap<String, Position>);

impl KeyPositions {
    /// The place of a key path; of the nearest key above it when it does not stand there itself;
    /// of the file's start when none does.
    pub fn at(&self, key_path: &str) -> Position {
        let mut path = key_path;
        loop {
            if let Some(position) = self.0.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return Position::START,
            }
        }
    }
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
    /// A fault at a key of the YAML file (see [`KeyPositions`]).
    pub fn yaml_fault(
        &self,
        key_path: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Fault {
        Fault::at(&self.yaml_path, self.positions.at(key_path), what, remedy)
    }

    /// A fault in the SQL file; line and column count from 1, the column in characters.
    pub fn sql_fault(
        &self,
        position: Position,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Fault {
        Fault::at(&self.sql_path, position, what, remedy)
    }

    /// The tables that this pipeline writes, in the order of its windows.
    pub fn tables(&self) -> impl Iterator<Item = String> {
        self.windows.iter().map(|window| self.table_name(window))
    }

    /// The table that a window of this pipeline writes: `<pipeline>_<window>`, row-level tables
    /// `<pipeline>`.
    pub fn table_name(&self, window: &WindowSpec) -> String {
        match window.kind.passes_rows() {
            true => self.name.clone(),
            false => format!("{}_{}", self.name, window.name),
        }
    }
}
