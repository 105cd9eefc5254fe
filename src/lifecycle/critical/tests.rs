//! Critical results by hand, and against a second interpreter that was written from the same page
//! (`tests/oracle/critical.py`).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::json::ReaderBuilder;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::lifecycle_yaml;
use crate::flow::event::EVENT_SCHEMA;
use crate::flow::{Span, Timestamp};
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::stage::JudgedEvents;
use crate::reference::{CriticalStart, CriticalTarget, DeadlineRows, Reference};

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn micros(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

fn reference(targets: &Value) -> Reference {
    let row = |row: &Value| CriticalTarget {
        lab_id: text(&row["lab_id"]),
        assay: text(&row["assay"]),
        patient_class: text(&row["patient_class"]),
        minutes: row["minutes"].as_f64(),
        from: match row["from"].as_str() {
            Some("resulted") => CriticalStart::Resulted,
            _ => CriticalStart::Flagged,
        },
        valid_from: row["valid_from"].as_i64().map(Timestamp),
    };
    let rows = targets.as_array().into_iter().flatten().map(row).collect();
    Reference::new(&DeadlineRows { critical_targets: rows, ..DeadlineRows::default() }, 4.0)
}

fn rules(case: &Value) -> CriticalRules {
    let yaml = include_str!("../../../pipelines/lifecycles/critical.yaml");
    let machine = lifecycle_yaml::read_text("critical", yaml);
    let settings = CriticalSettings {
        reference: Arc::new(reference(&case["targets"])),
        reminder_share: 0.5,
        keep_finished: Span(micros(&case["keep_finished_us"])),
    };
    CriticalRules::new(machine.unwrap_or_else(|faults| panic!("{faults:?}")), settings).unwrap()
}

/// What the machine's conditions say of an event, by their texts.
fn holds(guard: &str, event: &Value) -> bool {
    match guard {
        "repeat_no > 0" => event["repeat_no"].as_i64().is_some_and(|number| number > 0),
        "referred_from IS NOT NULL" => event["referred_from"].is_string(),
        "lower(patient_class) = 'discharged'" => event["patient_class"] == "discharged",
        other => panic!("an unknown condition: {other}"),
    }
}

/// The case's event as decode makes it.
fn decoded(event: &Value) -> Value {
    let mut fields: Map<String, Value> = event.as_object().unwrap().clone();
    let instant = |micros: i64| json!(Timestamp(micros).to_rfc3339());
    for name in ["processed_at"] {
        if let Some(at) = fields.get(name).and_then(Value::as_i64) {
            fields.insert(name.to_owned(), instant(at));
        }
    }
    let at = micros(&event["at"]);
    for name in ["at", "offset", "watermark_before"] {
        fields.remove(name);
    }
    fields.insert("event_time".to_owned(), instant(at));
    Value::Object(fields)
}

fn steps_of(rules: &CriticalRules, events: &[Value]) -> Vec<CriticalStep> {
    let decoded: Vec<Value> = events.iter().map(decoded).collect();
    let mut reader = ReaderBuilder::new(EVENT_SCHEMA.clone()).build_decoder().unwrap();
    reader.serialize(&decoded).unwrap();
    let rows: RecordBatch = reader.flush().unwrap().unwrap();
    let of = |name: &str| -> Vec<i64> { events.iter().map(|one| micros(&one[name])).collect() };
    let guard = |text: &String| -> BooleanArray {
        events.iter().map(|event| Some(holds(text, event))).collect()
    };
    let guards: Vec<BooleanArray> = rules.machine.guards.iter().map(guard).collect();
    let judged = JudgedEvents {
        rows: &rows,
        offsets: &of("offset"),
        times: &of("at"),
        watermark_before: &of("watermark_before"),
        guards: &guards,
        counted: None,
    };
    critical_steps(&rules.machine, judged).unwrap()
}

fn with(head: Value, more: Value) -> Value {
    let (Value::Object(mut row), Value::Object(more)) = (head, more) else { unreachable!() };
    row.extend(more);
    Value::Object(row)
}

fn key(relation: &str, rules: &CriticalRules, key: &Key) -> Value {
    let mut row = Map::from_iter([("relation".to_owned(), json!(relation))]);
    for (place, column) in rules.machine.spec.entity.iter().enumerate() {
        row.insert(column.clone(), json!(key.text(place)));
    }
    Value::Object(row)
}

fn head(relation: &str, rules: &CriticalRules, head: &CriticalHead) -> Value {
    let more = json!({
        "priority": head.priority, "patient_class": head.patient_class, "location": head.location,
        "due_at": head.due, "target_minutes": head.target.map(|target| target as f64 / 6e7),
    });
    with(key(relation, rules, &head.key), more)
}

/// What came out, as the second interpreter says it.
fn rows_of(rules: &CriticalRules, changes: &CriticalChanges) -> Vec<Value> {
    let name = |state| rules.machine.name(state);
    let mut rows = Vec::new();
    for row in &changes.moves.moved {
        let seconds = row.stayed.map(|stayed| stayed as f64 / 1e6);
        let more = json!({
            "from_state": name(row.from), "to_state": name(row.to), "event": row.name,
            "seconds_in_state": seconds, "version": row.version, "at": row.at,
        });
        rows.push(with(key("critical", rules, &row.key), more));
    }
    for row in &changes.moves.refused {
        let more = json!({
            "reason": row.reason.text(), "state": name(row.state),
            "word": rules.machine.word_text(row.word), "noticed_at": row.noticed_at,
        });
        rows.push(with(key("refused", rules, &row.key), more));
    }
    for row in &changes.deadlines {
        let more = json!({
            "stage": row.stage.text(), "state": name(row.state), "at": row.head.at,
        });
        rows.push(with(head("critical_deadlines", rules, &row.head), more));
    }
    for row in &changes.results {
        let more = json!({
            "flag": row.flag, "flagged_at": row.flagged, "clock_start_at": row.start,
            "target_source": row.source, "target_version": row.version,
            "notified_at": row.notified, "acknowledged_at": row.acknowledged,
            "before_flag": row.before_flag, "attempts": row.attempts, "read_back": row.read_back,
            "channel": row.channel, "notified_to_role": row.role,
            "outcome": row.outcome.text(), "exempt": row.exempt, "judged_at": row.head.at,
        });
        rows.push(with(head("critical_results", rules, &row.head), more));
    }
    rows
}

/// The case's records in batches of these lengths, the last one's again and again. With the watermark that
/// follows each batch: that before the next record, or two minutes before the largest time.
fn run(case: &Value, lengths: &[usize]) -> Vec<Value> {
    let rules = Arc::new(rules(case));
    let mut results = CriticalResults::new(Arc::clone(&rules));
    let events = case["events"].as_array().unwrap();
    let largest = events.iter().map(|event| micros(&event["at"])).max().unwrap_or_default();
    let (mut rows, mut from, mut turn) = (Vec::new(), 0, 0);
    while from < events.len() {
        let length = lengths[turn.min(lengths.len() - 1)].max(1);
        let to = from.saturating_add(length).min(events.len());
        let batch = &events[from..to];
        let rises = BatchRises::of(
            batch.iter().map(|one| (micros(&one["offset"]), micros(&one["watermark_before"]))),
        );
        let next = events.get(to).map(|next| micros(&next["watermark_before"]));
        let watermark = next.unwrap_or(largest - 120_000_000);
        let changes = results.batch(steps_of(&rules, batch), &rises, watermark);
        rows.extend(rows_of(&rules, &changes));
        (from, turn) = (to, turn + 1);
    }
    rows.extend(rows_of(&rules, &results.finish(micros(&case["end"]))));
    rows
}

/// In one order, without what follows from other columns.
fn sorted(rows: &[Value]) -> Vec<String> {
    let plain = |row: &Value| {
        let mut row = row.as_object().unwrap().clone();
        for name in ["minutes_to_notify", "minutes_to_acknowledge", "handled_within", "offset"] {
            row.remove(name);
        }
        Value::Object(row).to_string()
    };
    let mut texts: Vec<String> = rows.iter().map(plain).collect();
    texts.sort();
    texts
}

fn difference(got: &[String], expected: &[String]) -> String {
    let only = |one: &[String], other: &[String]| -> String {
        let rows: Vec<&str> =
            one.iter().filter(|row| !other.contains(row)).map(String::as_str).collect();
        rows.join("\n")
    };
    format!("too many:\n{}\nmissing:\n{}", only(got, expected), only(expected, got))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn cases_by_hand() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("tests/cases/critical")).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let expected = sorted(case["expected"].as_array().unwrap());
        for lengths in [vec![usize::MAX], vec![1], vec![2, 1, 3]] {
            let got = sorted(&run(&case, &lengths));
            let told = difference(&got, &expected);
            assert!(got == expected, "{} by {lengths:?}: {told}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 0);
}

fn python(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("python3")
        .arg(repository().join("tests/oracle/critical.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "tests/oracle/critical.py {arguments:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// A hundred random cases in batches of these lengths: what differs from the second interpreter.
fn second_interpreter(seed: u32, lengths: &[usize]) -> Option<String> {
    let cases = python(&["--random", &seed.to_string(), "100"], "");
    let results: Value = serde_json::from_str(&python(&[], &cases)).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    for (case, result) in cases.as_array().unwrap().iter().zip(results.as_array().unwrap()) {
        let got = sorted(&run(case, lengths));
        let expected = sorted(result["rows"].as_array().unwrap());
        if got != expected {
            return Some(format!("{}\nof:\n{case}", difference(&got, &expected)));
        }
    }
    None
}

#[test]
fn seeds_that_once_differed() {
    assert_eq!(second_interpreter(418_679, &[7, 2, 3, 2, 5, 6]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_second_interpreter_agrees(
        seed in 0u32..1_000_000,
        lengths in prop::collection::vec(1usize..9, 1..12),
    ) {
        let differs = second_interpreter(seed, &lengths);
        prop_assert!(differs.is_none(), "{}", differs.unwrap_or_default());
    }
}
