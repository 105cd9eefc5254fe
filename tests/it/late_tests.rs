//! Rules over the rows of a row-level table: a card for each test that is about to be late, and is, when
//! it is, not when some window closes.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::Span;

use crate::binary::{Place, count, unique, wait_for};
use crate::catcher::{Catcher, posts, title};
use crate::own_project::ONCE;
use crate::servers;
use crate::stream::Stream;
use crate::takeover::{client, create_topic};

const LONG: Duration = Duration::from_secs(60);

const PIPELINE: &str = "description: Deadlines of tests.
windows:
  none: {}
allowed_lateness: 2h
grain: [lab_id, specimen_id, assay, stage, at]
columns:
  lab_id:         { description: Performing laboratory }
  specimen_id:    { description: The tube }
  assay:          { description: The test }
  priority:       { description: Its priority }
  stage:          { description: What it came to }
  target_minutes: { description: Its target, unit: min, additive: false }
  at:             { description: When it came to that }
alerts:
  - name: stat_test_at_risk
    when: stage = 'at_risk' AND priority = 'S'
    until: stage IN ('breached', 'ended')
    by: [lab_id, specimen_id, assay]
    severity: medium
  - name: stat_test_late
    when: stage = 'breached' AND priority = 'S'
    until: stage = 'ended'
    by: [lab_id, specimen_id, assay]
    severity: high
";
const SQL: &str =
    "SELECT lab_id, specimen_id, assay, priority, stage, target_minutes, at FROM deadlines";

fn place(pipeline: &str) -> Place {
    let place = Place::new();
    place.write("project/pipelines/test_deadlines.yaml", pipeline);
    place.write("project/sql/marts/test_deadlines.sql", SQL);
    place
}

fn event(specimen: &str, priority: &str, to_state: &str, at: &str) -> Value {
    json!({
        "event_id": format!("{specimen}-{to_state}"), "event_type": "specimen.transition",
        "lab_id": "L1", "specimen_id": specimen, "assay": "K", "priority": priority,
        "to_state": to_state, "event_time": at, "profile_tat_min": 60,
    })
}

/// By hand, each target 60 minutes, at risk from 48 on: s1 is received at 08:00, at risk at 08:48, late
/// at 09:00, verified at 09:30. s2 is routine, and late. s3 is received at 09:00, at risk at 09:48 and
/// verified at 09:50. s4 is in time.
#[test]
fn a_test_that_is_late_is_told_of_at_its_own_time() {
    let place = place(PIPELINE);
    let feed = [
        event("s1", "S", "RECEIVED", "2026-03-02T08:00:00Z"),
        event("s2", "R", "RECEIVED", "2026-03-02T08:05:00Z"),
        event("s4", "S", "RECEIVED", "2026-03-02T08:20:00Z"),
        event("s4", "S", "VERIFIED", "2026-03-02T09:00:00Z"),
        event("s3", "S", "RECEIVED", "2026-03-02T09:00:00Z"),
        event("s1", "S", "VERIFIED", "2026-03-02T09:30:00Z"),
        event("s3", "S", "VERIFIED", "2026-03-02T09:50:00Z"),
        event("s5", "R", "RECEIVED", "2026-03-02T12:00:00Z"),
    ];
    let lines: Vec<String> = feed.iter().map(Value::to_string).collect();
    place.write("feed.ndjson", lines.join("\n"));
    let run = place.counters(&ONCE);
    let told = place.query(
        "lake",
        "SELECT rule, kind, specimen_id AS specimen, CAST(at AS VARCHAR) AS at FROM (SELECT rule, kind, \
         window_end AS at, \"group\" AS specimen_id FROM alerts) ORDER BY at, rule, kind",
    );
    let row = |rule: &str, kind: &str, specimen: &str, at: &str| {
        let group = format!("specimen_id={specimen}, assay=K");
        let at = format!("2026-03-02T{at}:00Z");
        json!({"rule": rule, "kind": kind, "specimen": group, "at": at})
    };
    assert_eq!(
        told,
        [
            row("stat_test_at_risk", "begin", "s1", "08:48"),
            row("stat_test_at_risk", "end", "s1", "09:00"),
            row("stat_test_late", "begin", "s1", "09:00"),
            row("stat_test_late", "end", "s1", "09:30"),
            row("stat_test_at_risk", "begin", "s3", "09:48"),
            row("stat_test_at_risk", "end", "s3", "09:50"),
        ]
    );
    assert_eq!(count(&run, "cards"), 6);
    let files = place.listing("lake/alerts");
    assert_eq!(files.len(), 5, "one for each five minutes that have some: {files:?}");
    // What was told stands: another run over the same events tells nothing else.
    let again = place.counters(&ONCE);
    assert_eq!(count(&again, "cards"), 6);
    assert_eq!(place.listing("lake/alerts").len(), files.len());
}

#[test]
fn a_rule_over_rows_that_could_never_be_judged_is_refused() {
    let waits = PIPELINE.replace("    severity: high", "    for: 10m\n    severity: high");
    let told = ["test_deadlines.yaml:24:10:", "`for` waits for later rows of the same group"];
    place(&waits).run(&["check", "--project", "project"]).failed(2, &told);
    let of_nothing = PIPELINE.replace("by: [lab_id, specimen_id, assay]", "by: []");
    let told = ["needs `by`: the columns that name what a row speaks of"];
    place(&of_nothing).run(&["check", "--project", "project"]).failed(2, &told);
    let unknown = PIPELINE.replace("by: [lab_id, specimen_id, assay]", "by: [lab]");
    let told =
        ["test_deadlines.yaml:18:9:", "`by` names the column `lab`", "it has lab_id, specimen_id"];
    place(&unknown).run(&["check", "--project", "project"]).failed(2, &told);
}

/// A test that is still open becomes late while the stream runs: its card is there within seconds of the
/// record that moves the watermark past its deadline, long before any hour ends; and what verifies it
/// takes it back.
#[tokio::test]
async fn a_card_comes_when_the_watermark_passes_the_deadline() {
    let test = "late_tests::a_card_comes_when_the_watermark_passes_the_deadline";
    let Some(brokers) = servers::kafka(test) else { return };
    let Some(python) = servers::python(test) else { return };
    let topic = unique("late");
    create_topic(&brokers, &topic, 1).await;
    let told = tokio::task::spawn_blocking(move || late_while_it_runs(&brokers, &topic, &python));
    told.await.expect("the card comes, and another when it is over");
}

fn late_while_it_runs(brokers: &str, topic: &str, python: &str) {
    let mut place = place(PIPELINE);
    place.set("KAFKA_BROKERS", brokers);
    let _catcher = Catcher::start(&mut place, python, "202", "/hook");
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    let ago = |minutes: i64| SystemClock.now().minus(Span(minutes * Span::MINUTE.0)).to_string();
    let send = |event: Value| {
        let event = event.to_string();
        let record = BaseRecord::<(), str>::to(topic).payload(&event);
        producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        producer.flush(LONG).expect("the record is there");
    };
    let source = format!("kafka:{topic}");
    let arguments = ["--project", "project", "--source", &source, "--lake", "lake"];
    let stream = Stream::start(&place, &arguments, "log");
    send(event("s1", "S", "RECEIVED", &ago(70)));
    send(event("s2", "R", "RECEIVED", &ago(63)));
    stream.reads(2);
    let titles = |place: &Place| -> Vec<String> {
        posts(place).iter().map(|post| title(post).to_owned()).collect()
    };
    // The line stands 63 minutes back: the test is not even at risk.
    assert_eq!(titles(&place), [""; 0], "{}", stream.said());
    send(event("s3", "R", "RECEIVED", &ago(0)));
    let is_told = |told: &str| titles(&place).into_iter().any(|title| title.contains(told));
    // Three cards, of which a webhook takes one a second.
    wait_for("card", Duration::from_secs(20), || is_told("(high): stat test late").then_some(()));
    assert!(is_told("Breach (medium): stat test at risk"), "{:?}", titles(&place));
    assert!(!is_told("Ended (high)"), "{:?}", titles(&place));
    send(event("s1", "S", "VERIFIED", &ago(0)));
    // The watermark passes it as later events come.
    wait_for("end", Duration::from_secs(150), || {
        send(event(&unique("s"), "R", "RECEIVED", &ago(0)));
        std::thread::park_timeout(Duration::from_secs(2));
        is_told("Ended (high): stat test late").then_some(())
    });
    stream.terminate();
    assert_eq!(stream.code(), Some(0), "{}", place.read("log"));
}
