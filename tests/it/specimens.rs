//! Single tests by the API: a tube's history, and what is open; of lakes that keep changes of state and
//! deadlines, and of those that do not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use serde_json::{Value, json};
use turnaround::flow::lake_key::{LakeKey, SafeName};
use turnaround::flow::{Span, Timestamp};
use turnaround::lake::{Lake, ObjectNotes};

use crate::binary::{Place, repository};
use crate::served::Served;

/// The lake of the sample, and of a test that waits.
fn filled(project: &[&str]) -> Place {
    let place = Place::new();
    let sample = repository().join("data/samples/events.ndjson");
    let sample = std::fs::read_to_string(sample).expect("the sample is there");
    let waits = json!({
        "event_id": "w-1", "event_type": "specimen.transition", "to_state": "RECEIVED",
        "lab_id": "lab-west", "specimen_id": "W-9", "assay": "CBC", "priority": "S",
        "event_time": "2026-03-02T09:01:00Z", "received_at": "2026-03-02T09:01:00Z",
    });
    place.write("events.ndjson", format!("{sample}{waits}\n"));
    let tables = [
        (
            "completions",
            "c.lab_id, c.specimen_id, c.assay, c.received_at, c.completed_at, \
          c.tat_minutes, c.target_minutes, c.due_at, c.within_target, c.target_source, c.operator_id",
        ),
        (
            "transitions",
            "t.lab_id, t.specimen_id, t.assay, t.priority, t.from_state, t.to_state, \
          t.seconds_in_state, t.machine_id, t.operator_id, t.error_code, t.reject_reason, t.at",
        ),
    ];
    for (name, columns) in tables.iter().filter(|(name, _)| project.contains(name)) {
        let alias = &name[..1];
        place.write(
            &format!("project/pipelines/{name}.yaml"),
            format!(
                "description: Every row of {name}.\nwindows:\n  none: {{}}\nallowed_lateness: 2h\n\
             grain: [lab_id, specimen_id, assay]\n"
            ),
        );
        let sql = format!("-- One row each.\nSELECT {columns}\nFROM {name} AS {alias}\n");
        place.write(&format!("project/sql/marts/{name}.sql"), sql);
    }
    let run = ["run", "--once", "--source", "file:events.ndjson", "--lake", "lake"];
    let project = ["--project", "project", "--as-of", "2026-03-02T12:00:00Z"];
    place.run(&[&run[..], &project].concat()).succeeded();
    place
}

fn serve(place: &Place) -> Served {
    Served::start(place, &["--lake", "lake", "--project", "project"])
}

#[tokio::test]
async fn a_tube_is_told_of_with_its_history() {
    let place = filled(&["completions", "transitions"]);
    let served = serve(&place);
    let tube = served.json("specimens/lab-north/N-1").await;
    assert_eq!((&tube["lab_id"], &tube["specimen_id"]), (&json!("lab-north"), &json!("N-1")));
    let states: Vec<(&str, &str)> = tube["history"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| {
            (step["to_state"].as_str().expect("a state"), step["at"].as_str().expect("a time"))
        })
        .collect();
    // As the sample's lines say.
    let expected = [
        ("ORDERED", "2026-03-02T07:00:00Z"),
        ("COLLECTED", "2026-03-02T07:12:00Z"),
        ("RECEIVED", "2026-03-02T07:20:00Z"),
        ("IN_PROCESS", "2026-03-02T07:24:00Z"),
        ("RESULTED", "2026-03-02T07:51:00Z"),
        ("VERIFIED", "2026-03-02T07:55:00Z"),
    ];
    assert_eq!(states, expected[states.len().abs_diff(6)..], "{tube}");
    assert!(states.len() >= 5, "{tube}");
    let test = &tube["tests"][0];
    assert_eq!((&test["assay"], &test["state"]), (&json!("K"), &json!("VERIFIED")));
    assert_eq!(
        (&test["received_at"], &test["tat_minutes"]),
        (&json!("2026-03-02T07:20:00Z"), &json!(35.0))
    );
    assert_eq!((&tube["history_source"], &tube["detail"]), (&json!("transitions"), &Value::Null));
    assert_eq!(tube["events"], json!([]));
    let whole = served.json("specimens/lab-north/N-1?with=events").await;
    let events = whole["events"].as_array().expect("events");
    assert_eq!((events.len(), &events[0]["to_state"]), (5, &json!("COLLECTED")));
    assert!(events.iter().all(|event| event["offset"].is_u64()), "{whole}");
    assert!(!whole.to_string().contains("O-12"), "staff is not told of");
    let rejected = served.json("specimens/lab-north/N-2").await;
    assert_eq!(rejected["tests"][0]["state"], "REJECTED");
    for (route, status, parameter) in [
        ("specimens/lab-north/N-99", 404, "id"),
        ("specimens/lab-west/N-1", 404, "id"),
        ("specimens/lab-north/N-1?with=rows", 400, "with"),
        ("specimens/lab-north/N-1?from=2026-03-05", 404, "id"),
    ] {
        let got = served.ask(route, &[]).await;
        assert_eq!((got.status, &got.json()["parameter"]), (status, &json!(parameter)), "{route}");
    }
}

#[tokio::test]
async fn open_tests_are_those_that_are_not_done() {
    let place = filled(&["completions", "transitions"]);
    let served = serve(&place);
    let open = served.json("open").await;
    let ids: Vec<&str> = open["tests"]
        .as_array()
        .expect("tests")
        .iter()
        .map(|test| test["specimen_id"].as_str().expect("an id"))
        .collect();
    // Verified, rejected: done. In an error, received: not. The one that waited longest first.
    assert!(ids.contains(&"W-9") && !ids.contains(&"N-1") && !ids.contains(&"N-2"), "{open}");
    assert_eq!(open["source"], "transitions");
    assert!(open["detail"].as_str().is_some_and(|text| text.contains("`deadlines`")), "{open}");
    let of_west = served.json("open?lab=lab-west&assay=CBC&limit=1").await;
    assert_eq!(of_west["tests"][0]["specimen_id"], "W-9");
    assert_eq!(of_west["tests"][0]["since"], "2026-03-02T09:01:00Z");
    for (query, parameter) in [("limit=1001", "limit"), ("stage=late", "stage"), ("lab=x", "lab")] {
        let got = served.ask(&format!("open?{query}"), &[]).await;
        assert_eq!((got.status, &got.json()["parameter"]), (400, &json!(parameter)), "{query}");
    }

    let place = filled(&["transitions"]);
    put_deadlines(&place).await;
    let served = serve(&place);
    let ids = async |query: &str| -> Vec<(Value, Value)> {
        let open = served.json(&format!("open?{query}")).await;
        assert_eq!((&open["source"], &open["detail"]), (&json!("deadlines"), &Value::Null));
        let tests = open["tests"].as_array().expect("tests").clone();
        tests.iter().map(|test| (test["specimen_id"].clone(), test["stage"].clone())).collect()
    };
    let (late, close) = ((json!("D-2"), json!("breached")), (json!("D-3"), json!("at_risk")));
    // D-1 was done; D-2 was at risk before it was late, and is due before D-3.
    assert_eq!(ids("").await, [late.clone(), close.clone()]);
    assert_eq!(ids("stage=at_risk").await, [close]);
    assert_eq!(ids("limit=1").await, [late]);
    assert_eq!(ids("assay=NA").await, []);
    let first = &served.json("open").await["tests"][0];
    assert_eq!(
        (&first["due_at"], &first["since"], &first["target_minutes"]),
        (&json!("2026-03-02T10:00:00Z"), &json!("2026-03-02T10:00:00Z"), &json!(60.0))
    );
}

/// Puts a settled day of deadlines: tube, stage, when it came to that, when it was due; minutes of the day.
async fn put_deadlines(place: &Place) {
    type Row = (&'static str, &'static str, i64, i64);
    let rows: [Row; 5] = [
        ("D-1", "at_risk", 530, 540),
        ("D-2", "at_risk", 588, 600),
        ("D-1", "ended", 535, 540),
        ("D-2", "breached", 600, 600),
        ("D-3", "at_risk", 650, 660),
    ];
    // 2026-03-02T00:00:00Z.
    let day = Timestamp(1_772_409_600_000_000);
    let texts = |of: fn(&Row) -> &'static str| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef
    };
    let times = |of: fn(&Row) -> i64| {
        let times = rows.iter().map(|row| day.plus(Span(of(row) * Span::MINUTE.0)).0);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            as ArrayRef
    };
    let date = Date32Array::from(vec![turnaround::flow::epoch_day(day.date()); rows.len()]);
    let columns: [(&str, ArrayRef); 8] = [
        ("lab_id", texts(|_| "lab-west")),
        ("specimen_id", texts(|row| row.0)),
        ("assay", texts(|_| "K")),
        ("stage", texts(|row| row.1)),
        ("at", times(|row| row.2)),
        ("due_at", times(|row| row.3)),
        ("target_minutes", Arc::new(Float64Array::from(vec![60.0; rows.len()]))),
        ("date", Arc::new(date)),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    let lake = place.path("lake");
    let lake = Lake::open(lake.to_str().expect("text"), []).expect("the lake");
    let table = SafeName::of("deadlines");
    let key = LakeKey::Settled { table, date: day.date(), revision: 0 };
    lake.put(&key, vec![rows], ObjectNotes::default()).await.expect("it is put");
}

#[tokio::test]
async fn a_lake_that_keeps_no_history_says_so() {
    let place = filled(&["completions"]);
    let served = serve(&place);
    let tube = served.json("specimens/lab-north/N-1").await;
    assert_eq!((&tube["history"], &tube["history_source"]), (&json!([]), &Value::Null));
    assert!(tube["detail"].as_str().is_some_and(|text| text.contains("`transitions`")), "{tube}");
    assert_eq!(tube["tests"][0]["completed_at"], "2026-03-02T07:55:00Z");
    assert_eq!(tube["tests"][0]["state"], Value::Null);
    let open = served.json("open").await;
    assert_eq!((&open["tests"], &open["source"]), (&json!([]), &Value::Null));
    assert!(open["detail"].as_str().is_some_and(|text| text.contains("not known")), "{open}");
    // A tube that only events tell of is known.
    assert_eq!(served.ask("specimens/lab-west/W-9", &[]).await.status, 200);
}
