//! Relations from events written by hand, against rows worked out by hand.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::*;
use crate::flow::coded::{coded_type, plain_rows};
use crate::flow::event::{DECODED_SCHEMA, EVENT_FIELDS, FieldKind};
use crate::flow::{EventBatch, Partition, Timestamp};
use crate::reference::{Target, Targets};

fn at(text: &str) -> i64 {
    Timestamp::parse_rfc3339(text).unwrap().0
}

/// Events from `field=value` lists.
fn events(all: &[&str]) -> EventBatch {
    let value = |event: &str, name: &str| {
        event
            .split_whitespace()
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let column = |(name, kind): &(&str, FieldKind)| -> ArrayRef {
        let values = all.iter().map(|event| value(event, name));
        match kind {
            FieldKind::Text(_) | FieldKind::Code(_) => Arc::new(values.collect::<StringArray>()),
            FieldKind::Time => Arc::new(
                values
                    .map(|value| value.map(|text| at(&text)))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            FieldKind::Int => Arc::new(
                values
                    .map(|value| value.map(|text| text.parse::<i64>().unwrap()))
                    .collect::<Int64Array>(),
            ),
            FieldKind::Float => Arc::new(
                values
                    .map(|value| value.map(|text| text.parse::<f64>().unwrap()))
                    .collect::<Float64Array>(),
            ),
            FieldKind::Bool => Arc::new(
                values.map(|value| value.map(|text| text == "true")).collect::<BooleanArray>(),
            ),
        }
    };
    let coded = |(field, column): (&(&str, FieldKind), ArrayRef)| match field.1 {
        FieldKind::Code(_) => cast(&column, &coded_type()).unwrap(),
        _ => column,
    };
    let columns = EVENT_FIELDS.iter().map(|field| coded((field, column(field)))).collect();
    EventBatch {
        partition: Arc::new(Partition { topic: "events".into(), index: 0 }),
        rows: RecordBatch::try_new(DECODED_SCHEMA.clone(), columns).unwrap(),
        offsets: (0..all.len() as i64).collect(),
        appended: Vec::new(),
        record_times: vec![Timestamp(0); all.len()],
    }
}

fn all_columns(relation: Relation) -> Vec<usize> {
    (0..relation.columns().len()).collect()
}

fn related(events: &EventBatch, relation: Relation) -> Related {
    relate(events, relation, &all_columns(relation), &Targets::new(&[], 4.0)).unwrap()
}

/// A row's values that are not null, as `name=value`.
fn row(related: &Related, row: usize) -> Vec<String> {
    let schema = related.rows.schema();
    let columns = related.rows.columns().iter().enumerate().filter(|(_, c)| c.is_valid(row));
    columns
        .map(|(i, column)| {
            format!("{}={}", schema.field(i).name(), array_value_to_string(column, row).unwrap())
        })
        .collect()
}

const COMPLETED: &str = "event_type=specimen.snapshot lab_id=L specimen_id=S assay=K priority=S \
    status=COMPLETED received_at=2026-03-01T10:00:00Z processed_at=2026-03-01T11:30:30Z \
    event_time=2026-03-01T11:30:30Z machine_id=M operator_id=O";

const VERIFIED: &str = "event_type=specimen.transition lab_id=L specimen_id=S assay=K priority=R \
    patient_class=ED location=W1 to_state=VERIFIED from_state=RESULTED \
    ordered_at=2026-03-01T08:00:00Z collected_at=2026-03-01T08:20:00Z \
    received_at=2026-03-01T09:00:00Z processed_at=2026-03-01T12:59:00Z \
    event_time=2026-03-01T13:00:00Z auto_verified=true delta_flag=false repeat_no=1";

#[test]
fn a_completed_row_is_a_completion() {
    let all = events(&[COMPLETED]);
    let completions = related(&all, Relation::Completions);
    let schema = plain_rows(&completions.rows).unwrap().schema();
    assert_eq!(schema, relation_schema(Relation::Completions));
    assert_eq!(
        row(&completions, 0),
        [
            "lab_id=L",
            "specimen_id=S",
            "assay=K",
            "priority=S",
            "received_at=2026-03-01T10:00:00Z",
            "completed_at=2026-03-01T11:30:30Z",
            "tat_us=5430000000",
            "tat_minutes=90.5",
            "target_minutes=240.0",
            "within_target=true",
            "machine_id=M",
            "operator_id=O",
        ]
    );
    assert_eq!(completions.event_time.values(), &[at("2026-03-01T11:30:30Z")]);
}

#[test]
fn a_verified_transition_is_a_completion_with_its_phases() {
    let all = events(&[VERIFIED]);
    assert_eq!(
        row(&related(&all, Relation::Completions), 0),
        [
            "lab_id=L",
            "specimen_id=S",
            "assay=K",
            "priority=R",
            "patient_class=ED",
            "location=W1",
            "ordered_at=2026-03-01T08:00:00Z",
            "collected_at=2026-03-01T08:20:00Z",
            "received_at=2026-03-01T09:00:00Z",
            "resulted_at=2026-03-01T12:59:00Z",
            "completed_at=2026-03-01T13:00:00Z",
            "tat_us=14400000000",
            "tat_minutes=240.0",
            "order_to_collect_minutes=20.0",
            "collect_to_receive_minutes=40.0",
            "receive_to_result_minutes=239.0",
            "result_to_verify_minutes=1.0",
            "total_minutes=300.0",
            "target_minutes=240.0",
            "within_target=true",
            "auto_verified=true",
            "delta_flag=false",
            "repeats=1",
        ]
    );
}

#[test]
fn negative_and_unknown_durations_are_null_and_the_test_still_counts() {
    let negative = COMPLETED.replace("received_at=2026-03-01T10", "received_at=2026-03-01T12");
    let unprocessed = COMPLETED
        .replace("processed_at=2026-03-01T11:30:30Z", "")
        .replace("event_time=2026-03-01T11:30:30Z", "event_time=2026-03-01T10:00:00Z");
    let unreceived = VERIFIED.replace("received_at=2026-03-01T09:00:00Z", "");
    let all = events(&[&negative, &unprocessed, &unreceived]);
    let completions = related(&all, Relation::Completions);
    for name in ["tat_us", "tat_minutes", "within_target", "receive_to_result_minutes"] {
        assert_eq!(completions.rows[name].null_count(), 3, "{name}");
    }
    assert_eq!(completions.rows["target_minutes"].null_count(), 0);
    let total = &completions.rows["total_minutes"];
    assert_eq!((total.is_null(0), total.is_null(1), total.is_valid(2)), (true, true, true));
}

#[test]
fn targets_come_from_the_profile_then_the_table_then_the_default() {
    let target = |assay: &str, minutes, from: Option<&str>| Target {
        lab_id: None,
        assay: Some(assay.into()),
        priority: None,
        patient_class: None,
        target_minutes: Some(minutes),
        valid_from: from.map(|text| Timestamp(at(text))),
        ..Target::default()
    };
    let targets = Targets::new(
        &[target("K", 90.0, None), target("K", 91.0, Some("2026-03-01T10:00:00Z"))],
        2.0,
    );
    let earlier =
        COMPLETED.replace("received_at=2026-03-01T10:00:00", "received_at=2026-03-01T09:59:59");
    let profile = format!("{COMPLETED} profile_tat_min=45");
    let other = COMPLETED.replace("assay=K", "assay=NA");
    let none = ["0", "-5"].map(|minutes| format!("{COMPLETED} profile_tat_min={minutes}"));
    let all = events(&[COMPLETED, &earlier, &profile, &other, &none[0], &none[1]]);
    let needed = all_columns(Relation::Completions);
    let completions = relate(&all, Relation::Completions, &needed, &targets).unwrap();
    let target = &completions.rows["target_minutes"];
    let minutes: Vec<String> =
        (0..6).map(|row| array_value_to_string(target, row).unwrap()).collect();
    // A profile's target of 0 or below is no deadline, whatever the table says.
    assert_eq!(minutes, ["91.0", "90.0", "45.0", "120.0", "", ""]);
    let within = &completions.rows["within_target"];
    let within: Vec<String> =
        (0..6).map(|row| array_value_to_string(within, row).unwrap()).collect();
    // 90.5 of 91, 90.517 of 90, 90.5 of 45, 90.5 of 120.
    assert_eq!(within, ["true", "false", "false", "true", "", ""]);
}

#[test]
fn transitions_of_both_forms() {
    let received = COMPLETED.replace("COMPLETED", "RECEIVED");
    let cancelled = COMPLETED.replace("COMPLETED", "CANCELLED").replace("assay=K", "");
    let order = "event_type=order.created lab_id=L assay=K event_time=2026-03-01T07:00:00Z";
    let all = events(&[&received, order, VERIFIED, COMPLETED, &cancelled]);
    let transitions = related(&all, Relation::Transitions);
    assert_eq!(transitions.source_row, [0, 2, 3, 4]);
    let shown = |name: &str| -> Vec<String> {
        let column = &transitions.rows[name];
        (0..4).map(|row| array_value_to_string(column, row).unwrap()).collect()
    };
    assert_eq!(shown("to_state"), ["RECEIVED", "VERIFIED", "VERIFIED", "CANCELLED"]);
    assert_eq!(shown("from_state"), ["", "RESULTED", "", ""]);
    assert_eq!(
        shown("at"),
        [
            "2026-03-01T10:00:00Z",
            "2026-03-01T13:00:00Z",
            "2026-03-01T11:30:30Z",
            "2026-03-01T11:30:30Z"
        ]
    );
    assert_eq!(transitions.event_time.value(0), at("2026-03-01T10:00:00Z"));
    assert_eq!(transitions.rows["seconds_in_state"].null_count(), 4);
}

#[test]
fn rejections_of_both_forms() {
    let snapshot = COMPLETED.replace("COMPLETED", "REJECTED") + " reject_reason=RH";
    let transition = |from: &str| {
        VERIFIED.replace("VERIFIED", "REJECTED").replace("from_state=RESULTED", from)
            + " reject_reason=ZW"
    };
    let (early, late) = (transition("from_state=IN_TRANSIT"), transition("from_state=IN_PROCESS"));
    let all = events(&[&snapshot, &early, COMPLETED, &late]);
    let rejections = related(&all, Relation::Rejections);
    assert_eq!(rejections.source_row, [0, 1, 3]);
    assert_eq!(
        row(&rejections, 0),
        [
            "lab_id=L",
            "specimen_id=S",
            "assay=K",
            "priority=S",
            "reject_reason=RH",
            "machine_id=M",
            "rejected_at=2026-03-01T11:30:30Z",
        ]
    );
    assert!(row(&rejections, 1).contains(&"phase=pre_analytical".to_owned()));
    assert!(row(&rejections, 2).contains(&"phase=analytical".to_owned()));
}

#[test]
fn errors_of_both_forms() {
    let snapshot = COMPLETED.replace("COMPLETED", "ERROR") + " error_code=E03";
    let transition = VERIFIED.replace("VERIFIED", "ERROR");
    let all = events(&[&snapshot, &transition, COMPLETED]);
    let errors = related(&all, Relation::Errors);
    assert_eq!(
        row(&errors, 0),
        [
            "lab_id=L",
            "specimen_id=S",
            "assay=K",
            "priority=S",
            "machine_id=M",
            "operator_id=O",
            "error_code=E03",
            "received_at=2026-03-01T10:00:00Z",
            "minutes_since_receipt=90.5",
            "at=2026-03-01T11:30:30Z",
        ]
    );
    assert!(row(&errors, 1).contains(&"minutes_since_receipt=240.0".to_owned()));
    assert_eq!(errors.rows.num_rows(), 2);
}

#[test]
fn events_are_all_events_as_they_are() {
    let all = events(&[COMPLETED, VERIFIED]);
    let related = related(&all, Relation::Events);
    assert_eq!(related.rows, all.rows);
    assert_eq!(related.source_row, [0, 1]);
}

#[test]
fn relations_without_rows_and_without_columns() {
    let all = events(&[VERIFIED]);
    let errors = related(&all, Relation::Errors);
    assert_eq!((errors.rows.num_rows(), errors.event_time.len()), (0, 0));
    let none = relate(&all, Relation::Completions, &[], &Targets::new(&[], 4.0)).unwrap();
    assert_eq!((none.rows.num_rows(), none.rows.num_columns()), (1, 0));
}

#[test]
fn schemas_begin_with_the_identity_and_name_their_event_time() {
    let identity = ["lab_id", "specimen_id", "assay", "priority", "patient_class", "location"];
    for relation in Relation::ALL {
        assert_eq!(Relation::named(relation.name()), Some(relation));
        let schema = relation_schema(relation);
        assert!(schema.field_with_name(relation.event_time_column()).is_ok());
        let names: Vec<&str> = relation.columns().iter().map(|column| column.name).collect();
        let fields: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, fields);
        if relation != Relation::Events {
            assert_eq!(&names[..6], &identity);
        }
    }
}

proptest! {
    /// The columns that `event_columns` asks for are enough, and a projection is a projection.
    #[test]
    fn a_projection_of_events_and_columns_gives_the_same_values(
        relation in proptest::sample::select(Relation::ALL.to_vec()),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..5),
        kinds in proptest::collection::vec(0..6usize, 0..20),
    ) {
        let received = COMPLETED.replace("COMPLETED", "RECEIVED");
        let error = COMPLETED.replace("COMPLETED", "ERROR") + " error_code=E03";
        let rejected =
            VERIFIED.replace("VERIFIED", "REJECTED").replace("RESULTED", "COLLECTED");
        let order = "event_type=order.created lab_id=L assay=K event_time=2026-03-01T07:00:00Z";
        let forms = [COMPLETED, VERIFIED, &received, &error, &rejected, order];
        let all = events(&kinds.iter().map(|kind| forms[*kind]).collect::<Vec<_>>());
        let needed: Vec<usize> =
            picks.iter().map(|pick| pick.index(relation.columns().len())).collect();
        let targets = Targets::new(&[], 4.0);
        let whole = related(&all, relation);
        let kept: Vec<usize> = event_columns(relation, &needed).into_iter().collect();
        let fewer = EventBatch { rows: all.rows.project(&kept).unwrap(), ..all };
        let part = relate(&fewer, relation, &needed, &targets).unwrap();
        let mut sorted = needed;
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(part.rows, whole.rows.project(&sorted).unwrap());
        prop_assert_eq!(part.event_time, whole.event_time);
        prop_assert_eq!(part.source_row, whole.source_row);
    }
}
