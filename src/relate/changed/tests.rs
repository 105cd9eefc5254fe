//! Every column of every relation, of one row each whose values are known.

use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::config::lifecycle_yaml::read_text;
use crate::lifecycle::change::*;
use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::texts::{CodedColumn, RunTexts};
use crate::lifecycle::{TargetOrigin, Time, Told, Urgency};
use crate::reference::{TargetClock, TargetSource};
use crate::relate::column::RelationColumn;

const MINUTE: i64 = 60_000_000;

fn machine() -> StateMachine {
    let path = format!("{}/pipelines/lifecycles/test.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    read_text("test", &text).unwrap()
}

fn head(texts: &RunTexts) -> ChangeHead {
    let code = |column, text| texts.code(column, text);
    ChangeHead {
        at: 90 * MINUTE,
        watermark_before: 88 * MINUTE,
        cause: 3,
        specimen: EntityId::new("S-1"),
        lab: code(CodedColumn::Lab, "north"),
        assay: code(CodedColumn::Assay, "K"),
        class: code(CodedColumn::Class, "ED"),
        location: code(CodedColumn::Location, "ward 3"),
        priority: Urgency::of("S"),
    }
}

/// Instrument, operator, error and reason.
fn codes(texts: &RunTexts) -> [u32; 4] {
    [
        texts.code(CodedColumn::Machine, "M1"),
        texts.code(CodedColumn::Operator, "O1"),
        texts.code(CodedColumn::Error, "E01"),
        texts.code(CodedColumn::Reason, "RC"),
    ]
}

fn minute(minute: i64) -> Time {
    Time::at(minute * MINUTE)
}

fn origin() -> TargetOrigin {
    TargetOrigin {
        source: TargetSource::Centre,
        version: "2026-03-01T00:00:00Z".into(),
        clock: TargetClock::Working,
    }
}

/// What is told of the test's course.
fn course(machine: &StateMachine, texts: &RunTexts) -> Changes {
    let state = |name| machine.state_named(name).unwrap();
    let head = head(texts);
    let [instrument, operator, error, reason] = codes(texts);
    let (from, to) = (state("RESULTED"), state("VERIFIED"));
    Changes {
        transitions: vec![TransitionRow {
            head: head.clone(),
            from,
            to,
            stayed: Some(10 * MINUTE),
            machine: instrument,
            operator,
            error,
            reason,
            implied: false,
        }],
        completions: vec![CompletionRow {
            head: head.clone(),
            ordered: minute(10),
            collected: minute(20),
            received: minute(30),
            resulted: minute(80),
            clock_start: minute(30),
            due: minute(89),
            target: minute(59),
            origin: 0,
            working: Some(45 * MINUTE),
            machine: instrument,
            operator,
            repeats: 2,
            auto_verified: Told::Yes,
            delta_flag: Told::No,
        }],
        origins: vec![origin()],
        ..Changes::default()
    }
}

/// One row of each relation, at minute 90: ordered at 10, collected at 20, received at 30, resulted at 80.
fn changes(machine: &StateMachine, texts: &RunTexts) -> Changes {
    let state = |name| machine.state_named(name).unwrap();
    let head = head(texts);
    let [instrument, operator, error, reason] = codes(texts);
    let (from, to) = (state("RESULTED"), state("VERIFIED"));
    Changes {
        due: vec![DueRow {
            head: head.clone(),
            due_at: 89 * MINUTE,
            target: minute(59),
            origin: 0,
            outcome: DueOutcome::Breached,
            state: from,
            phase: Some(OverrunPhase::Verification),
        }],
        deadlines: vec![DeadlineRow {
            head: head.clone(),
            kind: DeadlineKind::Test,
            stage: DeadlineStage::Ended,
            due_at: minute(89),
            target: minute(59),
            state: to,
            machine: instrument,
        }],
        rejections: vec![RejectionRow {
            head: head.clone(),
            reason,
            machine: instrument,
            is_analytical: true,
            tests: 3,
        }],
        errors: vec![ErrorRow {
            head: head.clone(),
            machine: instrument,
            operator,
            error,
            received: minute(30),
        }],
        restatements: vec![RestatementRow {
            head: head.clone(),
            kind: Restated::Corrected,
            was: "PUBLISHED".to_owned(),
            is: "PUBLISHED".to_owned(),
        }],
        refused: vec![RefusedRow {
            head: head.clone(),
            reason: RefusalReason::NotAllowed,
            state: state("CANCELLED"),
            word: machine.word("LOST").unwrap(),
            is_final: false,
        }],
        backdated: vec![BackdatedRow { head, happened: 30 * MINUTE, to: state("RECEIVED") }],
        ..course(machine, texts)
    }
}

/// A relation's one row as `column value`, a line each.
fn row(changes: &Changes, relation: ChangeRelation, names: ChangeNames<'_>) -> Vec<String> {
    let all: Vec<usize> = (0..relation.columns().count()).collect();
    let made = changed(changes, relation, &all, names).unwrap();
    assert_eq!(made.time.values(), &[90 * MINUTE]);
    assert_eq!(made.watermark_before.values(), &[88 * MINUTE]);
    assert_eq!(made.cause.values(), &[3]);
    let columns = made.rows.columns().iter().zip(relation.columns());
    let of = |(array, column): (&arrow::array::ArrayRef, &RelationColumn)| {
        let plain = crate::flow::coded::plain(array).unwrap();
        assert_eq!(plain.data_type(), &column.data_type(), "{}", column.name);
        let text = arrow::util::display::array_value_to_string(&plain, 0).unwrap();
        format!("{} {text}", column.name)
    };
    columns.map(of).collect()
}

#[test]
fn every_column_of_every_relation_holds_its_value() {
    let (machine, texts) = (machine(), RunTexts::default());
    let changes = changes(&machine, &texts);
    let names = ChangeNames { machine: &machine, texts: &texts };
    let own = |relation| row(&changes, relation, names)[6..].join("; ");
    let head = row(&changes, ChangeRelation::Due, names)[..6].join("; ");
    assert_eq!(
        head,
        "lab_id north; specimen_id S-1; assay K; priority S; patient_class ED; location ward 3"
    );
    // Minutes after midnight of 1970-01-01.
    let expected = [
        "from_state RESULTED; to_state VERIFIED; seconds_in_state 600.0; machine_id M1; operator_id O1; \
         error_code E01; reject_reason RC; at 1970-01-01T01:30:00Z; implied false",
        "ordered_at 1970-01-01T00:10:00Z; collected_at 1970-01-01T00:20:00Z; received_at \
         1970-01-01T00:30:00Z; resulted_at 1970-01-01T01:20:00Z; completed_at 1970-01-01T01:30:00Z; \
         tat_us 3600000000; tat_minutes 60.0; order_to_collect_minutes 10.0; \
         collect_to_receive_minutes 10.0; receive_to_result_minutes 50.0; \
         result_to_verify_minutes 10.0; total_minutes 80.0; target_minutes 59.0; within_target false; \
         machine_id M1; operator_id O1; auto_verified true; delta_flag false; repeats 2; \
         clock_start_at 1970-01-01T00:30:00Z; add_on false; due_at 1970-01-01T01:29:00Z; \
         tat_working_minutes 45.0; target_source centre; target_version 2026-03-01T00:00:00Z; \
         clock working",
        "kind test; due_at 1970-01-01T01:29:00Z; target_minutes 59.0; outcome breached; \
         state RESULTED; phase verification; at 1970-01-01T01:30:00Z; target_source centre; \
         target_version 2026-03-01T00:00:00Z",
        "stage ended; due_at 1970-01-01T01:29:00Z; target_minutes 59.0; state VERIFIED; machine_id M1; \
         at 1970-01-01T01:30:00Z; \
         kind test",
        "reject_reason RC; phase analytical; machine_id M1; tests 3; rejected_at 1970-01-01T01:30:00Z",
        "machine_id M1; operator_id O1; error_code E01; received_at 1970-01-01T00:30:00Z; \
         minutes_since_receipt 60.0; at 1970-01-01T01:30:00Z",
        "kind corrected; was PUBLISHED; is PUBLISHED; at 1970-01-01T01:30:00Z",
        "reason not_allowed; state CANCELLED; word LOST; allowed RECEIVED; \
         noticed_at 1970-01-01T01:30:00Z",
        "to_state RECEIVED; at 1970-01-01T00:30:00Z; noticed_at 1970-01-01T01:30:00Z",
    ];
    for (relation, expected) in ChangeRelation::ALL.into_iter().zip(expected) {
        assert_eq!(own(relation), expected, "{}", relation.name());
        assert!(relation.columns().any(|column| column.name == relation.event_time_column()));
    }
}

#[test]
fn only_the_columns_that_are_needed_are_made() {
    let (machine, texts) = (machine(), RunTexts::default());
    let changes = changes(&machine, &texts);
    let names = ChangeNames { machine: &machine, texts: &texts };
    let made = changed(&changes, ChangeRelation::Completions, &[12, 0], names).unwrap();
    let made = crate::flow::coded::plain_rows(&made.rows).unwrap();
    let expected = "\
+--------+-------------+
| lab_id | tat_minutes |
+--------+-------------+
| north  | 60.0        |
+--------+-------------+";
    assert_eq!(pretty_format_batches(&[made]).unwrap().to_string(), expected);
}
