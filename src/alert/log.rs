//! The rows of `alerts/`: one per notice, with what became of its card.
//!
//! Every column but [`DISPOSITION_COLUMN`] is a pure function of the input. The disposition
//! depends on the clock (`max_age`) and on which webhooks were set: leave it out of a comparison
//! of two runs. So does the one reminder out of turn that tells of a breach whose beginning was too
//! old to be posted.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono::NaiveDate;

use crate::flow::Timestamp;
use crate::flow::event::timestamp_type;

use super::compose::severity_word;
use super::notice::{Id, LAB_COLUMN, Notice};

/// The last column: what became of the notice's card.
pub const DISPOSITION_COLUMN: &str = "disposition";

/// What becomes of a card when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    /// Handed to the outbox of a webhook.
    Posted,
    /// Rendered and shown only: dry run, or the route's webhook is not set.
    DryRun,
    /// Older than `max_age`.
    TooOld,
    /// The end of a breach of which no card was posted.
    Unannounced,
    /// Held back by quiet hours; told in a digest after them.
    QuietHours,
    /// No route takes it.
    Unrouted,
    /// A reminder of what somebody sees to.
    Acknowledged,
}

impl Disposition {
    /// The disposition's name in `alerts/` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Posted => "posted",
            Disposition::DryRun => "dry_run",
            Disposition::TooOld => "too_old",
            Disposition::Unannounced => "unannounced",
            Disposition::QuietHours => "quiet_hours",
            Disposition::Unrouted => "unrouted",
            Disposition::Acknowledged => "acknowledged",
        }
    }

    /// Whether nobody needs to be told of the same breach once more: somebody is, or the settings
    /// say that nobody is to be.
    pub fn is_told(self) -> bool {
        match self {
            Disposition::Posted
            | Disposition::DryRun
            | Disposition::QuietHours
            | Disposition::Acknowledged
            | Disposition::Unrouted => true,
            Disposition::TooOld | Disposition::Unannounced => false,
        }
    }
}

/// A notice with its card and what became of that.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The notice.
    pub notice: Notice,
    /// The card that tells it, perhaps with others.
    pub card_id: Id,
    /// What became of the card.
    pub disposition: Disposition,
}

/// The schema of `alerts/`: one row per notice.
///
/// `window_start`, `window_end` (the judged window) · `rule`, `severity` (`low`, `medium`,
/// `high`), `kind` (`begin`, `reminder`, `end`), `table` · `lab_id` (null: the grain has none),
/// `group` (the rest of the grain, `assay=K, priority=S`) · `figure`, `figure_value` (the first
/// column that the predicate names; null value: not a number, or no row), `target`, `n` ·
/// `since` (the predicate was first true), `begun_at` (the breach began) · `owner`, `runbook` ·
/// `notice_id`, `card_id` (32 hexadecimal digits; a card shows the first 12) · `date` (UTC, of
/// `window_start`) · `disposition` ([`Disposition`]).
pub static ALERT_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str| Field::new(name, timestamp_type(), false);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        time("window_start"),
        time("window_end"),
        text("rule", false),
        text("severity", false),
        text("kind", false),
        text("table", false),
        text("lab_id", true),
        text("group", false),
        text("figure", true),
        number("figure_value"),
        number("target"),
        Field::new("n", DataType::Int64, true),
        time("since"),
        time("begun_at"),
        text("owner", true),
        text("runbook", true),
        text("notice_id", false),
        text("card_id", false),
        Field::new("date", DataType::Date32, false),
        text(DISPOSITION_COLUMN, false),
    ]))
});

/// The entries as rows of [`ALERT_SCHEMA`], sorted by window, rule, table, lab, group and kind.
pub fn alert_rows(mut entries: Vec<LogEntry>) -> Result<RecordBatch, ArrowError> {
    entries.sort_by_cached_key(|entry| {
        let notice = &entry.notice;
        let place = (notice.rule.name.clone(), notice.table.to_string());
        (notice.window, place, notice.group.values.clone(), notice.kind, notice.id.clone())
    });
    let notices = || entries.iter().map(|entry| &entry.notice);
    let reading = |notice: &Notice| notice.reading.clone();
    let figures: Vec<_> =
        notices().map(|notice| reading(notice)?.figures.into_iter().next()).collect();
    let targets = notices().map(|notice| reading(notice)?.target?.number());
    let columns: Vec<ArrayRef> = vec![
        times(notices().map(|notice| notice.window.start)),
        times(notices().map(|notice| notice.window.end)),
        texts(notices().map(|notice| Some(notice.rule.name.as_str()))),
        texts(notices().map(|notice| Some(severity_word(notice.rule.severity)))),
        texts(notices().map(|notice| Some(notice.kind.as_str()))),
        texts(notices().map(|notice| Some(&*notice.table))),
        texts(notices().map(|notice| notice.group.lab())),
        Arc::new(StringArray::from_iter_values(
            notices().map(|notice| notice.group.describe(&[LAB_COLUMN])),
        )),
        texts(figures.iter().map(|figure| figure.as_ref().map(|one| one.column.as_str()))),
        Arc::new(Float64Array::from_iter(figures.iter().map(|one| one.as_ref()?.number()))),
        Arc::new(Float64Array::from_iter(targets)),
        Arc::new(Int64Array::from_iter(notices().map(|notice| reading(notice)?.n))),
        times(notices().map(|notice| notice.since)),
        times(notices().map(|notice| notice.begun_at)),
        texts(notices().map(|notice| notice.rule.owner.as_deref())),
        texts(notices().map(|notice| notice.rule.runbook.as_deref())),
        texts(notices().map(|notice| Some(notice.id.as_str()))),
        texts(entries.iter().map(|entry| Some(entry.card_id.as_str()))),
        Arc::new(Date32Array::from_iter_values(
            notices().map(|notice| days(notice.window.start.date())),
        )),
        texts(entries.iter().map(|entry| Some(entry.disposition.as_str()))),
    ];
    RecordBatch::try_new(Arc::clone(&ALERT_SCHEMA), columns)
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn times(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    let micros = values.map(|at| at.0);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// Days since the Unix epoch.
fn days(date: NaiveDate) -> i32 {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::NoticeKind;
    use crate::alert::samples::notice;

    use arrow::util::pretty::pretty_format_batches;

    #[test]
    fn rows_are_sorted_and_say_what_the_notice_says() {
        let entry = |kind, group, p90| {
            let notice = notice(kind, group, p90);
            LogEntry { card_id: notice.id.clone(), notice, disposition: Disposition::Posted }
        };
        let mut last = entry(NoticeKind::End, [Some("LAB-2"), None, Some("S")], 1.0);
        last.notice.reading = None;
        last.disposition = Disposition::DryRun;
        let first = entry(NoticeKind::Begin, [Some("LAB-1"), Some("K"), Some("S")], 92.5);
        let rows = alert_rows(vec![last, first]).unwrap();
        let shown = rows.project(&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 18, 19]).unwrap();
        let table = pretty_format_batches(&[shown]).unwrap().to_string();
        let lines: Vec<String> = table
            .lines()
            .skip(3)
            .filter(|line| line.starts_with('|'))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(
            lines,
            [
                "|tat_p90_over_target|high|begin|tat_1h|LAB-1|assay=K, priority=S|p90_minutes\
                 |92.5|60.0|25|2026-03-01|posted|",
                "|tat_p90_over_target|high|end|tat_1h|LAB-2|assay=null, priority=S|||||2026-03-01\
                 |dry_run|",
            ]
        );
        assert_eq!(rows.schema(), *ALERT_SCHEMA);
    }

    #[test]
    fn no_entries_are_no_rows() {
        assert_eq!(alert_rows(Vec::new()).unwrap().num_rows(), 0);
    }
}
