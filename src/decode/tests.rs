//! Decode as a whole, against values worked out by hand, and its two readers against each other.

// long because both readers are given the same records, case by case.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use proptest::prelude::*;

use super::fields::KINDS;
use super::*;
use crate::flow::coded::{Codes, plain_rows};
use crate::flow::event::{DECODED_SCHEMA, EVENT_FIELDS, EVENT_SCHEMA};
use crate::flow::{Partition, Reason};

const NOW: &str = "2026-03-02T00:00:00Z";

const ROW: &str = r#"{"event_id":"E1","specimen_id":"S1","lab_id":"lab-01","assay":"A06","machine_id":"M-36","operator_id":"OP-091","priority":"STAT","status":"COMPLETED","error_code":null,"received_at":"2026-03-01T10:00:00Z","processed_at":"2026-03-01T11:30:00Z"}"#;

const TRANSITION: &str = r#"{"event_type":"specimen.transition","lab_id":"lab-01","specimen_id":"S1","event_time":"2026-03-01T10:00:00Z","to_state":"RECEIVED"}"#;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn options() -> DecodeOptions {
    DecodeOptions { default_lab: None, max_future: Span(5 * Span::MINUTE.0), columns: None }
}

fn partition() -> Arc<Partition> {
    Arc::new(Partition { topic: "events".into(), index: 3 })
}

fn lines_of(bytes: impl Into<Vec<u8>>) -> RawBatch {
    RawBatch {
        partition: partition(),
        bytes: Bytes::from(bytes.into()),
        framing: Framing::Lines { first_offset: 100, record_time: at(NOW) },
    }
}

fn messages_of(records: &[&[u8]]) -> RawBatch {
    let mut frames = Vec::new();
    let mut bytes = Vec::new();
    for (i, record) in records.iter().enumerate() {
        let start = bytes.len();
        bytes.extend_from_slice(record);
        let end = bytes.len();
        frames.push(RecordFrame {
            offset: 7 * i as i64,
            record_time: at(NOW),
            appended: false,
            start,
            end,
        });
    }
    RawBatch {
        partition: partition(),
        bytes: Bytes::from(bytes),
        framing: Framing::Records(frames),
    }
}

fn lines(bytes: impl Into<Vec<u8>>) -> Decoded {
    decode(&lines_of(bytes), &options())
}

/// The values that are not null, as `name=value`.
fn values(rows: &RecordBatch, row: usize) -> Vec<String> {
    let schema = rows.schema();
    let columns = rows.columns().iter().enumerate().filter(|(_, column)| column.is_valid(row));
    columns
        .map(|(i, column)| {
            let value = array_value_to_string(column, row).unwrap();
            format!("{}={value}", schema.field(i).name())
        })
        .collect()
}

/// What becomes of one line.
fn one(line: &str) -> Result<Vec<String>, Reason> {
    let decoded = lines(line);
    assert_eq!(decoded.records, 1);
    match decoded.dead_letters.first() {
        Some(dead) => {
            assert_eq!(dead.bytes, line.as_bytes());
            Err(dead.reason)
        }
        None => Ok(values(&decoded.events.rows, 0)),
    }
}

/// The value that one line's row has of a field; empty where it has none.
fn value_of(field: &str, line: &str) -> Result<String, Reason> {
    let values = one(line)?;
    let value = values.iter().find_map(|value| value.strip_prefix(field)?.strip_prefix('='));
    Ok(value.unwrap_or_default().to_owned())
}

/// `ROW` with a field set to a JSON text, or added.
fn row_with(field: &str, json: &str) -> String {
    changed(ROW, field, json)
}

fn changed(line: &str, field: &str, json: &str) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).unwrap();
    object.remove(field);
    let rest = serde_json::to_string(&object).unwrap();
    let comma = if object.is_empty() { "" } else { "," };
    format!("{{\"{field}\":{json}{comma}{}", &rest[1..])
}

fn without(line: &str, field: &str) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).unwrap();
    assert!(object.remove(field).is_some(), "{field}");
    serde_json::to_string(&object).unwrap()
}

#[test]
fn the_row_form_becomes_a_row() {
    let decoded = lines(format!("{ROW}\n"));
    assert_eq!(decoded.events.rows.schema(), *DECODED_SCHEMA);
    assert_eq!(plain_rows(&decoded.events.rows).unwrap().schema(), *EVENT_SCHEMA);
    assert_eq!(
        values(&decoded.events.rows, 0),
        [
            "event_id=E1",
            "schema_version=1",
            "event_type=specimen.snapshot",
            "lab_id=lab-01",
            "event_time=2026-03-01T11:30:00Z",
            "specimen_id=S1",
            "assay=A06",
            "priority=S",
            "status=COMPLETED",
            "received_at=2026-03-01T10:00:00Z",
            "processed_at=2026-03-01T11:30:00Z",
            "machine_id=M-36",
            "operator_id=OP-091",
        ]
    );
    assert_eq!((decoded.records, decoded.careful_records), (1, 0));
    assert_eq!(decoded.identities, [Identity::of(b"E1")]);
    assert_eq!(decoded.events.offsets, [100]);
    assert_eq!(decoded.events.record_times, [at(NOW)]);
}

#[test]
fn the_transition_form_becomes_a_row_with_its_defaults() {
    assert_eq!(
        one(TRANSITION).unwrap(),
        [
            "schema_version=1",
            "event_type=specimen.transition",
            "lab_id=lab-01",
            "event_time=2026-03-01T10:00:00Z",
            "specimen_id=S1",
            "priority=R",
            "to_state=RECEIVED",
        ]
    );
}

#[test]
fn every_kind_of_field_is_read() {
    let line = r#"{"event_type":"result.critical","lab_id":"l","event_time":"2026-03-01T10:00:00.25+01:00","specimen_id":"S","assay":"K","value":6.75,"unit":"mmol/L","flag":"HH","read_back":true,"planned":false,"repeat_no":2,"seq":-9007199254740993,"profile_tat_min":45,"reason":"caf\u00e9 \"x\"","schema_version":2}"#;
    assert_eq!(
        one(line).unwrap(),
        [
            "schema_version=2",
            "event_type=result.critical",
            "lab_id=l",
            "event_time=2026-03-01T09:00:00.250Z",
            "specimen_id=S",
            "assay=K",
            "priority=R",
            "profile_tat_min=45.0",
            "value=6.75",
            "unit=mmol/L",
            "flag=HH",
            "read_back=true",
            "planned=false",
            "reason=café \"x\"",
            "repeat_no=2",
            "seq=-9007199254740993",
        ]
    );
}

#[test]
fn the_row_forms_event_time_is_when_it_was_processed_or_else_received() {
    let time = |line: &str| one(line).unwrap()[4].clone();
    assert_eq!(time(ROW), "event_time=2026-03-01T11:30:00Z");
    assert_eq!(time(&without(ROW, "processed_at")), "event_time=2026-03-01T10:00:00Z");
    let stated = row_with("event_time", "\"2026-02-01T00:00:00Z\"");
    assert_eq!(time(&stated), "event_time=2026-03-01T11:30:00Z");
}

#[test]
fn a_blank_id_is_absent() {
    for blank in ["\"\"", "\" \"", "\"\u{a0}\u{3000} \"", r#""\t\n""#, r#""\u00a0""#] {
        for required in ["lab_id", "specimen_id", "assay"] {
            let line = row_with(required, blank);
            let dead = lines(line.clone()).dead_letters.remove(0);
            assert_eq!(dead.reason, Reason::MissingField, "{line}");
            let detail = format!("`{required}` is required here, and absent or blank");
            assert_eq!(dead.detail, detail, "{line}");
        }
        for optional in ["machine_id", "event_id"] {
            let line = row_with(optional, blank);
            assert_eq!(one(&line), one(&without(ROW, optional)), "{line}");
        }
        // Two without an id are not one event.
        let twice = lines(row_with("event_id", blank));
        assert_eq!(twice.identities, [Identity::NONE]);
        let options = DecodeOptions { default_lab: Some("here".into()), ..options() };
        let decoded = decode(&lines_of(row_with("lab_id", blank)), &options);
        assert!(values(&decoded.events.rows, 0).contains(&"lab_id=here".to_owned()));
    }
    assert!(one(&row_with("lab_id", "\" l \"")).unwrap().contains(&"lab_id= l ".to_owned()));
    // Whether a ward's blank name is one is not for us to say.
    assert!(one(&row_with("location", "\" \"")).unwrap().contains(&"location= ".to_owned()));
}

#[test]
fn an_id_with_a_control_character_is_a_dead_letter() {
    for text in [r#""S\n1""#, r#""S\u0000""#, r#""\tS""#, "\"S\u{7f}1\"", r#""S\u007f""#] {
        for field in ["specimen_id", "machine_id", "event_id", "assay"] {
            let line = row_with(field, text);
            assert_eq!(one(&line), Err(Reason::ControlCharacter), "{line}");
        }
    }
    let lines = row_with("reason", r#""first line\nsecond line""#);
    assert!(one(&lines).unwrap().contains(&"reason=first line\nsecond line".to_owned()));
    // Nothing is kept of a field that is not known.
    assert!(one(&row_with("unknown", "\"S\u{7f}1\"")).is_ok());
}

#[test]
fn what_is_not_one_object_is_malformed() {
    let truncated = &ROW[..ROW.len() - 10];
    for line in [
        "{",
        "}",
        "[]",
        "3",
        "\"text\"",
        "null",
        "nonsense",
        "{\"lab_id\":}",
        "{\"lab_id\" \"x\"}",
        "{lab_id:\"x\"}",
        truncated,
        &format!("{ROW},"),
        &format!("{ROW}{ROW}"),
        &format!("{ROW} x"),
        &ROW.replace("lab-01", "lab\u{1}01"),
        &ROW.replace("lab-01", r"lab\q01"),
        &ROW.replace("lab-01", r"lab\ud80001"),
        &ROW.replace(":null", ":nul"),
        &ROW.replace(":null", ":NaN"),
        &row_with("seq", "012"),
        &row_with("value", "1."),
        &row_with("value", "1e999"),
    ] {
        assert_eq!(one(line), Err(Reason::Malformed), "{line}");
    }
}

#[test]
fn invalid_utf8_spoils_its_own_line_only() {
    let mut bytes = format!("{ROW}\n").into_bytes();
    bytes.extend_from_slice(b"{\"lab_id\":\"\xff\xfe\"}\n");
    bytes.extend_from_slice(format!("{ROW}\n").as_bytes());
    // Half of a two-byte character at the end of a line, the other half at the start of the next.
    bytes.extend_from_slice(b"{\"lab_id\":\"\xc3\n\xa9\"}\n");
    bytes.extend_from_slice(ROW.replace("lab-01", "labor-süd").as_bytes());
    let decoded = lines(bytes);
    assert_eq!(decoded.events.offsets, [100, 102, 105]);
    let dead: Vec<(i64, Reason)> =
        decoded.dead_letters.iter().map(|dead| (dead.offset, dead.reason)).collect();
    let malformed = Reason::Malformed;
    assert_eq!(dead, [(101, malformed), (103, malformed), (104, malformed)]);
    assert_eq!(decoded.dead_letters[0].bytes, b"{\"lab_id\":\"\xff\xfe\"}".as_slice());
    assert!(values(&decoded.events.rows, 2).contains(&"lab_id=labor-süd".to_owned()));
}

#[test]
fn messages_that_share_a_character_are_both_malformed() {
    let raw = messages_of(&[b"{\"lab_id\":\"\xc3", b"\xa9\"}", ROW.as_bytes()]);
    let decoded = decode(&raw, &options());
    assert_eq!(decoded.events.offsets, [14]);
    assert_eq!(decoded.dead_letters.len(), 2);
    assert!(decoded.dead_letters.iter().all(|dead| dead.reason == Reason::Malformed));
}

#[test]
fn messages_may_hold_line_feeds_and_may_not_be_empty() {
    let pretty = ROW.replace(',', ",\n ");
    let spaced = format!("  {ROW}  ");
    let raw = messages_of(&[
        b"",
        pretty.as_bytes(),
        b" ",
        spaced.as_bytes(),
        b"  ",
        &ROW.as_bytes()[..ROW.len() - 1],
        b"}",
    ]);
    let decoded = decode(&raw, &options());
    assert_eq!(decoded.records, 7);
    assert_eq!(decoded.events.offsets, [7, 21]);
    assert_eq!(decoded.blank_lines, 0);
    assert_eq!(values(&decoded.events.rows, 0), values(&decoded.events.rows, 1));
}

#[test]
fn blank_lines_count_in_the_numbering_and_the_last_line_may_be_open_or_cut_off() {
    let decoded = lines(format!("\n{ROW}\r\n \t\r\n\n{ROW} \n{ROW}"));
    assert_eq!(decoded.events.offsets, [101, 104, 105]);
    assert_eq!((decoded.records, decoded.blank_lines), (3, 3));
    let decoded = lines(format!("{ROW}\n{}", &ROW[..100]));
    assert_eq!(decoded.events.offsets, [100]);
    assert_eq!(decoded.dead_letters[0].offset, 101);
    assert_eq!(decoded.dead_letters[0].bytes, &ROW.as_bytes()[..100]);
    assert_eq!(lines("").records, 0);
}

#[test]
fn another_json_type_is_a_wrong_type() {
    for (field, json) in [
        ("lab_id", "7"),
        ("lab_id", "true"),
        ("assay", "{\"code\":\"K\"}"),
        ("specimen_id", "[\"S1\"]"),
        ("status", "1"),
        ("received_at", "1772323200"),
        ("received_at", "true"),
        ("seq", "3.0"),
        ("seq", "3e0"),
        ("seq", "\"3\""),
        ("seq", "-0"),
        ("seq", "9223372036854775808"),
        ("value", "\"6.7\""),
        ("read_back", "1"),
        ("read_back", "\"true\""),
    ] {
        assert_eq!(one(&row_with(field, json)), Err(Reason::WrongType), "{field} {json}");
    }
}

#[test]
fn null_is_absent() {
    assert_eq!(one(&row_with("assay", "null")), Err(Reason::MissingField));
    let rows = one(&row_with("priority", "null")).unwrap();
    assert!(rows.contains(&"priority=R".to_owned()));
    assert_eq!(one(&row_with("seq", "null")), one(ROW));
}

#[test]
fn texts_and_records_have_limits() {
    let text = |length| format!("\"{}\"", "x".repeat(length));
    let kept = |field, length| value_of(field, &row_with(field, &text(length)));
    assert_eq!(kept("lab_id", 64), Ok("x".repeat(64)));
    assert_eq!(one(&row_with("lab_id", &text(65))), Err(Reason::TooLong));
    assert_eq!(kept("reason", 256), Ok("x".repeat(256)));
    assert_eq!(one(&row_with("reason", &text(257))), Err(Reason::TooLong));
    // 33 characters of two bytes each.
    let umlauts = format!("\"{}\"", "ü".repeat(33));
    assert_eq!(one(&row_with("lab_id", &umlauts)), Err(Reason::TooLong));
    // Ten megabytes in an unknown field are ignored, in a known one they are not.
    assert_eq!(one(&row_with("comment", &text(10 << 20))), one(ROW));
    assert_eq!(one(&row_with("reason", &text(10 << 20))), Err(Reason::TooLong));
    assert_eq!(one(&row_with("comment", &text(17 << 20))), Err(Reason::TooLong));
    assert_eq!(one(&format!("{ROW}{}", " ".repeat(17 << 20))), Err(Reason::TooLong));
}

#[test]
fn instants_must_exist() {
    for text in [
        "20244-03-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01",
        "2026-03-01 10:00",
        "2026-03-01T10:00:00",
        "yesterday",
        "",
    ] {
        let line = row_with("ordered_at", &format!("\"{text}\""));
        assert_eq!(one(&line), Err(Reason::BadTimestamp), "{text}");
    }
    let ordered = |text: &str| {
        let row = one(&row_with("ordered_at", &format!("\"{text}\""))).unwrap();
        row.into_iter().find(|value| value.starts_with("ordered_at=")).unwrap()
    };
    assert_eq!(ordered("2024-02-29T12:00:00Z"), "ordered_at=2024-02-29T12:00:00Z");
    assert_eq!(ordered("2026-03-01T01:30:00+01:00"), "ordered_at=2026-03-01T00:30:00Z");
    assert_eq!(ordered("2026-02-28T20:00:00-05:00"), "ordered_at=2026-03-01T01:00:00Z");
    assert_eq!(ordered("2026-03-01t00:30:00z"), "ordered_at=2026-03-01T00:30:00Z");
    assert_eq!(ordered("9999-12-31T23:59:59.999999Z"), "ordered_at=9999-12-31T23:59:59.999999Z");
}

#[test]
fn enumerations_are_closed_but_reasons_of_rejection_are_open() {
    for (field, value) in [
        ("status", "DONE"),
        ("status", "completed"),
        ("status", ""),
        ("priority", "URGENT"),
        ("event_type", "specimen.snapshots"),
        ("to_state", "DONE"),
        ("from_state", "COMPLETED"),
    ] {
        let line = row_with(field, &format!("\"{value}\""));
        assert_eq!(one(&line), Err(Reason::UnknownValue), "{field} {value}");
    }
    for (written, stored) in
        [("STAT", "S"), ("ASAP", "A"), ("ROUTINE", "R"), ("S", "S"), ("A", "A"), ("R", "R")]
    {
        let row = one(&row_with("priority", &format!("\"{written}\""))).unwrap();
        assert!(row.contains(&format!("priority={stored}")), "{written}");
    }
    let rejected = changed(ROW, "status", "\"REJECTED\"");
    assert_eq!(one(&rejected), Err(Reason::MissingField));
    let reason = changed(&rejected, "reject_reason", "\"house code\"");
    assert_eq!(value_of("reject_reason", &reason).as_deref(), Ok("house code"));
    assert_eq!(value_of("status", &reason).as_deref(), Ok("REJECTED"));
}

#[test]
fn required_fields_depend_on_the_form() {
    for field in ["lab_id", "specimen_id", "received_at", "status", "assay"] {
        assert_eq!(one(&without(ROW, field)), Err(Reason::MissingField), "{field}");
    }
    for field in ["lab_id", "specimen_id", "event_time", "to_state"] {
        assert_eq!(one(&without(TRANSITION, field)), Err(Reason::MissingField), "{field}");
    }
    let verified = changed(TRANSITION, "to_state", "\"VERIFIED\"");
    assert_eq!(one(&verified), Err(Reason::MissingField));
    let with_assay = changed(&verified, "assay", "\"K\"");
    assert_eq!(value_of("assay", &with_assay).as_deref(), Ok("K"));
    assert_eq!(value_of("to_state", &with_assay).as_deref(), Ok("VERIFIED"));
    let received = changed(&without(ROW, "assay"), "status", "\"RECEIVED\"");
    assert_eq!(value_of("status", &received).as_deref(), Ok("RECEIVED"));
    assert_eq!(value_of("assay", &received).as_deref(), Ok(""));
    let instrument = r#"{"event_type":"instrument.state","lab_id":"l","event_time":"2026-03-01T10:00:00Z","machine_id":"M1","instrument_state":"IDLE"}"#;
    let expected = [
        "schema_version=1",
        "event_type=instrument.state",
        "lab_id=l",
        "event_time=2026-03-01T10:00:00Z",
        "priority=R",
        "machine_id=M1",
        "instrument_state=IDLE",
    ];
    assert_eq!(one(instrument), Ok(expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_default_lab_stands_in_where_none_is_named() {
    let options = DecodeOptions { default_lab: Some("central".into()), ..options() };
    let text = format!("{}\n{ROW}\n", without(ROW, "lab_id"));
    let rows = decode(&lines_of(text), &options).events.rows;
    let labs = Codes::of(&rows["lab_id"]).unwrap();
    assert_eq!([labs.text(0), labs.text(1)], [Some("central"), Some("lab-01")]);
}

#[test]
fn times_beyond_the_records_own_time_are_the_future() {
    let line = |field, text: &str| one(&row_with(field, &format!("\"{text}\"")));
    let kept = |field, text: &str| value_of(field, &row_with(field, &format!("\"{text}\"")));
    let last = "2026-03-02T00:05:00Z";
    assert_eq!(kept("processed_at", last).as_deref(), Ok(last));
    assert_eq!(line("processed_at", "2026-03-02T00:05:00.000001Z"), Err(Reason::Future));
    assert_eq!(line("received_at", "2026-03-02T00:06:00Z"), Err(Reason::Future));
    assert_eq!(line("processed_at", "9999-01-01T00:00:00Z"), Err(Reason::Future));
    let later = "2026-03-02T00:06:00Z";
    assert_eq!(kept("ordered_at", later).as_deref(), Ok(later), "it says when nothing happened");
    let transition = changed(TRANSITION, "event_time", "\"2026-03-02T00:06:00Z\"");
    assert_eq!(one(&transition), Err(Reason::Future));
}

#[test]
fn a_negative_duration_is_an_event() {
    let line = row_with("received_at", "\"2026-03-01T12:00:00Z\"");
    assert_eq!(value_of("received_at", &line).as_deref(), Ok("2026-03-01T12:00:00Z"));
    for field in ["event_time", "processed_at"] {
        assert_eq!(value_of(field, &line).as_deref(), Ok("2026-03-01T11:30:00Z"), "{field}");
    }
}

#[test]
fn unknown_fields_are_counted_and_nothing_else() {
    let unknown = r#"{"a":1,"b":{"c":[{"lab_id":7}]},"d":"x\n","é":null,"#;
    let decoded = lines(format!("{unknown}{}\n{ROW}", &ROW[1..]));
    assert_eq!(decoded.unknown_fields, 4);
    assert_eq!(values(&decoded.events.rows, 0), values(&decoded.events.rows, 1));
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let twice = |first: &str, last: &str| {
        format!("{{\"assay\":{first},{}", row_with("assay", last).strip_prefix('{').unwrap())
    };
    assert_eq!(one(&twice("7", "\"A06\"")), one(ROW));
    assert_eq!(one(&twice("\"A06\"", "7")), Err(Reason::WrongType));
    assert_eq!(one(&twice("\"A06\"", "null")), Err(Reason::MissingField));
}

#[test]
fn details_name_fields_and_never_values() {
    let secret = "Jane Doe 1970";
    for line in [
        row_with("lab_id", &format!("[\"{secret}\"]")),
        row_with("status", &format!("\"{secret}\"")),
        row_with("received_at", &format!("\"{secret}\"")),
        format!("\"{secret}\""),
        format!("{{\"lab_id\":\"{secret}\""),
        row_with("lab_id", &format!("\"{}\"", secret.repeat(20))),
    ] {
        let decoded = lines(line.clone());
        let detail = &decoded.dead_letters[0].detail;
        assert!(!detail.contains("Jane") && !detail.is_empty(), "{detail}");
    }
}

#[test]
fn a_projection_changes_the_columns_and_nothing_else() {
    let faulty = row_with("seq", "\"x\"");
    let text = format!("{ROW}\n{faulty}\n{TRANSITION}\n");
    let position = |name| EVENT_FIELDS.iter().position(|(field, _)| *field == name).unwrap();
    let columns = ["processed_at", "lab_id", "seq"].map(position);
    let options = DecodeOptions { columns: Some(columns.into()), ..options() };
    let (some, all) = (decode(&lines_of(text.clone()), &options), lines(text));
    assert_eq!(some.events.rows.num_rows(), 2);
    assert_eq!(some.events.rows, all.events.rows.project(&[3, 21, 42]).unwrap());
    assert_eq!(some.events.rows.schema().field(0).name(), "lab_id");
    assert_eq!((some.dead_letters.len(), all.dead_letters.len()), (1, 1));
    assert_eq!(some.identities, all.identities);
    let none = DecodeOptions { columns: Some(BTreeSet::new()), ..options };
    assert_eq!(decode(&lines_of(format!("{ROW}\n{ROW}")), &none).events.rows.num_rows(), 2);
}

#[test]
fn absent_columns_and_late_ones_are_null_where_they_should_be() {
    let late = row_with("patient_class", "\"ED\"");
    let text = format!("{ROW}\n{ROW}\n{late}\n{ROW}\n");
    let rows = lines(text).events.rows;
    let class = Codes::of(&rows["patient_class"]).unwrap();
    let class: Vec<Option<&str>> = (0..4).map(|row| class.text(row)).collect();
    assert_eq!(class, [None, None, Some("ED"), None]);
    assert_eq!(rows["read_back"].null_count(), 4);
    assert_eq!(rows["processed_at"].null_count(), 0);
}

#[test]
fn plain_records_take_the_fast_way_however_they_are_spaced() {
    let spaced = ROW.replace("\":", "\" : ").replace(",\"", " , \"");
    let other_order = row_with("status", "\"COMPLETED\"");
    let decoded = lines(format!("{spaced}\n{ROW}\r\n{other_order}\n{TRANSITION}\n"));
    assert_eq!(decoded.dead_letters.len(), 0);
    assert_eq!(decoded.careful_records, 0);
}

// The two readers against each other.

/// A block's one row as text: field, value.
fn view(block: &Block, read: RowBeside, line: &[u8]) -> Vec<String> {
    let texts = block.texts(line);
    let present = block.present()[0];
    let fields = (0..FIELDS).filter(|field| present & bit(*field) != 0);
    let mut seen: Vec<String> = fields
        .map(|field| {
            let name = EVENT_FIELDS[field].0;
            let word = block.words(field)[0];
            match KINDS[field] {
                fields::ValueKind::Text(_) | fields::ValueKind::Words(_) => {
                    format!("{name}={}", std::str::from_utf8(texts.text(word)).unwrap())
                }
                fields::ValueKind::Time
                | fields::ValueKind::Int
                | fields::ValueKind::Float
                | fields::ValueKind::Bool => format!("{name}={word:x}"),
            }
        })
        .collect();
    seen.push(format!("unknown {}", read.unknown));
    seen
}

fn limits() -> RecordLimits {
    RecordLimits { latest: at(NOW).plus(Span::MINUTE), has_default_lab: false }
}

fn by_scan(scanner: &mut Scanner, line: &[u8]) -> Option<Vec<String>> {
    std::str::from_utf8(line).ok()?;
    let mut block = Block::new(line.len());
    let (read, end) = scanner.read(line, 0, &mut block)?;
    (skip_space(line, end) == line.len()).then_some(())?;
    block.keep(read, limits()).ok()?;
    Some(view(&block, read, line))
}

fn by_care(line: &[u8]) -> Result<Vec<String>, Reason> {
    let mut block = Block::new(line.len());
    let read = Careful::new().read(line, &mut block).map_err(|fault| fault.reason)?;
    block.keep(read, limits()).map_err(|fault| fault.reason)?;
    Ok(view(&block, read, line))
}

fn json_of_any_kind() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1000i64..1000).prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        "-?[0-9]{1,17}(\\.[0-9]{1,16})?([eE][+-]?[0-9]{1,3})?",
        "[a-zA-Z0-9 éü\"\\\\]{0,70}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "(19[67][0-9]|20[0-9]{2}|9999)-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])"
            .prop_map(|text| format!("\"{text}\"")),
        Just("[1,{\"a\":2}]".to_owned()),
        Just("{\"lab_id\":\"x\"}".to_owned()),
    ]
}

fn fitting_json(field: usize) -> BoxedStrategy<String> {
    match KINDS[field] {
        fields::ValueKind::Text(limit) => {
            format!("\"[a-zA-Z0-9 .é\u{a0}-]{{0,{}}}\"", limit / 2).as_str().prop_regex()
        }
        fields::ValueKind::Words(words) => {
            proptest::sample::select(words).prop_map(|word| format!("\"{word}\"")).boxed()
        }
        fields::ValueKind::Time => (0..1_772_409_600_000_000i64)
            .prop_map(|micros| format!("\"{}\"", Timestamp(micros)))
            .boxed(),
        fields::ValueKind::Int => any::<i64>().prop_map(|value| value.to_string()).boxed(),
        fields::ValueKind::Float => "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,6})?".prop_regex(),
        fields::ValueKind::Bool => any::<bool>().prop_map(|value| value.to_string()).boxed(),
    }
}

trait PropRegex {
    fn prop_regex(&self) -> BoxedStrategy<String>;
}

impl PropRegex for str {
    fn prop_regex(&self) -> BoxedStrategy<String> {
        proptest::string::string_regex(self).unwrap().boxed()
    }
}

/// A key and a value that mostly fit.
fn entry() -> impl Strategy<Value = String> {
    let known = (0..FIELDS).prop_flat_map(|field| {
        prop_oneof![9 => fitting_json(field), 1 => json_of_any_kind()]
            .prop_map(move |json| (EVENT_FIELDS[field].0.to_owned(), json))
    });
    let unknown = ("[a-zé]{1,40}", json_of_any_kind());
    let spaces = "[ \t]{0,2}";
    (prop_oneof![8 => known, 1 => unknown], spaces, spaces)
        .prop_map(|((key, json), before, after)| format!("\"{key}\"{before}:{after}{json}"))
}

/// A line that is mostly an event.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let base = proptest::sample::select(vec![ROW, TRANSITION, "{}"]);
    let extra = proptest::collection::vec(entry(), 0..6);
    (base, extra, any::<bool>()).prop_map(|(base, extra, first)| {
        let inner = &base[1..base.len() - 1];
        let mut parts: Vec<&str> = extra.iter().map(String::as_str).collect();
        if !inner.is_empty() {
            parts.insert(if first { 0 } else { parts.len() }, inner);
        }
        format!("{{{}}}", parts.join(",")).into_bytes()
    })
}

/// The line with some bytes changed, removed or added.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(b"\"\\{}[]:,0123456789-+.eE \t\r\ntfnZT\x7f".to_vec()),
    ];
    let change = (any::<proptest::sample::Index>(), 0..4u8, byte);
    (line(), proptest::collection::vec(change, 0..4)).prop_map(|(mut line, changes)| {
        for (place, what, byte) in changes {
            if line.is_empty() {
                break;
            }
            let at = place.index(line.len());
            match what {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                2 => drop(line.remove(at)),
                _ => line.truncate(at),
            }
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_the_scanner_takes_the_careful_reader_takes_alike(
        warm in mutated(), line in mutated(), padding in 0usize..40
    ) {
        let careful = by_care(&line);
        // Cold, warmed by the line itself, and by another one.
        let mut scanner = Scanner::new();
        let cold = by_scan(&mut scanner, &line);
        let again = by_scan(&mut scanner, &line);
        prop_assert_eq!(&again, &cold);
        by_scan(&mut scanner, &warm);
        prop_assert_eq!(&by_scan(&mut scanner, &line), &cold);
        // Whatever follows the line.
        let mut padded = line.clone();
        padded.resize(line.len() + padding, b' ');
        if line.last() == Some(&b'}') {
            prop_assert_eq!(&by_scan(&mut scanner, &padded), &cold);
        }
        if let Some(row) = cold {
            prop_assert_eq!(careful, Ok(row));
        }
    }

    #[test]
    fn a_batch_is_its_lines(all in proptest::collection::vec(mutated(), 0..12)) {
        let all: Vec<Vec<u8>> = all
            .into_iter()
            .map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect())
            .collect();
        let decoded = lines(all.join(&b'\n'));
        let mut events = decoded.events.offsets.iter();
        let mut dead = decoded.dead_letters.iter();
        let mut row = 0;
        for (i, line) in all.iter().enumerate() {
            let offset = 100 + i as i64;
            let alone = lines(line.clone());
            if let Some(expected) = alone.dead_letters.first() {
                let found = dead.next().unwrap();
                prop_assert_eq!(found.offset, offset);
                prop_assert_eq!((found.reason, &found.detail), (expected.reason, &expected.detail));
                prop_assert_eq!(&found.bytes, line.strip_suffix(b"\r").unwrap_or(line));
            } else if alone.records == 1 {
                prop_assert_eq!(events.next(), Some(&offset));
                prop_assert_eq!(values(&decoded.events.rows, row), values(&alone.events.rows, 0));
                row += 1;
            }
        }
        prop_assert!(events.next().is_none() && dead.next().is_none());
    }

    #[test]
    fn lines_and_messages_decode_alike(all in proptest::collection::vec(line(), 1..6)) {
        let records: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let messages = decode(&messages_of(&records), &options());
        let lines = lines(all.join(&b'\n'));
        prop_assert_eq!(messages.events.rows, lines.events.rows);
        prop_assert_eq!(messages.dead_letters.len(), lines.dead_letters.len());
    }

    #[test]
    fn anything_at_all_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let lines = bytes.split(|byte| *byte == b'\n');
        let open = usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
        let count = (lines.count() - 1 + open) as u64;
        let decoded = decode(&lines_of(bytes), &options());
        prop_assert_eq!(decoded.records + decoded.blank_lines, count);
        let fates = decoded.events.offsets.len() + decoded.dead_letters.len();
        prop_assert_eq!(fates as u64, decoded.records, "each is an event or a dead letter");
        prop_assert_eq!(decoded.events.rows.num_rows(), decoded.events.offsets.len());
    }
}
