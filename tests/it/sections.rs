//! The lake's five sections beside the tables, column by column: what `query` gives of them while
//! they have rows, and the same columns while they have none. Rows and types by hand, from
//! `docs/lake.md` and `docs/events.md`.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use crate::binary::{Place, count, repository};

/// Where rows of the feed stand; the topic is the file's, see [`a_lake`].
const POSITION: &str = "topic:text partition:int32 offset:int64 record_time:time";

/// The event's fields, in the order in which `docs/events.md` and `turnaround relations` list them.
const EVENT: &str = "event_id:text schema_version:int64 event_type:text lab_id:text event_time:time \
    specimen_id:text order_id:text patient_ref:text assay:text loinc:text priority:text \
    patient_class:text location:text specimen_type:text profile_tat_min:double to_state:text \
    from_state:text status:text ordered_at:time collected_at:time received_at:time \
    processed_at:time machine_id:text operator_id:text error_code:text reject_reason:text \
    recollect_of:text referred_to:text referred_from:text critical_id:text analyte:text \
    value:double unit:text flag:text notified_to_role:text read_back:bool instrument_state:text \
    planned:bool reason:text auto_verified:bool delta_flag:bool repeat_no:int64 seq:int64 \
    outcome:text channel:text center_event:text user:text version:int64 settings:text";

const DEAD_LETTERS: &str = "reason:text detail:text bytes:binary date:date";

const ALERTS: &str = "window_start:time window_end:time rule:text severity:text kind:text \
    table:text lab_id:text group:text figure:text figure_value:double target:double n:int64 \
    since:time begun_at:time owner:text runbook:text notice_id:text card_id:text date:date \
    disposition:text";

const QUALITY: &str = "kind:text topic:text partition:int32 offset:int64 noticed_offset:int64 \
    lab_id:text machine_id:text event_time:time line:time ahead_minutes:double date:date";

/// Each section with its columns.
fn sections() -> [(&'static str, String); 5] {
    [
        ("events", format!("{POSITION} {EVENT} disposition:text date:date")),
        (
            "late",
            format!(
                "table_name:text {POSITION} watermark:time missed_from:time missed_to:time {EVENT} \
                 date:date"
            ),
        ),
        ("dead_letters", format!("{POSITION} {DEAD_LETTERS}")),
        ("alerts", ALERTS.to_owned()),
        ("quality", QUALITY.to_owned()),
    ]
}

/// A type's word in the lists above.
fn word(of: &DataType) -> &'static str {
    match of {
        DataType::Utf8 => "text",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::Float64 => "double",
        DataType::Boolean => "bool",
        DataType::Binary => "binary",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => "time",
        _ => "another type",
    }
}

/// A test verified on 2 March.
fn line(specimen: &str, machine: &str, (received, processed): (&str, &str)) -> Map<String, Value> {
    let at = |time: &str| format!("2026-03-02T{time}:00Z");
    let line = json!({
        "lab_id": "lab-north", "specimen_id": specimen, "assay": "K", "status": "COMPLETED",
        "machine_id": machine, "received_at": at(received), "processed_at": at(processed),
    });
    let Value::Object(line) = line else { panic!("it is an object") };
    line
}

/// What no event is: it ends in the middle.
const BROKEN: &str = r#"{"lab_id": "lab-north", "#;

/// A lake to which each section has something to be filed; with the source's name in it. The
/// watermark trails by a minute, windows of an hour are not revised, two tests in an hour make a card.
fn a_lake() -> (Place, String) {
    let place = Place::new();
    for name in ["turnaround.yaml", "pipelines/work.yaml", "sql/marts/work.sql"] {
        let text = std::fs::read(repository().join("tests/cases/sections").join(name));
        place.write(&format!("project/{name}"), text.expect("the case is there"));
    }
    let mut late = line("S-3", "M-2", ("07:40", "08:20"));
    late.insert("operator_id".to_owned(), json!("O-1"));
    let mut twice = line("S-5", "M-1", ("09:00", "09:20"));
    twice.extend([
        ("event_id".to_owned(), json!("E-5")),
        ("seq".to_owned(), json!(7)),
        ("auto_verified".to_owned(), json!(true)),
    ]);
    let twice = Value::Object(twice).to_string();
    let lines = [
        Value::Object(line("S-0", "M-1", ("07:30", "08:00"))).to_string(),
        Value::Object(line("S-1", "M-2", ("07:30", "08:10"))).to_string(),
        Value::Object(line("S-2", "M-1", ("08:30", "09:10"))).to_string(),
        // By now the watermark stands at 09:09.
        Value::Object(late).to_string(),
        BROKEN.to_owned(),
        // Eleven hours ahead, of a machine that nobody bears out.
        Value::Object(line("S-4", "M-9", ("19:00", "20:00"))).to_string(),
        twice.clone(),
        twice,
    ];
    place.write("feed.ndjson", lines.join("\n"));
    let run = place.counters(&[
        "run",
        "--once",
        "--json",
        "--project",
        "project",
        "--source",
        "file:feed.ndjson",
        "--lake",
        "lake",
        "--as-of",
        "2026-03-04T00:00:00Z",
    ]);
    let fates = ["events_in", "counted", "late_only", "repeated", "dead_letters", "other"];
    assert_eq!(fates.map(|fate| count(&run, fate)), [8, 5, 1, 1, 1, 0], "{run}");
    let topic = place.value("lake", "SELECT DISTINCT topic FROM dead_letters");
    let topic = topic.as_str().expect("a name").to_owned();
    assert!(topic.starts_with("feed.ndjson-"), "{topic}");
    (place, topic)
}

/// The columns of an answer as `name:type`, and how many rows it has.
fn columns(place: &Place, section: &str) -> (String, usize) {
    let sql = format!("SELECT * FROM {section}");
    let out = format!("{section}.parquet");
    let arguments = ["query", &sql, "--lake", "lake", "--format", "parquet", "--out", &out];
    place.run(&arguments).succeeded();
    let file = File::open(place.path(&out)).expect("it was written");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
    let fields = reader.schema().fields().iter();
    let columns = fields.map(|field| format!("{}:{}", field.name(), word(field.data_type())));
    let columns = columns.collect::<Vec<_>>().join(" ");
    let rows = reader.build().expect("it is Parquet").map(|rows| rows.expect("rows").num_rows());
    (columns, rows.sum())
}

#[test]
fn have_the_same_columns_with_rows_and_without() {
    let (place, _) = a_lake();
    let rows = BTreeMap::from([
        ("events", 7),
        ("late", 1),
        ("dead_letters", 1),
        ("alerts", 2),
        ("quality", 1),
    ]);
    for (section, expected) in sections() {
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(columns(&place, section), (expected.clone(), rows[section]), "{section}");
        std::fs::remove_dir_all(place.path(&format!("lake/{section}"))).expect("it is there");
        assert_eq!(columns(&place, section), (expected, 0), "{section} without rows");
    }
}

/// The rows of a section, without the columns that are null.
fn rows(place: &Place, section: &str, order: &str) -> Vec<Value> {
    let rows = place.query("lake", &format!("SELECT * FROM {section} ORDER BY {order}"));
    let known = |row: Value| {
        let Value::Object(row) = row else { panic!("{row} is no row") };
        Value::Object(row.into_iter().filter(|(_, value)| !value.is_null()).collect())
    };
    rows.into_iter().map(known).collect()
}

fn with(base: &Map<String, Value>, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    Value::Object(base.clone().into_iter().chain(more).collect())
}

/// What is added to an event of the row form as it is filed.
fn filed(topic: &str, offset: u64, event_time: &str) -> Value {
    json!({
        "topic": topic, "partition": 0, "offset": offset, "schema_version": 1,
        "event_type": "specimen.snapshot", "priority": "R", "event_time": event_time,
        "date": "2026-03-02",
    })
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is no object") };
    object
}

#[test]
fn of_the_input_hold_what_came_and_what_became_of_it() {
    let (place, topic) = a_lake();
    let at = |time: &str| format!("2026-03-02T{time}:00Z");
    let mut late = line("S-3", "M-2", ("07:40", "08:20"));
    late.insert("operator_id".to_owned(), json!("O-1"));
    let late = object(with(&late, filed(&topic, 3, &at("08:20"))));

    let events = rows(&place, "events", "\"offset\"");
    let offsets: Vec<&Value> = events.iter().map(|row| &row["offset"]).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 5, 6, 7], "the record at 4 is no event");
    let became: Vec<&Value> = events.iter().map(|row| &row["disposition"]).collect();
    let accepted = "accepted";
    let expected = [accepted, accepted, accepted, accepted, accepted, accepted, "repeated"];
    assert_eq!(became, expected);
    assert_eq!(events[3], with(&late, json!({ "disposition": accepted })));
    let twice = object(with(
        &line("S-5", "M-1", ("09:00", "09:20")),
        json!({ "event_id": "E-5", "seq": 7, "auto_verified": true, "disposition": "repeated" }),
    ));
    assert_eq!(events[6], with(&twice, filed(&topic, 7, &at("09:20"))));

    // The highest time before it was 09:10, and the watermark trails by a minute.
    let missed = json!({
        "table_name": "work_1h", "watermark": at("09:09"), "missed_from": at("08:00"),
        "missed_to": at("09:00"),
    });
    assert_eq!(rows(&place, "late", "\"offset\""), [with(&late, missed)]);

    let letters = rows(&place, "dead_letters", "\"offset\"");
    let [letter] = letters.as_slice() else { panic!("one record is no event: {letters:?}") };
    let bytes: String = BROKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let detail = letter["detail"].as_str().expect("it says why").to_owned();
    assert!(detail.starts_with("not JSON: "), "{detail}");
    let expected = json!({
        "topic": topic, "partition": 0, "offset": 4, "reason": "malformed", "detail": detail,
        "bytes": bytes, "date": "2026-03-02",
    });
    assert_eq!(*letter, expected);
}

#[test]
fn of_alerts_and_quality_hold_what_was_odd() {
    let (place, topic) = a_lake();
    let at = |time: &str| format!("2026-03-02T{time}:00Z");
    // From 09:20, the time that contradicts it, to 20:00.
    let expected = json!({
        "kind": "leap", "topic": topic, "partition": 0, "offset": 5, "noticed_offset": 6,
        "lab_id": "lab-north", "machine_id": "M-9", "event_time": at("20:00"),
        "line": at("09:20"), "ahead_minutes": 640.0, "date": "2026-03-02",
    });
    assert_eq!(rows(&place, "quality", "\"offset\""), [expected]);

    // From eight to nine two tests were on time, from nine to ten two, from 20:00 on one.
    let mut alerts = rows(&place, "alerts", "window_start");
    let mut ids = Vec::new();
    for alert in &mut alerts {
        let alert = alert.as_object_mut().expect("a row is an object");
        let notice = alert.remove("notice_id").expect("it has an id");
        assert_eq!(alert.remove("card_id").as_ref(), Some(&notice), "a card of one notice");
        ids.push(notice.as_str().expect("an id is text").to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 32) && ids[0] != ids[1], "{ids:?}");
    let told = |kind: &str, (start, end): (&str, &str), n: u64| {
        json!({
            "window_start": at(start), "window_end": at(end), "rule": "busy", "severity": "high",
            "kind": kind, "table": "work_1h", "lab_id": "lab-north", "group": "", "figure": "n",
            "figure_value": n as f64, "n": n, "since": at("09:00"), "begun_at": at("09:00"),
            "owner": "night shift", "runbook": "docs/runbooks/tat.md", "date": "2026-03-02",
            "disposition": "dry_run",
        })
    };
    let begun = told("begin", ("08:00", "09:00"), 2);
    assert_eq!(alerts, [begun, told("end", ("20:00", "21:00"), 1)]);
}
