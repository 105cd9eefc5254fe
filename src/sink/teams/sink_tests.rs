//! The whole sink: judged rows in, cards at a webhook on this machine and rows of `alerts/` out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use secrecy::SecretString;

use crate::clock::{Clock, ManualClock};
use crate::flow::{Timestamp, Window};

use super::book::Observation;
use super::catcher::Catcher;
use super::log::Disposition;
use super::pace::Tempo;
use super::route::DEFAULT_WEBHOOK_ENV;
use super::rule::{AlertRule, AlertSettings, Route, Severity};
use super::samples::{at, minute, rule, zones};
use super::webhook::Reach;
use super::{AlertSetup, AlertSink, Observed};

struct Case {
    sink: AlertSink,
    clock: Arc<ManualClock>,
    rule: Arc<AlertRule>,
}

impl Case {
    /// A sink whose clock stands at 12:00 UTC.
    fn new(settings: AlertSettings, webhook: Option<SecretString>, severity: Severity) -> Case {
        let clock = Arc::new(ManualClock::at(at(0)));
        let name = || DEFAULT_WEBHOOK_ENV.to_owned();
        let setup = AlertSetup {
            settings,
            webhooks: webhook.map(|url| (name(), url)).into_iter().collect(),
            zones: zones(),
            reach: Reach::Private,
            tempo: Tempo { gap: Duration::from_millis(5), ..Tempo::default() },
        };
        let rule = Arc::new(AlertRule { severity, ..rule("tat_p90_over_target") });
        let as_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        Case { sink: AlertSink::start(setup, as_clock).unwrap(), clock, rule }
    }

    /// One hourly window that ends at `end`: rows of priority and p90 of `LAB-1` and assay `K`,
    /// breached above 60.
    fn observe(&mut self, end: Timestamp, rows: &[(&str, f64)]) -> Observed {
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        let figures: Vec<f64> = rows.iter().map(|(_, p90)| *p90).collect();
        let batch = RecordBatch::try_from_iter([
            ("lab_id", text(vec!["LAB-1"; rows.len()])),
            ("assay", text(vec!["K"; rows.len()])),
            ("priority", text(rows.iter().map(|(priority, _)| *priority).collect())),
            ("n", Arc::new(Int64Array::from(vec![25; rows.len()]))),
            ("p90_minutes", Arc::new(Float64Array::from(figures.clone()))),
            ("target_minutes", Arc::new(Int64Array::from(vec![60; rows.len()]))),
            ("machine_id", text(vec!["M3"; rows.len()])),
        ])
        .unwrap();
        let when = BooleanArray::from_iter(figures.iter().map(|p90| Some(*p90 > 60.0)));
        let observation = Observation {
            rule: &Arc::clone(&self.rule),
            table: "tat_percentiles_1h",
            rows: &batch,
            grain: &["lab_id", "assay", "priority"].map(str::to_owned),
            when: &when,
            until: None,
            window: Window { start: end.minus(minute(60)), end },
            overlapping: true,
            keyed: false,
            revision: 0,
            figures: &["p90_minutes", "target_minutes", "n"].map(str::to_owned),
            units: &BTreeMap::from([
                ("p90_minutes".to_owned(), "min".to_owned()),
                ("target_minutes".to_owned(), "min".to_owned()),
            ]),
        };
        self.sink.observe(&observation).unwrap()
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Vec<Option<&'a str>> {
    rows.column_by_name(name).unwrap().as_string::<i32>().iter().collect()
}

#[tokio::test]
async fn a_breach_begins_and_ends_with_one_card_each() {
    let catcher = Catcher::start([]).await;
    let mut case = Case::new(AlertSettings::default(), Some(catcher.url()), Severity::High);
    let begun = case.observe(at(0), &[("S", 92.5), ("R", 50.0)]);
    assert!(case.observe(at(5), &[("S", 93.0)]).cards.is_empty());
    let ended = case.observe(at(10), &[("S", 59.0)]);
    let report = case.sink.drain(Duration::from_secs(10)).await;
    assert_eq!((report.delivered, report.undelivered.len()), (2, 0));
    assert_eq!(
        catcher.titles(),
        [
            "Breach (high): tat p90 over target · LAB-1 · K · S",
            "Ended (high): tat p90 over target · LAB-1 · K · S",
        ]
    );
    let card = &catcher.caught()[0].json["attachments"][0]["content"]["body"];
    let facts: Vec<(&str, &str)> = card[1]["facts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fact| (fact["title"].as_str().unwrap(), fact["value"].as_str().unwrap()))
        .collect();
    for fact in [("p90", "92.5 min"), ("Target", "60 min"), ("n", "25"), ("Machine", "M3")] {
        assert!(facts.contains(&fact), "{fact:?} in {facts:?}");
    }
    assert_eq!(column(&begun.rows, "disposition"), [Some("posted")]);
    assert_eq!(column(&begun.rows, "figure"), [Some("p90_minutes")]);
    assert_eq!(column(&begun.rows, "group"), [Some("assay=K, priority=S")]);
    assert_eq!(column(&ended.rows, "kind"), [Some("end")]);
    let id = column(&begun.rows, "card_id")[0].unwrap();
    assert_eq!(id.len(), 32);
    let shown = format!("Card {}", &id[..12]);
    assert_eq!(card.as_array().unwrap().last().unwrap()["text"], shown);
}

#[tokio::test]
async fn without_a_webhook_cards_are_shown_and_none_is_posted() {
    let mut case = Case::new(AlertSettings::default(), None, Severity::High);
    // Ten hours old: shown in dry run all the same.
    let observed = case.observe(at(-600), &[("S", 92.5), ("R", 99.0)]);
    assert_eq!(observed.cards.len(), 1);
    assert_eq!(observed.cards[0].disposition, Disposition::DryRun);
    assert_eq!(column(&observed.rows, "disposition"), [Some("dry_run"), Some("dry_run")]);
    let ids = column(&observed.rows, "card_id");
    assert_eq!(ids[0], ids[1]);
    assert_eq!(case.sink.waiting(), 0);
    assert_eq!(case.sink.drain(Duration::from_secs(1)).await, Default::default());
}

#[tokio::test]
async fn dry_run_wins_over_a_webhook_that_is_set() {
    let catcher = Catcher::start([]).await;
    let settings = AlertSettings { dry_run: true, ..AlertSettings::default() };
    let mut case = Case::new(settings, Some(catcher.url()), Severity::High);
    let observed = case.observe(at(0), &[("S", 92.5)]);
    assert_eq!(observed.cards[0].disposition, Disposition::DryRun);
    case.sink.drain(Duration::from_secs(1)).await;
    assert!(catcher.caught().is_empty());
}

#[tokio::test]
async fn imported_history_is_recorded_and_floods_nobody() {
    let catcher = Catcher::start([]).await;
    let mut case = Case::new(AlertSettings::default(), Some(catcher.url()), Severity::High);
    for hour in 0..100 {
        let p90 = if hour % 2 == 0 { 92.5 } else { 30.0 };
        let observed = case.observe(at(60 * (hour - 102)), &[("S", p90)]);
        assert_eq!(column(&observed.rows, "disposition"), [Some("too_old")]);
    }
    case.sink.drain(Duration::from_secs(1)).await;
    assert!(catcher.caught().is_empty());
}

#[tokio::test]
async fn what_quiet_hours_hold_back_comes_as_one_digest_after_them() {
    let catcher = Catcher::start([]).await;
    // 12:00 UTC is 13:00 at LAB-1; quiet until 14:00 there.
    let route = Route {
        webhook_env: DEFAULT_WEBHOOK_ENV.to_owned(),
        quiet_hours: Some((13 * 60, 14 * 60)),
        ..Route::default()
    };
    let settings = AlertSettings { routes: vec![route], ..AlertSettings::default() };
    let mut case = Case::new(settings, Some(catcher.url()), Severity::Medium);
    let begun = case.observe(at(0), &[("S", 92.5)]);
    assert_eq!(column(&begun.rows, "disposition"), [Some("quiet_hours")]);
    case.observe(at(30), &[("S", 40.0)]);
    case.clock.advance(minute(59));
    case.sink.tick();
    assert_eq!(case.sink.waiting(), 0);
    case.clock.advance(minute(1));
    case.sink.tick();
    let report = case.sink.drain(Duration::from_secs(10)).await;
    assert_eq!(report.delivered, 1);
    assert_eq!(catcher.titles(), ["During quiet hours · LAB-1: 2 alerts"]);
}
