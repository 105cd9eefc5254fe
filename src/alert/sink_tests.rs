//! The whole sink: judged rows in, cards at a webhook on this machine and rows of `alerts/` out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use secrecy::SecretString;

use crate::clock::{Clock, ManualClock};
use crate::flow::card_key::CardKey;
use crate::flow::{Span, Timestamp, Window};
use crate::lake::Lake;

use super::catcher::{Catcher, Scripted};
use super::delivery::DeliveryReport;
use super::log::Disposition;
use super::observation::Observation;
use super::pace::Tempo;
use super::reading::WindowRows;
use super::route::DEFAULT_WEBHOOK_ENV;
use super::rule::{AlertRule, AlertSettings, Route, Severity};
use super::samples::{at, minute, rule, zones};
use super::webhook::WebhookReach;
use super::{AlertSetup, AlertSink, Observed};

struct Case {
    sink: AlertSink,
    clock: Arc<ManualClock>,
    rule: Arc<AlertRule>,
    lake: Lake,
}

impl Case {
    /// A sink whose clock stands at 12:00 UTC, over an empty lake.
    fn new(settings: AlertSettings, webhook: Option<SecretString>, severity: Severity) -> Case {
        Case::over(Lake::in_memory(), at(0), settings, webhook, severity)
    }

    fn over(
        lake: Lake,
        now: Timestamp,
        settings: AlertSettings,
        webhook: Option<SecretString>,
        severity: Severity,
    ) -> Case {
        let webhooks = webhook.map(|url| (DEFAULT_WEBHOOK_ENV.to_owned(), url));
        Case::with(lake, now, settings, webhooks.into_iter().collect(), severity)
    }

    fn with(
        lake: Lake,
        now: Timestamp,
        settings: AlertSettings,
        webhooks: BTreeMap<String, SecretString>,
        severity: Severity,
    ) -> Case {
        let clock = Arc::new(ManualClock::at(now));
        let setup = AlertSetup {
            settings,
            webhooks,
            zones: zones(),
            reach: WebhookReach::Private,
            tempo: Tempo { gap: Duration::from_millis(5), ..Tempo::default() },
        };
        let rule = Arc::new(AlertRule { severity, ..rule("tat_p90_over_target") });
        let as_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let sink = AlertSink::start(setup, as_clock, lake.clone()).unwrap();
        Case { sink, clock, rule, lake }
    }

    /// A run that starts at `now` on the lake that another has left.
    async fn again(
        lake: &Lake,
        now: Timestamp,
        settings: &AlertSettings,
        webhook: SecretString,
        severity: Severity,
    ) -> Case {
        let settings = settings.clone();
        let mut case = Case::over(lake.clone(), now, settings, Some(webhook), severity);
        case.sink.resume(lake).await.unwrap();
        case
    }

    /// Ends the run in an orderly way.
    async fn end(self) -> (Lake, DeliveryReport) {
        (self.lake, self.sink.drain(Duration::from_secs(2)).await)
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
        let grain = ["lab_id", "assay", "priority"].map(str::to_owned);
        let observation = Observation {
            rule: &Arc::clone(&self.rule),
            table: "tat_percentiles_1h",
            rows: &WindowRows::new(batch, &Arc::from(grain)).unwrap(),
            when: &when,
            until: None,
            failed: None,
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
    let report = case.sink.drain(Duration::from_secs(1)).await;
    assert_eq!(report, DeliveryReport { kept: true, ..DeliveryReport::default() });
    assert!(case.lake.card_keys().await.unwrap().is_empty());
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
        let expected = if hour % 2 == 0 { "too_old" } else { "unannounced" };
        assert_eq!(column(&observed.rows, "disposition"), [Some(expected)]);
    }
    case.sink.drain(Duration::from_secs(1)).await;
    assert!(catcher.caught().is_empty());
}

/// Quiet from 13:00 to 14:00 in Berlin, where it is 13:00 at 12:00 UTC.
fn quiet_lunch() -> AlertSettings {
    let route = Route {
        webhook_env: DEFAULT_WEBHOOK_ENV.to_owned(),
        quiet_hours: Some((13 * 60, 14 * 60)),
        ..Route::default()
    };
    AlertSettings { routes: vec![route], ..AlertSettings::default() }
}

#[tokio::test]
async fn what_quiet_hours_hold_back_comes_as_one_digest_after_them() {
    let catcher = Catcher::start([]).await;
    let mut case = Case::new(quiet_lunch(), Some(catcher.url()), Severity::Medium);
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

/// Runs that follow one another on one lake, each computing the same windows again: stopped in
/// the quiet hours, started in them, over when they end; and once more after that.
#[tokio::test]
async fn what_quiet_hours_hold_back_survives_a_stop_and_is_told_once() {
    let catcher = Catcher::start([]).await;
    let settings = quiet_lunch();
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::Medium);
    let begun = first.observe(at(0), &[("S", 92.5)]);
    let (lake, report) = first.end().await;
    assert_eq!((report.held, report.kept, report.delivered), (1, true, 0));

    let mut second = Case::again(&lake, at(50), &settings, catcher.url(), Severity::Medium).await;
    let again = second.observe(at(0), &[("S", 92.5)]);
    assert_eq!(again.cards.len(), 0);
    assert_eq!(again.rows, begun.rows, "the row that an earlier run has put");
    second.observe(at(30), &[("S", 40.0)]);
    second.clock.advance(minute(10));
    second.sink.tick();
    second.end().await;
    assert_eq!(catcher.titles(), ["During quiet hours · LAB-1: 2 alerts"]);
    let left = lake.card_keys().await.unwrap();
    assert!(matches!(left.as_slice(), [CardKey::Taken { .. }]), "{left:?}");

    let mut third = Case::again(&lake, at(70), &settings, catcher.url(), Severity::Medium).await;
    third.observe(at(0), &[("S", 92.5)]);
    third.observe(at(30), &[("S", 40.0)]);
    third.end().await;
    assert_eq!(catcher.titles().len(), 1);
}

/// Stopped before the quiet hours, started again while they last: what fell into the time between is
/// older than an hour when it is seen, and would have waited anyway.
#[tokio::test]
async fn what_a_stop_in_quiet_hours_has_missed_is_told_after_them() {
    let catcher = Catcher::start([]).await;
    let route = Route { quiet_hours: Some((13 * 60, 18 * 60)), ..quiet_lunch().routes.remove(0) };
    let settings = AlertSettings { routes: vec![route], ..quiet_lunch() };
    let lake = Lake::in_memory();
    let mut case = Case::again(&lake, at(180), &settings, catcher.url(), Severity::Medium).await;
    let begun = case.observe(at(10), &[("S", 92.5)]);
    assert_eq!(column(&begun.rows, "disposition"), [Some("quiet_hours")]);
    case.observe(at(30), &[("S", 40.0)]);
    case.clock.advance(minute(120));
    case.sink.tick();
    case.end().await;
    assert_eq!(catcher.titles(), ["During quiet hours · LAB-1: 2 alerts"]);
}

#[tokio::test]
async fn a_restart_does_not_post_again_what_was_posted() {
    let catcher = Catcher::start([]).await;
    let settings = AlertSettings::default();
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::High);
    let begun = first.observe(at(0), &[("S", 92.5), ("R", 99.0)]);
    let (lake, report) = first.end().await;
    assert_eq!((report.delivered, report.kept), (1, true));
    // Within the hour, so that nothing is too old; and after it, while the breach goes on.
    for now in [30, 120] {
        let mut next = Case::again(&lake, at(now), &settings, catcher.url(), Severity::High).await;
        let again = next.observe(at(0), &[("S", 92.5), ("R", 99.0)]);
        assert_eq!((again.cards.len(), &again.rows), (0, &begun.rows));
        assert!(next.observe(at(now), &[("S", 92.5), ("R", 99.0)]).cards.is_empty());
        next.end().await;
    }
    assert_eq!(catcher.titles().len(), 1);
    let mut last = Case::again(&lake, at(130), &settings, catcher.url(), Severity::High).await;
    last.observe(at(0), &[("S", 92.5), ("R", 99.0)]);
    assert_eq!(last.observe(at(130), &[("S", 1.0), ("R", 1.0)]).cards.len(), 1);
    last.end().await;
    assert_eq!(catcher.titles().len(), 2);
}

#[tokio::test]
async fn a_kill_loses_no_card_that_waits() {
    let busy = Scripted::Says(429, Some("300".to_owned()), String::new());
    let catcher = Catcher::start([busy]).await;
    let settings = AlertSettings::default();
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::High);
    first.observe(at(0), &[("S", 92.5)]);
    let lake = first.lake.clone();
    while lake.card_keys().await.unwrap().is_empty() || catcher.caught().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(first);
    // Two hours later it is over: it would not be told anew.
    let mut second = Case::again(&lake, at(120), &settings, catcher.url(), Severity::High).await;
    assert!(second.observe(at(0), &[("S", 92.5)]).cards.is_empty());
    let (_, report) = second.end().await;
    assert_eq!(report.delivered, 1);
    assert_eq!(catcher.titles().len(), 2);
}

#[tokio::test]
async fn what_waits_at_the_end_is_said_and_goes_out_at_the_next_start() {
    let busy = Scripted::Says(429, Some("300".to_owned()), String::new());
    let catcher = Catcher::start([busy]).await;
    let settings = AlertSettings::default();
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::High);
    first.observe(at(0), &[("S", 92.5)]);
    let (lake, report) = first.end().await;
    assert_eq!((report.undelivered.len(), report.kept), (1, true));
    let second = Case::again(&lake, at(120), &settings, catcher.url(), Severity::High).await;
    let (_, report) = second.end().await;
    assert_eq!(report.delivered, 1);
    let third = Case::again(&lake, at(121), &settings, catcher.url(), Severity::High).await;
    let (_, report) = third.end().await;
    assert_eq!(report.delivered, 0);
}

/// What is over is posted up to a week later, so that it was is known for longer.
#[tokio::test]
async fn a_restart_days_later_does_not_post_again_what_is_not_too_old_yet() {
    let catcher = Catcher::start([]).await;
    let max_age = Span(7 * Span::DAY.0);
    let settings = AlertSettings { max_age, ..AlertSettings::default() };
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::High);
    first.observe(at(0), &[("S", 92.5)]);
    first.observe(at(30), &[("S", 40.0)]);
    let (lake, report) = first.end().await;
    assert_eq!(report.delivered, 2);
    for days in [4, 6] {
        let now = at(days * 24 * 60);
        let mut next = Case::again(&lake, now, &settings, catcher.url(), Severity::High).await;
        assert!(next.observe(at(0), &[("S", 92.5)]).cards.is_empty());
        assert!(next.observe(at(30), &[("S", 40.0)]).cards.is_empty());
        next.end().await;
    }
    assert_eq!(catcher.titles().len(), 2);
}

/// The webhook's variable was taken away, and the routes lead to another now.
#[tokio::test]
async fn what_waits_for_a_webhook_that_is_gone_is_told_where_the_routes_lead() {
    let busy = Scripted::Says(429, Some("300".to_owned()), String::new());
    let (gone, there) = (Catcher::start([busy]).await, Catcher::start([]).await);
    let mut first = Case::new(AlertSettings::default(), Some(gone.url()), Severity::High);
    first.observe(at(0), &[("S", 92.5)]);
    let (lake, report) = first.end().await;
    assert_eq!((report.undelivered.len(), report.kept), (1, true));
    let route = Route { webhook_env: "OTHER".to_owned(), ..Route::default() };
    let settings = AlertSettings { routes: vec![route], ..AlertSettings::default() };
    let webhooks = BTreeMap::from([("OTHER".to_owned(), there.url())]);
    let mut second = Case::with(lake, at(30), settings, webhooks, Severity::High);
    second.sink.resume(&second.lake.clone()).await.unwrap();
    let again = second.observe(at(0), &[("S", 92.5)]);
    assert_eq!(again.cards.len(), 1);
    let (_, report) = second.end().await;
    assert_eq!(report.delivered, 1);
    assert_eq!(there.titles(), ["Breach (high): tat p90 over target · LAB-1 · K · S"]);
}

/// Nobody is reminded of what somebody sees to; that it is over is told. Also after a restart.
#[tokio::test]
async fn what_somebody_sees_to_is_not_reminded_of() {
    let catcher = Catcher::start([]).await;
    let settings = AlertSettings { repeat: minute(30), ..AlertSettings::default() };
    let mut first = Case::new(settings.clone(), Some(catcher.url()), Severity::High);
    let begun = first.observe(at(0), &[("S", 92.5)]);
    let reminded = first.observe(at(30), &[("S", 92.5)]);
    assert_eq!(column(&reminded.rows, "kind"), [Some("reminder")]);
    let breach = column(&begun.rows, "notice_id")[0].expect("an id").to_owned();
    let key = CardKey::Acknowledged { id: breach };
    first.lake.put_card(&key, bytes::Bytes::from_static(b"{}")).await.unwrap();
    let (lake, report) = first.end().await;
    assert_eq!(report.delivered, 2);

    let mut second = Case::again(&lake, at(31), &settings, catcher.url(), Severity::High).await;
    second.observe(at(0), &[("S", 92.5)]);
    second.observe(at(30), &[("S", 92.5)]);
    second.clock.advance(minute(60));
    let silent = second.observe(at(60), &[("S", 92.5)]);
    assert_eq!(silent.cards.len(), 0);
    assert_eq!(column(&silent.rows, "disposition"), [Some("acknowledged")]);
    let over = second.observe(at(90), &[("S", 40.0)]);
    assert_eq!(column(&over.rows, "kind"), [Some("end")]);
    second.end().await;
    assert_eq!(catcher.titles().len(), 3);
}
