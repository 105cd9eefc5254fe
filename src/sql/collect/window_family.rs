//! What others ask of a family of windows, whatever its kind.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use datafusion::common::Result;

use super::batch_input::BatchInput;
use super::collected::Partial;
use crate::flow::Span;
use crate::sql::plan::query::Query;
use crate::window::Lateness;

/// What a table's rows have beside the query's columns, and in which order they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableForm {
    /// Windows of instants that fire in the order of their starts.
    Windows {
        /// Whether they do not overlap.
        is_tile: bool,
    },
    /// Periods of a clock, which also say when they begin on it.
    Periods,
    /// Windows of many keys, which fire in any order.
    KeyedWindows,
    /// Rows that belong to no window.
    Rows,
}

/// What is known of a pipeline whose windows are divided into families.
#[derive(Clone, Copy, Debug)]
pub struct FamilyGround<'a> {
    /// The planned query.
    pub query: &'a Query,
    /// For how long its windows are revised.
    pub lateness: Lateness,
    /// The zones of the labs that are listed.
    pub labs: &'a BTreeMap<String, Tz>,
}

/// A family of windows: where rows go in time. Most is as most kinds have it.
pub trait WindowFamily {
    /// What one batch gives to it.
    ///
    /// # Errors
    /// What fails when the query runs.
    fn partial(&self, batch: &BatchInput<'_>) -> Result<Partial>;

    /// How long a window without further rows stays open at most, from the row that began it.
    fn longest(&self) -> Span;

    /// What the rows of each of its tables look like.
    fn forms(&self) -> Vec<TableForm>;

    /// For how long its windows are revised.
    fn lateness(&self) -> Lateness {
        Lateness::NONE
    }

    /// How long after its end a window can still fire, of a pipeline with so much allowed lateness.
    fn closes_after(&self, allowed_lateness: Span) -> Span {
        allowed_lateness
    }

    /// Whether each window is one key's, so that many end at once.
    fn is_keyed(&self) -> bool {
        false
    }

    /// Whether it asks for each row's lab.
    fn needs_labs(&self) -> bool {
        false
    }

    /// How wide the panes are that its windows share, if they do.
    fn pane_width(&self) -> Option<Span> {
        None
    }

    /// How many panes the windows of each table have, where they share some.
    fn panes(&self) -> Vec<i64> {
        Vec::new()
    }
}
