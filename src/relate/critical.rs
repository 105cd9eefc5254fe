//! What became of critical results, as the relations `critical_results` and `critical_deadlines`.
//!
//! Such rows are few, so texts are written out.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::error::ArrowError;

use super::changed::Changed;
use super::column::{ColumnHolds, RelationColumn, column};
use super::plain::{floats, instants, rows_of, texts, truths};
use crate::lifecycle::critical::{
    CriticalChanges, CriticalDeadlineRow, CriticalHead, CriticalOutcome, CriticalRow,
};
use crate::lifecycle::machine::StateMachine;

use ColumnHolds::{Bool, Float, Int, Text, Time};

/// A minute in microseconds.
const MINUTE: f64 = 60_000_000.0;

/// What SQL can read of critical results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CriticalRelation {
    /// Results as they were judged.
    Results,
    /// Deadlines as they ran.
    Deadlines,
}

const HEAD: [RelationColumn; 7] = [
    column("lab_id", Text, "performing laboratory"),
    column("specimen_id", Text, "the tube"),
    column("assay", Text, "the test"),
    column("priority", Text, "S stat, A asap, R routine, as the flag says"),
    column("patient_class", Text, "ED, inpatient, outpatient, GP"),
    column("location", Text, "ward or clinic"),
    column("critical_id", Text, "the critical result; null where a feed lacks it"),
];

const RESULTS: &[RelationColumn] = &[
    column("flag", Text, "HH, LL or AA"),
    column("flagged_at", Time, "when it was flagged"),
    column("clock_start_at", Time, "from when its time runs (ref.critical_targets)"),
    column("due_at", Time, "when it has to be acknowledged; null without a deadline"),
    column(
        "target_minutes",
        Float,
        "longest allowable time to acknowledgement; null without a deadline",
    ),
    column("target_source", Text, "what told the target: reference or default"),
    column("target_version", Text, "since when that is valid; empty where it is always"),
    column("notified_at", Time, "when somebody was reached first; null where nobody tells"),
    column("acknowledged_at", Time, "when it was acknowledged; not where it was not read back"),
    column(
        "minutes_to_notify",
        Float,
        "clock start to the first who was reached; 0 before the flag",
    ),
    column(
        "minutes_to_acknowledge",
        Float,
        "clock start to the acknowledgement; 0 before the flag",
    ),
    column(
        "handled_within",
        Bool,
        "handled not after due_at; null where exempt or without a deadline",
    ),
    column("before_flag", Bool, "somebody was reached, or had acknowledged, before the flag"),
    column("attempts", Int, "calls that had reached nobody"),
    column("read_back", Bool, "whether it was read back; null where the feed does not say"),
    column("channel", Text, "how it was told: phone or electronic"),
    column("notified_to_role", Text, "role that was told"),
    column(
        "outcome",
        Text,
        "handled, overdue, handled_late, overturned (a late event told that it was in time), exempt or \
         abandoned",
    ),
    column("exempt", Text, "why nobody had to be called: repeat, referred or discharged"),
    column("judged_at", Time, "when it was acknowledged, or overdue (event time)"),
];

const DEADLINES: &[RelationColumn] = &[
    column("stage", Text, "reminder, breached or ended"),
    column("due_at", Time, "when it has to be acknowledged"),
    column("target_minutes", Float, "longest allowable time to acknowledgement"),
    column("state", Text, "the state that it stands in"),
    column("at", Time, "when it came to that (event time)"),
];

impl CriticalRelation {
    /// All of them.
    pub const ALL: [CriticalRelation; 2] = [CriticalRelation::Results, CriticalRelation::Deadlines];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            CriticalRelation::Results => "critical_results",
            CriticalRelation::Deadlines => "critical_deadlines",
        }
    }

    /// The column that holds the event time.
    pub fn event_time_column(self) -> &'static str {
        match self {
            CriticalRelation::Results => "judged_at",
            CriticalRelation::Deadlines => "at",
        }
    }

    /// The columns in order.
    pub fn columns(self) -> impl Iterator<Item = &'static RelationColumn> {
        let own = match self {
            CriticalRelation::Results => RESULTS,
            CriticalRelation::Deadlines => DEADLINES,
        };
        HEAD.iter().chain(own)
    }
}

/// The rows of a relation. `needed` are places among its columns.
///
/// # Errors
/// When a column is not of its type, which is a fault of ours.
pub fn critical_rows(
    changes: &CriticalChanges,
    relation: CriticalRelation,
    needed: &[usize],
    machine: &StateMachine,
) -> Result<Changed, ArrowError> {
    match relation {
        CriticalRelation::Results => {
            let head: HeadOf<CriticalRow> = |row| &row.head;
            let of = OfRelation { rows: &changes.results, head, machine };
            of.changed(relation, needed, result)
        }
        CriticalRelation::Deadlines => {
            let head: HeadOf<CriticalDeadlineRow> = |row| &row.head;
            let of = OfRelation { rows: &changes.deadlines, head, machine };
            of.changed(relation, needed, |rows, name| {
                Some(match name {
                    "stage" => texts(rows, |row| Some(row.stage.text().to_owned())),
                    "state" => texts(rows, |row| machine.name(row.state).map(str::to_owned)),
                    _ => return None,
                })
            })
        }
    }
}

fn result(rows: &[CriticalRow], name: &str) -> Option<ArrayRef> {
    // What was done before the flag took no time.
    let since = |row: &CriticalRow, done: Option<i64>| {
        let done = done?;
        Some(if done <= row.flagged { 0.0 } else { (done - row.start) as f64 / MINUTE })
    };
    Some(match name {
        "flag" => texts(rows, |row| owned(&row.flag)),
        "flagged_at" => instants(rows.iter().map(|row| Some(row.flagged))),
        "clock_start_at" => instants(rows.iter().map(|row| Some(row.start))),
        "target_source" => texts(rows, |row| Some(row.source.to_owned())),
        "target_version" => texts(rows, |row| Some(row.version.to_string())),
        "notified_at" => instants(rows.iter().map(|row| row.notified)),
        "acknowledged_at" => instants(rows.iter().map(|row| row.acknowledged)),
        "minutes_to_notify" => floats(rows, |row| since(row, row.notified)),
        "minutes_to_acknowledge" => floats(rows, |row| since(row, row.acknowledged)),
        "handled_within" => truths(rows, |row| match row.outcome {
            CriticalOutcome::Handled | CriticalOutcome::Overturned => row.head.due.map(|_| true),
            CriticalOutcome::Overdue | CriticalOutcome::HandledLate => Some(false),
            CriticalOutcome::Exempt | CriticalOutcome::Abandoned => None,
        }),
        "before_flag" => truths(rows, |row| Some(row.before_flag)),
        "attempts" => {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| i64::from(row.attempts))))
        }
        "read_back" => truths(rows, |row| row.read_back),
        "channel" => texts(rows, |row| owned(&row.channel)),
        "notified_to_role" => texts(rows, |row| owned(&row.role)),
        "outcome" => texts(rows, |row| Some(row.outcome.text().to_owned())),
        "exempt" => texts(rows, |row| owned(&row.exempt)),
        _ => return None,
    })
}

/// Where a row has what all have.
type HeadOf<R> = fn(&R) -> &CriticalHead;

/// Rows of one relation, with where each has what all have.
struct OfRelation<'a, R> {
    rows: &'a [R],
    head: HeadOf<R>,
    machine: &'a StateMachine,
}

impl<R> OfRelation<'_, R> {
    fn changed(
        &self,
        relation: CriticalRelation,
        needed: &[usize],
        own: impl Fn(&[R], &str) -> Option<ArrayRef>,
    ) -> Result<Changed, ArrowError> {
        let columns: Vec<RelationColumn> = relation.columns().copied().collect();
        let time = relation.event_time_column();
        let made = rows_of(self.rows.len(), (&columns, needed), &|name| {
            if name == time {
                return Some(instants(self.heads().map(|head| Some(head.at))));
            }
            self.head(name).or_else(|| own(self.rows, name))
        });
        Ok(Changed {
            rows: made?,
            time: self.heads().map(|head| head.at).collect::<Vec<_>>().into(),
            watermark_before: self
                .heads()
                .map(|head| head.watermark_before)
                .collect::<Vec<_>>()
                .into(),
            cause: self.heads().map(|head| head.cause).collect::<Vec<_>>().into(),
            barred: None,
        })
    }

    fn heads(&self) -> impl Iterator<Item = &CriticalHead> {
        self.rows.iter().map(self.head)
    }

    fn head(&self, name: &str) -> Option<ArrayRef> {
        let key = self.machine.spec.entity.iter().position(|column| column == name);
        let head = self.head;
        if let Some(place) = key {
            return Some(texts(self.rows, |row| head(row).key.text(place).map(str::to_owned)));
        }
        Some(match name {
            "priority" => texts(self.rows, |row| owned(&head(row).priority)),
            "patient_class" => texts(self.rows, |row| owned(&head(row).patient_class)),
            "location" => texts(self.rows, |row| owned(&head(row).location)),
            "due_at" => instants(self.heads().map(|head| head.due)),
            "target_minutes" => {
                floats(self.rows, |row| head(row).target.map(|target| target as f64 / MINUTE))
            }
            _ => return None,
        })
    }
}

fn owned(text: &Option<Arc<str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}
