//! Events as a relation, and what all relations have in common.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use proptest::prelude::*;

use super::*;
use crate::flow::coded::coded_type;
use crate::flow::event::{DECODED_SCHEMA, EVENT_FIELDS, FieldKind};
use crate::flow::{EventBatch, Partition, Timestamp};

/// Events of which each text column holds the column's name and the event's number, each time its number
/// of minutes, and every other column nothing.
fn events(count: usize) -> EventBatch {
    let column = |(name, kind): &(&str, FieldKind)| -> ArrayRef {
        let texts = || (0..count).map(|event| Some(format!("{name} {event}")));
        match kind {
            FieldKind::Text(_) => Arc::new(texts().collect::<StringArray>()),
            FieldKind::Code(_) => cast(&texts().collect::<StringArray>(), &coded_type()).unwrap(),
            FieldKind::Time => {
                let times = (0..count as i64).map(|event| Some(event * 60_000_000));
                Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            FieldKind::Int | FieldKind::Float | FieldKind::Bool => {
                let field = DECODED_SCHEMA.field_with_name(name).unwrap();
                arrow::array::new_null_array(field.data_type(), count)
            }
        }
    };
    let columns = EVENT_FIELDS.iter().map(column).collect();
    EventBatch {
        partition: Arc::new(Partition { topic: "events".into(), index: 0 }),
        rows: RecordBatch::try_new(DECODED_SCHEMA.clone(), columns).unwrap(),
        offsets: (0..count as i64).collect(),
        appended: Vec::new(),
        record_times: vec![Timestamp(0); count],
    }
}

#[test]
fn relations_begin_with_the_identity_and_name_their_event_time() {
    let identity = ["lab_id", "specimen_id", "assay", "priority", "patient_class", "location"];
    let mut names = Vec::new();
    for relation in Relation::all() {
        assert_eq!(Relation::named(relation.name()), Some(relation));
        let schema = relation_schema(relation);
        assert!(schema.field_with_name(relation.event_time_column()).is_ok());
        let columns: Vec<&str> = relation.columns().iter().map(|column| column.name).collect();
        let fields: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(columns, fields);
        if relation != Relation::Events {
            assert_eq!(&columns[..6], &identity);
        }
        names.push(relation.name());
    }
    assert_eq!(
        names,
        [
            "events",
            "transitions",
            "completions",
            "due",
            "deadlines",
            "rejections",
            "errors",
            "restatements",
            "refused",
            "backdated",
            "critical_results",
            "critical_deadlines",
        ]
    );
}

proptest! {
    /// The columns that `event_columns` asks for are enough; what is missing beyond them is null.
    #[test]
    fn a_projection_of_events_gives_the_same_values(
        picks in proptest::collection::vec(0..EVENT_FIELDS.len(), 0..5),
        count in 0usize..5,
    ) {
        let all = events(count);
        let kept: Vec<usize> = event_columns(&picks).into_iter().collect();
        let fewer = EventBatch { rows: all.rows.project(&kept).unwrap(), ..events(count) };
        let part = event_rows(&fewer, &picks).unwrap();
        let mut sorted = picks;
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(&part, &all.rows.project(&sorted).unwrap());
        let expected: Vec<i64> = (0..count as i64).map(|event| event * 60_000_000).collect();
        prop_assert_eq!(event_times(&fewer).unwrap().values().to_vec(), expected);
    }
}
