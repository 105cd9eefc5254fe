//! One rule's predicates over the rows of one window, and what they say of each row.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;

use crate::flow::Window;

use super::breach::BreachSight;
use super::reading::WindowRows;
use super::rule::AlertRule;

/// One rule's predicates, evaluated over the rows of one firing of one window.
///
/// Observations of one rule and table come in the order of their windows' ends. A window that
/// fired without rows is observed too, with an empty batch: absence ends breaches.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The rule.
    pub rule: &'a Arc<AlertRule>,
    /// The table.
    pub table: &'a str,
    /// The table's rows of this window. Rows of the same group are taken together: breached when
    /// one of them is.
    pub rows: &'a WindowRows,
    /// The rule's `when` per row; null is false.
    pub when: &'a BooleanArray,
    /// The rule's `until` per row; null is false.
    pub until: Option<&'a BooleanArray>,
    /// The rows on which a predicate could not be evaluated: they begin no breach and end none.
    pub failed: Option<&'a BooleanBuffer>,
    /// The window. Row-level tables: the stretch of event time that the rows cover.
    pub window: Window,
    /// Whether windows of this table overlap (hopping). Of windows that do not, one that starts
    /// before a group's last window has ended is another zone's and says nothing about its
    /// absence.
    pub overlapping: bool,
    /// Whether each window belongs to some groups alone (sessions): it says nothing about the
    /// absence of others.
    pub keyed: bool,
    /// 0, or the revision of late rows, which is left aside.
    pub revision: u32,
    /// The columns that `when` names.
    pub figures: &'a [String],
    /// Units of the table's columns.
    pub units: &'a BTreeMap<String, String>,
}

/// Why an observation cannot be judged: the caller broke its shape.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A predicate has not one value per row.
    #[error(
        "could not judge rule `{rule}` over `{table}`: {values} values of `{predicate}` for {rows} rows"
    )]
    Length {
        /// The rule.
        rule: String,
        /// The table.
        table: String,
        /// `when`, `until`, or the rows that failed.
        predicate: &'static str,
        /// Values.
        values: usize,
        /// Rows.
        rows: usize,
    },
    /// A value could not be read, or the rows of `alerts/` not be built.
    #[error("could not read or build alert rows")]
    Arrow(#[from] ArrowError),
}

impl Observation<'_> {
    /// The rows that breach: `when` is true and `until` is not.
    pub(super) fn breached(&self) -> BooleanBuffer {
        let mut breached = truths(self.when);
        if let Some(until) = self.until {
            breached = &breached & &!&truths(until);
        }
        if let Some(failed) = self.failed {
            breached = &breached & &!failed;
        }
        breached
    }

    /// What one row says.
    pub(super) fn sight(&self, row: usize) -> BreachSight {
        if self.failed.is_some_and(|failed| failed.value(row)) {
            return BreachSight::Unknown;
        }
        let when = is_true(self.when, row);
        match self.until {
            None if when => BreachSight::Breached,
            None => BreachSight::Over,
            Some(until) if is_true(until, row) => BreachSight::Over,
            Some(_) if when => BreachSight::Breached,
            Some(_) => BreachSight::Between,
        }
    }

    /// Whether there is one value for each row.
    pub(super) fn check_lengths(&self) -> Result<(), ObserveError> {
        let rows = self.rows.rows().num_rows();
        let predicates = [("when", Some(self.when)), ("until", self.until)];
        let mut lengths: Vec<(&'static str, usize)> = predicates
            .iter()
            .filter_map(|(predicate, values)| Some((*predicate, values.as_ref()?.len())))
            .collect();
        lengths.extend(self.failed.map(|failed| ("failed", failed.len())));
        match lengths.into_iter().find(|(_, values)| *values != rows) {
            None => Ok(()),
            Some((predicate, values)) => Err(ObserveError::Length {
                rule: self.rule.name.clone(),
                table: self.table.to_owned(),
                predicate,
                values,
                rows,
            }),
        }
    }
}

fn truths(values: &BooleanArray) -> BooleanBuffer {
    match values.nulls() {
        Some(nulls) => values.values() & nulls.inner(),
        None => values.values().clone(),
    }
}

fn is_true(values: &BooleanArray, row: usize) -> bool {
    values.is_valid(row) && values.value(row)
}
