//! The kinds of windows that a pipeline can declare.

use chrono_tz::Tz;

use crate::flow::Span;

/// A window kind with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Disjoint windows of one size, aligned to the Unix epoch.
    Tumbling {
        /// The window's length.
        size: Span,
    },
    /// Overlapping windows: one of length `size` every `slide`, aligned to the Unix epoch.
    Hopping {
        /// The window's length, a multiple of `slide`.
        size: Span,
        /// From one window's start to the next one's.
        slide: Span,
    },
    /// Windows that end after `gap` without a row, one sequence per value of the columns `by`.
    Session {
        /// The silence that ends a session.
        gap: Span,
        /// The columns that have sessions of their own.
        by: Vec<String>,
        /// How far behind its partition's watermark a row may be and still count; a session is
        /// given out as much later.
        wait: Span,
    },
    /// Days, weeks, months or shifts by a calendar.
    Calendar {
        /// What a window is.
        unit: CalendarUnit,
        /// Whose midnight.
        zone: Zone,
    },
    /// No window: rows pass one by one (`none`).
    RowLevel,
}

/// What a calendar window spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    /// Local midnight to local midnight: 23, 24 or 25 hours.
    Day,
    /// ISO weeks from Monday.
    Week,
    /// Calendar months.
    Month,
    /// Shifts that begin at these minutes after local midnight, ascending.
    Shift {
        /// Minutes after local midnight.
        starts: Vec<u16>,
    },
}

/// Whose midnight a calendar window follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The lab's own (`ref.labs.tz`); a lab that is not listed is in UTC.
    Lab,
    /// One zone for all.
    Fixed(Tz),
}
