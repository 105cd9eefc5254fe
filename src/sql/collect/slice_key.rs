//! What rows are collected under.

use chrono::NaiveDate;

use crate::window::Period;

/// What a row is collected under: a pane with the first tick at which a window may count it, a
/// period with the revision that the row is new in, a proto-session, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SliceKey {
    /// A pane.
    Pane {
        /// The pane.
        pane: i64,
        /// The first tick at which a window may count it.
        ready: i64,
    },
    /// A calendar period.
    Period {
        /// The period.
        period: Period,
        /// 0, or the revision that a late row is new in.
        revision: u32,
    },
    /// A proto-session of the batch, by its number.
    Session(u32),
    /// A UTC day, of rows that belong to no window.
    Day(NaiveDate),
}
