//! The tests' machine against cases that were worked out by hand, and against a second interpreter that
//! was written from the same page (`tests/oracle/lifecycle.py`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::json::ReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Tests;
use super::change::{ChangeHead, Changes, DeadlineKind};
use super::record::Time;
use super::rules::{Rules, TestSettings};
use super::tally::{TestCounts, WantedRows};
use crate::config::lifecycle_yaml;
use crate::flow::Span;
use crate::flow::event::EVENT_SCHEMA;
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::prepare::{StepEvents, steps};
use crate::lifecycle::texts::{CodedColumn, RunTexts};
use crate::reference::{AssayRow, DeadlineRows, Reference, Target};

const WANTED: WantedRows = WantedRows {
    transitions: true,
    completions: true,
    due: true,
    deadlines: true,
    backdated: true,
};

fn shipped_machine() -> StateMachine {
    let text = include_str!("../../../pipelines/lifecycles/test.yaml");
    lifecycle_yaml::read_text("test", text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The case's targets: one for all tests, and others by priority; and how long specimens may wait, by
/// assay.
fn reference(targets: &Value, holds: &Value) -> Reference {
    let row = |priority: Option<&str>, minutes: &Value| Target {
        priority: priority.map(str::to_owned),
        target_minutes: minutes.as_f64(),
        ..Target::default()
    };
    let by_priority = targets["by_priority"].as_object().into_iter().flatten();
    let mut rows = vec![row(None, &targets["default_minutes"])];
    rows.extend(by_priority.map(|(priority, minutes)| row(Some(priority), minutes)));
    let holds = holds.as_object().into_iter().flatten().map(|(assay, most)| AssayRow {
        assay: assay.clone(),
        max_hold: most.as_i64().map(Span),
        ..AssayRow::default()
    });
    let assays = holds.collect();
    Reference::new(&DeadlineRows { targets: rows, assays, ..DeadlineRows::default() }, 4.0)
}

/// What is followed, with the case's own targets.
struct Run {
    machine: StateMachine,
    texts: Arc<RunTexts>,
    tests: Tests,
}

impl Run {
    fn of(case: &Value) -> Run {
        Run::wanting(case, WANTED)
    }

    fn wanting(case: &Value, wanted: WantedRows) -> Run {
        let mut machine = shipped_machine();
        let after = Span(case["abandon_after_us"].as_i64().unwrap_or(7 * 86_400_000_000));
        machine.abandon_after(after);
        let settings = TestSettings {
            reference: Arc::new(reference(&case["targets"], &case["holds_us"])),
            at_risk_share: case["at_risk_share"].as_f64().unwrap_or(0.8),
            keep_finished: Span(i64::MAX),
        };
        let rules = Rules::new(machine.clone(), &settings).unwrap();
        let texts = Arc::new(RunTexts::default());
        let tests = Tests::new(Arc::new(rules), &settings, Arc::clone(&texts), wanted);
        Run { machine, texts, tests }
    }

    /// The case's records in batches of these lengths, the last one's again and again.
    fn run(mut self, case: &Value, lengths: &[usize]) -> (Vec<Value>, TestCounts) {
        let events = case["events"].as_array().unwrap();
        let (mut rows, mut from, mut turn) = (Vec::new(), 0, 0);
        while from < events.len() {
            let length = lengths[turn.min(lengths.len() - 1)].max(1);
            let to = (from + length).min(events.len());
            let batch = &events[from..to];
            let steps = self.steps(batch);
            let after = batch.last().map(|event| micros(&event["watermark_after"]));
            let rises = BatchRises::of(
                batch.iter().map(|one| (micros(&one["offset"]), micros(&one["watermark_before"]))),
            );
            let changes = self.tests.batch(steps, &rises, after.unwrap_or(i64::MIN));
            rows.extend(self.rows(&changes));
            (from, turn) = (to, turn + 1);
        }
        let changes = self.tests.finish(micros(&case["end"]));
        rows.extend(self.rows(&changes));
        (rows, self.tests.counts())
    }

    fn steps(&self, events: &[Value]) -> Vec<super::step::TestStep> {
        let decoded: Vec<Value> = events.iter().map(decoded).collect();
        let mut reader = ReaderBuilder::new(EVENT_SCHEMA.clone()).build_decoder().unwrap();
        reader.serialize(&decoded).unwrap();
        let rows: RecordBatch = reader.flush().unwrap().unwrap();
        let of = |name: &str| -> Vec<i64> { events.iter().map(|one| micros(&one[name])).collect() };
        let times: Vec<i64> = decoded.iter().map(|one| micros(&one["event_time"])).collect();
        let (offsets, before) = (of("offset"), of("watermark_before"));
        let guards: &[BooleanArray] = &[];
        let events = StepEvents {
            rows: &rows,
            offsets: &offsets,
            times: &times,
            watermark_before: &before,
            guards,
            counted: None,
        };
        steps(&self.machine, &self.texts, &events).unwrap()
    }

    fn head(&self, relation: &str, head: &ChangeHead, more: Value) -> Value {
        let text = |column, code| self.texts.text(column, code).map(|text| text.to_string());
        let mut row = json!({
            "relation": relation,
            "lab_id": text(CodedColumn::Lab, head.lab),
            "specimen_id": head.specimen.text(),
            "assay": text(CodedColumn::Assay, head.assay),
            "priority": head.priority.letter(),
        });
        let (Value::Object(row_map), Value::Object(more)) = (&mut row, more) else {
            unreachable!()
        };
        row_map.extend(more);
        row
    }

    fn rows(&self, changes: &Changes) -> Vec<Value> {
        let name = |state| self.machine.name(state);
        let minutes = |target: Time| target.get().map(|target| target as f64 / 6e7);
        let mut rows = Vec::new();
        for row in &changes.transitions {
            rows.push(self.head(
                "transitions",
                &row.head,
                json!({
                    "from_state": name(row.from), "to_state": name(row.to), "at": row.head.at,
                    "seconds_in_state": row.stayed.map(|stayed| stayed as f64 / 1e6),
                    "implied": row.implied,
                }),
            ));
        }
        for row in &changes.completions {
            let started = row.clock_start.get();
            let in_time = row.due.get().map(|due| row.head.at <= due);
            rows.push(self.head("completions", &row.head, json!({
                "ordered_at": row.ordered.get(), "collected_at": row.collected.get(),
                "received_at": row.received.get(), "resulted_at": row.resulted.get(),
                "completed_at": row.head.at, "clock_start_at": started,
                "add_on": started.map(|started| Some(started) > row.received.get()),
                "tat_us": Time::at(row.head.at).since(row.clock_start).filter(|_| started.is_some()),
                "target_minutes": minutes(row.target), "within_target": in_time,
            })));
        }
        for row in &changes.due {
            rows.push(self.head("due", &row.head, json!({
                "due_at": row.due_at, "at": row.head.at, "kind": "test",
                "target_minutes": minutes(row.target), "outcome": row.outcome.text(),
                "state": name(row.state), "phase": row.phase.map(super::change::OverrunPhase::text),
            })));
        }
        rows.extend(self.rows_beside(changes));
        rows
    }

    fn rows_beside(&self, changes: &Changes) -> Vec<Value> {
        let name = |state| self.machine.name(state);
        let text = |column, code| self.texts.text(column, code).map(|text| text.to_string());
        let mut rows = Vec::new();
        for row in &changes.rejections {
            let phase = if row.is_analytical { "analytical" } else { "pre_analytical" };
            rows.push(self.head("rejections", &row.head, json!({
                "rejected_at": row.head.at, "reject_reason": text(CodedColumn::Reason, row.reason),
                "phase": phase, "tests": row.tests,
            })));
        }
        for row in &changes.errors {
            let received = row.received.get().filter(|received| *received <= row.head.at);
            let since = received.map(|received| (row.head.at - received) as f64 / 6e7);
            rows.push(self.head(
                "errors",
                &row.head,
                json!({
                    "at": row.head.at, "error_code": text(CodedColumn::Error, row.error),
                    "received_at": row.received.get(), "minutes_since_receipt": since,
                }),
            ));
        }
        for row in &changes.restatements {
            rows.push(self.head(
                "restatements",
                &row.head,
                json!({
                    "at": row.head.at, "kind": row.kind.text(), "was": row.was, "is": row.is,
                }),
            ));
        }
        for row in &changes.refused {
            let allowed = if row.is_final { Vec::new() } else { self.machine.allowed(row.state) };
            rows.push(self.head("refused", &row.head, json!({
                "noticed_at": row.head.at, "reason": row.reason.text(), "state": name(row.state),
                "word": self.machine.word_text(row.word), "allowed": allowed,
            })));
        }
        for row in &changes.backdated {
            rows.push(self.head(
                "backdated",
                &row.head,
                json!({
                    "noticed_at": row.head.at, "at": row.happened, "to_state": name(row.to),
                }),
            ));
        }
        for row in changes.deadlines.iter().filter(|row| row.kind == DeadlineKind::Hold) {
            rows.push(self.head(
                "deadlines",
                &row.head,
                json!({
                    "kind": "hold", "stage": row.stage.text(), "due_at": row.due_at.get(),
                    "target_minutes": row.target.get().map(|target| target as f64 / 6e7),
                    "state": name(row.state), "at": row.head.at,
                }),
            ));
        }
        rows
    }
}

/// As decode gives it: with defaults filled in, and the row form's own time.
fn decoded(event: &Value) -> Value {
    let mut event = event.clone();
    let map = event.as_object_mut().unwrap();
    for beside in ["offset", "watermark_before", "watermark_after", "record"] {
        map.remove(beside);
    }
    let time = ["event_time", "processed_at", "received_at"]
        .iter()
        .find_map(|name| map.get(*name).filter(|value| !value.is_null()).cloned());
    map.insert("event_time".into(), time.unwrap());
    map.entry("event_type").or_insert_with(|| json!("specimen.snapshot"));
    let priority = match map.get("priority").and_then(Value::as_str).unwrap_or("R") {
        "STAT" => "S",
        "ASAP" => "A",
        "ROUTINE" => "R",
        other => other,
    };
    map.insert("priority".into(), json!(priority));
    event
}

fn micros(value: &Value) -> i64 {
    value.as_i64().unwrap_or(i64::MIN)
}

/// Rows by their text, since the order between relations is not part of the answer.
fn sorted(rows: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(with_floats).map(|row| row.to_string()).collect();
    texts.sort();
    texts
}

/// Numbers that may be whole or not, one way; a parser may miss the last digit of a fraction.
fn with_floats(row: &Value) -> Value {
    let mut row = row.clone();
    for name in ["seconds_in_state", "target_minutes", "minutes_since_receipt"] {
        if let Some(number) = row[name].as_f64() {
            row[name] = json!((number * 1e6).round() / 1e6);
        }
    }
    row
}

/// The rows that only one of both has, and the events that the first of them may come from.
fn difference(got: &[String], expected: &[String], case: &Value) -> String {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|row| !other.contains(row)).cloned().collect()
    };
    let (more, less) = (only(got, expected), only(expected, got));
    let specimen = more.iter().chain(&less).next().map(|row| {
        let row: Value = serde_json::from_str(row).unwrap();
        row["specimen_id"].as_str().unwrap_or_default().to_owned()
    });
    let events = case["events"].as_array().into_iter().flatten();
    let of = |event: &&Value| event["specimen_id"].as_str() == specimen.as_deref();
    let events: Vec<String> = events.filter(of).map(Value::to_string).collect();
    format!(
        "too many:\n{}\nmissing:\n{}\nof:\n{}",
        more.join("\n"),
        less.join("\n"),
        events.join("\n")
    )
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn python(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let script = repository().join("tests/oracle/lifecycle.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    drop(writing.join().unwrap());
    assert!(output.status.success(), "tests/oracle/lifecycle.py {arguments:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cases_by_hand() {
    let folder = repository().join("tests/cases/lifecycles");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        let expected = sorted(case["expected"]["rows"].as_array().unwrap());
        for lengths in [vec![usize::MAX], vec![1], vec![2, 1, 3]] {
            let (rows, _) = Run::of(&case).run(&case, &lengths);
            let got = sorted(&rows);
            let name = path.display();
            assert!(
                got == expected,
                "{name} by {lengths:?}: {}",
                difference(&got, &expected, &json!(0))
            );
        }
        seen += 1;
    }
    assert!(seen >= 20, "{seen} cases");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Hundreds of random cases at a time, in batches cut at random.
    #[test]
    fn the_second_interpreter_agrees(
        seed in 0u32..1_000_000,
        lengths in prop::collection::vec(1usize..9, 1..12),
    ) {
        let cases = python(&["--random", &seed.to_string(), "60"], "");
        let results: Value = serde_json::from_str(&python(&[], &cases)).unwrap();
        let cases: Value = serde_json::from_str(&cases).unwrap();
        for (case, result) in cases.as_array().unwrap().iter().zip(results.as_array().unwrap()) {
            let (rows, counts) = Run::of(case).run(case, &lengths);
            let (got, expected) = (sorted(&rows), sorted(result["rows"].as_array().unwrap()));
            prop_assert!(got == expected, "{}", difference(&got, &expected, case));
            let TestCounts { addressed, transitions, implied, refused, repeated, skipped, .. } = counts;
            prop_assert_eq!(addressed, transitions + refused + repeated);
            let expected = json!({
                "addressed": addressed, "transitions": transitions, "implied": implied,
                "refused": refused, "repeated": repeated, "skipped": skipped,
            });
            prop_assert_eq!(&result["counts"], &expected);
        }
    }

    /// Where nobody waits for due times, tests that one row tells of are never held whole: nothing comes
    /// of that but speed.
    #[test]
    fn rows_that_stand_alone_give_what_all_others_give(
        seed in 0u32..1_000_000,
        lengths in prop::collection::vec(1usize..9, 1..12),
    ) {
        let wanted = WantedRows { due: false, deadlines: false, ..WANTED };
        let cases: Value = serde_json::from_str(&python(&["--random", &seed.to_string(), "60"], "")).unwrap();
        for case in cases.as_array().unwrap() {
            let (rows, counts) = Run::wanting(case, wanted).run(case, &lengths);
            let mut held = Run::wanting(case, wanted);
            held.tests.holds_all = true;
            let (expected, expected_counts) = held.run(case, &lengths);
            prop_assert_eq!(rows, expected);
            prop_assert_eq!(counts, expected_counts);
        }
    }
}
