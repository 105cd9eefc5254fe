//! Values that the tests of this folder share.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::flow::{Span, Timestamp, Window};

use super::card::{Card, CardKind};
use super::notice::{Figure, FigureValue, Group, Id, Notice, NoticeAge, NoticeKind, NoticeRow};
use super::rule::{AlertRule, Severity};
use super::zones::LabZones;

/// So many minutes after 2026-03-01T12:00:00Z.
pub(super) fn at(minutes: i64) -> Timestamp {
    Timestamp(1_772_366_400_000_000).plus(minute(minutes))
}

pub(super) fn minute(minutes: i64) -> Span {
    Span(minutes * Span::MINUTE.0)
}

pub(super) fn rule(name: &str) -> AlertRule {
    AlertRule {
        name: name.to_owned(),
        when: "p90_minutes > target_minutes AND n >= 20".to_owned(),
        hold: Span(0),
        until: None,
        by: None,
        severity: Severity::Medium,
        owner: Some("lab-ops".to_owned()),
        runbook: Some("docs/runbooks/tat.md".to_owned()),
        windows: Vec::new(),
    }
}

pub(super) fn zones() -> LabZones {
    LabZones::new(BTreeMap::from([("LAB-1".to_owned(), chrono_tz::Europe::Berlin)]))
}

/// A notice of the window from 11:00 to 12:00 UTC about lab, assay and priority.
pub(super) fn notice(kind: NoticeKind, group: [Option<&str>; 3], p90: f64) -> Notice {
    let columns = ["lab_id", "assay", "priority"].map(str::to_owned);
    let group = Group {
        columns: Arc::new(columns),
        values: group.iter().map(|value| value.map(str::to_owned)).collect(),
    };
    let rule = Arc::new(AlertRule { severity: Severity::High, ..rule("tat_p90_over_target") });
    let window = Window { start: at(-60), end: at(0) };
    let figure = |column: &str, value| Figure {
        column: column.to_owned(),
        value: FigureValue::Number(value),
        unit: Some("min".to_owned()),
    };
    Notice {
        id: Notice::id_of(&rule, "tat_1h", &group, kind, (at(-25), at(0))),
        breach: Notice::id_of(&rule, "tat_1h", &group, NoticeKind::Begin, (at(-25), at(-25))),
        rule,
        table: "tat_1h".into(),
        kind,
        group,
        reading: Some(NoticeRow {
            figures: vec![figure("p90_minutes", p90)],
            target: Some(figure("target_minutes", 60.0)),
            n: Some(25),
            context: Vec::new(),
        }),
        window,
        since: at(-35),
        begun_at: at(-25),
        standing: NoticeAge::Fresh,
    }
}

/// A card of which only the number matters.
pub(super) fn numbered(number: usize) -> Card {
    Card {
        id: Id::of([Some(number.to_string().as_str())]),
        kind: CardKind::Begin,
        severity: Severity::Medium,
        title: format!("card {number}"),
        summary: format!("card {number}"),
        facts: Vec::new(),
        items: Vec::new(),
        more: 0,
        buttons: Vec::new(),
        at: at(0),
        tells: Vec::new(),
    }
}
