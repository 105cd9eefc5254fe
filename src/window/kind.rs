//! The kinds of windows that a pipeline can declare: what others ask of a declaration, the words in
//! which it is explained, and the text that names of objects are made of.

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

impl WindowKind {
    /// Whether rows pass one by one: then the table stands alone, by the pipeline's own name.
    pub fn passes_rows(&self) -> bool {
        match self {
            WindowKind::RowLevel => true,
            WindowKind::Tumbling { .. }
            | WindowKind::Hopping { .. }
            | WindowKind::Session { .. }
            | WindowKind::Calendar { .. } => false,
        }
    }

    /// What it is and when it gives results, for a pipeline with so much allowed lateness.
    pub fn words(&self, allowed_lateness: Span) -> String {
        let per_day = |slide: Span| Span::DAY.0 / slide.0.max(1);
        match self {
            WindowKind::Tumbling { size } => format!(
                "tumbling {size}, {} firings a day while it is live, then one object a day",
                per_day(*size)
            ),
            WindowKind::Hopping { size, slide } => format!(
                "hopping {size} every {slide}, {} firings a day while it is live, then one object \
                 a day",
                per_day(*slide)
            ),
            WindowKind::Session { gap, by, wait } => {
                let of = if by.is_empty() { "all rows together".to_owned() } else { by.join(", ") };
                let waits = match wait.0 {
                    0 => String::new(),
                    _ => format!(", given out {wait} later so that rows that late count"),
                };
                format!(
                    "sessions of {of} that end after {gap} without a row{waits}, one firing each \
                     while the day is live, then one object a day; late rows do not revise them"
                )
            }
            WindowKind::Calendar { unit, zone } => format!(
                "{} by the clock of {}, one firing each while the day is live, then one object a \
                 day",
                unit.words(),
                zone.words()
            ),
            WindowKind::RowLevel => format!(
                "row-level, one object a day once the day and {allowed_lateness} have passed"
            ),
        }
    }

    /// What the fingerprint of a table says of it. It stands in the names of objects, so it is written
    /// out: to rename a type or a field renames no object of a lake.
    pub fn text(&self) -> String {
        match self {
            WindowKind::Tumbling { size } => format!("Tumbling {{ size: {} }}", span(*size)),
            WindowKind::Hopping { size, slide } => {
                format!("Hopping {{ size: {}, slide: {} }}", span(*size), span(*slide))
            }
            WindowKind::Session { gap, by, wait } => {
                let by: Vec<String> = by.iter().map(|column| quoted(column)).collect();
                let (gap, by, wait) = (span(*gap), by.join(", "), span(*wait));
                format!("Session {{ gap: {gap}, by: [{by}], wait: {wait} }}")
            }
            WindowKind::Calendar { unit, zone } => {
                format!("Calendar {{ unit: {}, zone: {} }}", unit.text(), zone.text())
            }
            WindowKind::RowLevel => "RowLevel".to_owned(),
        }
    }
}

impl CalendarUnit {
    fn words(&self) -> String {
        match self {
            CalendarUnit::Day => "days".to_owned(),
            CalendarUnit::Week => "weeks from Monday".to_owned(),
            CalendarUnit::Month => "months".to_owned(),
            CalendarUnit::Shift { starts } => {
                let clock = |start: &u16| format!("{:02}:{:02}", start / 60, start % 60);
                let starts: Vec<String> = starts.iter().map(clock).collect();
                format!("shifts from {}", starts.join(", "))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            CalendarUnit::Day => "Day".to_owned(),
            CalendarUnit::Week => "Week".to_owned(),
            CalendarUnit::Month => "Month".to_owned(),
            CalendarUnit::Shift { starts } => {
                let starts: Vec<String> = starts.iter().map(u16::to_string).collect();
                format!("Shift {{ starts: [{}] }}", starts.join(", "))
            }
        }
    }
}

impl Zone {
    fn words(&self) -> String {
        match self {
            Zone::Lab => "each laboratory".to_owned(),
            Zone::Fixed(zone) => zone.to_string(),
        }
    }

    fn text(&self) -> String {
        match self {
            Zone::Lab => "Lab".to_owned(),
            Zone::Fixed(zone) => format!("Fixed({})", zone.name()),
        }
    }
}

/// In microseconds.
fn span(span: Span) -> String {
    format!("Span({})", span.0)
}

/// In quotes, with what is not plain escaped. Names are plain.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
