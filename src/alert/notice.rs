//! What the alert book says: one breach of one group began, goes on, or ended.
//!
//! A notice is a pure function of the rows and the event time. Its id is a hash of what it is
//! about, so the same notice made twice is recognised. Nothing in here decides where it goes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::flow::{Timestamp, Window};

use super::rule::AlertRule;

/// Hex digits of an id that a card shows.
const SHORT_ID_LEN: usize = 12;

/// The column that names the laboratory.
pub const LAB_COLUMN: &str = "lab_id";
/// The column that names the assay.
pub const ASSAY_COLUMN: &str = "assay";
/// The column that names the tube.
pub const SPECIMEN_COLUMN: &str = "specimen_id";

/// What happened to a breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// It began: the predicate has held for the rule's `for`.
    Begin,
    /// It goes on, `repeat` after the last notice.
    Reminder,
    /// It ended.
    End,
}

impl NoticeKind {
    /// The kind's name in `alerts/`.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::Begin => "begin",
            NoticeKind::Reminder => "reminder",
            NoticeKind::End => "end",
        }
    }
}

/// Whether a notice is young enough to be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeAge {
    /// Young enough.
    Fresh,
    /// Older than `max_age` when it was made.
    TooOld,
    /// The end of a breach of which nobody was told.
    Unannounced,
}

/// An id of 32 hexadecimal digits: xxh3-128 over what the thing is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(String);

impl Id {
    /// The id of the thing that consists of `parts`; `None` differs from every text.
    pub fn of<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Id {
        let mut hash = Xxh3::new();
        for part in parts {
            let (length, bytes) = part.map_or((u64::MAX, &[][..]), |text| {
                (u64::try_from(text.len()).unwrap_or(u64::MAX), text.as_bytes())
            });
            hash.update(&length.to_le_bytes());
            hash.update(bytes);
        }
        Id(format!("{:032x}", hash.digest128()))
    }

    /// All 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..SHORT_ID_LEN).unwrap_or(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// The values of the grain's columns: what a breach is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The grain's columns.
    pub columns: Arc<[String]>,
    /// Their values, in the same order.
    pub values: Vec<Option<String>>,
}

impl Group {
    /// The value of one column; `None` when it is null or not in the grain.
    pub fn value(&self, column: &str) -> Option<&str> {
        self.entries().find(|(name, _)| *name == column).and_then(|(_, value)| value)
    }

    /// The laboratory, when the grain has one.
    pub fn lab(&self) -> Option<&str> {
        self.value(LAB_COLUMN)
    }

    /// Columns with their values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.columns.iter().map(String::as_str).zip(self.values.iter().map(Option::as_deref))
    }

    /// `assay=K, priority=S` without the columns in `but`; a null is written `null`.
    pub fn describe(&self, but: &[&str]) -> String {
        let parts: Vec<String> = self
            .entries()
            .filter(|(name, _)| !but.contains(name))
            .map(|(name, value)| format!("{name}={}", value.unwrap_or("null")))
            .collect();
        parts.join(", ")
    }
}

/// A value of a result row.
#[derive(Clone, Debug, PartialEq)]
pub enum FigureValue {
    /// A number.
    Number(f64),
    /// Anything else, as text.
    Text(String),
    /// Null.
    Null,
}

/// A named value of a result row.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The column.
    pub column: String,
    /// Its value.
    pub value: FigureValue,
    /// As `min` or `%`.
    pub unit: Option<String>,
}

impl Figure {
    /// The value when it is a number.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            FigureValue::Number(number) => Some(*number),
            FigureValue::Text(_) | FigureValue::Null => None,
        }
    }
}

/// What the row said that a notice is about.
#[derive(Clone, Debug, PartialEq)]
pub struct NoticeRow {
    /// The figures that the rule's predicate names, in its order; neither grain, target nor `n`,
    /// unless nothing else is named.
    pub figures: Vec<Figure>,
    /// The first column whose name begins with `target`.
    pub target: Option<Figure>,
    /// The column `n`.
    pub n: Option<i64>,
    /// Machine and phase, when the row has them outside of the grain.
    pub context: Vec<(String, String)>,
}

impl NoticeRow {
    /// How far the main figure lies from its target; without a target, how large it is.
    pub fn badness(&self) -> f64 {
        let Some(figure) = self.figures.first().and_then(Figure::number) else {
            return f64::NEG_INFINITY;
        };
        match self.target.as_ref().and_then(Figure::number) {
            Some(target) => (figure - target).abs(),
            None => figure.abs(),
        }
    }
}

/// A breach of one group began, goes on, or ended.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Stable: hash of rule, table, group, begin and kind (reminders: and their window's end).
    pub id: Id,
    /// The id of the notice with which the breach began.
    pub breach: Id,
    /// The rule.
    pub rule: Arc<AlertRule>,
    /// The table whose rows were judged.
    pub table: Arc<str>,
    /// What happened.
    pub kind: NoticeKind,
    /// Of which group.
    pub group: Group,
    /// What the row said; `None` when the group was absent.
    pub reading: Option<NoticeRow>,
    /// The window that was judged.
    pub window: Window,
    /// The end of the first window in which the predicate held.
    pub since: Timestamp,
    /// The end of the window with which the breach began; `since` plus at least the rule's `for`.
    pub begun_at: Timestamp,
    /// Whether it is young enough to be posted.
    pub standing: NoticeAge,
}

impl Notice {
    /// The id of a notice of `kind` about a breach that began at `begun_at`.
    pub fn id_of(
        rule: &AlertRule,
        table: &str,
        group: &Group,
        kind: NoticeKind,
        times: (Timestamp, Timestamp),
    ) -> Id {
        let (begun_at, window_end) = times;
        let begun = begun_at.0.to_string();
        let end = window_end.0.to_string();
        let mut parts = vec![Some(rule.name.as_str()), Some(table), Some(kind.as_str())];
        parts.push(Some(&begun));
        match kind {
            NoticeKind::Begin | NoticeKind::End => {}
            NoticeKind::Reminder => parts.push(Some(&end)),
        }
        parts.extend(group.values.iter().map(Option::as_deref));
        Id::of(parts)
    }
}
