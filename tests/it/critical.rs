//! Critical results: through the binary from a feed in which much is late, against another computation;
//! and the card for those that are overdue.

use serde_json::{Value, json};

use crate::binary::{Place, count, repository};
use crate::servers;

/// By assay and class, counted from the result or from the flag; some have no deadline.
const TARGETS: &str = "lab_id,assay,patient_class,minutes,from,valid_from
,,,20,flagged,
,K,,12.5,resulted,
,,GP,60,flagged,
,NA,,0,flagged,
,CREA,,10,flagged,2026-03-02T00:00:00Z
";

/// Half of the laboratories call before they flag, one record in twenty is late by up to an hour.
#[test]
fn of_a_late_feed_equal_another_computation() {
    let test = "critical::of_a_late_feed_equal_another_computation";
    let Some(python) = servers::python(test) else { return };
    let place = Place::new();
    let generate = ["generate", "--profile", "network", "--labs", "6", "--days", "2"];
    let faults = ["--faults", "late=5%,repeated=1%", "--out", "file:feed.ndjson"];
    place.run(&[&generate[..], &faults].concat()).succeeded();
    for name in ["critical_results", "critical_deadlines"] {
        for file in [format!("pipelines/{name}.yaml"), format!("sql/marts/{name}.sql")] {
            let text = std::fs::read(repository().join(&file)).expect("it is shipped");
            place.write(&format!("project/{file}"), text);
        }
    }
    place.write("project/data/reference/critical_targets.csv", TARGETS);
    place.write("project/data/reference/labs.csv", "lab_id,name,tz\nlab-0001,One,UTC\n");
    place.write("project/turnaround.yaml", "time:\n  max_disorder: 1m\n");
    let once = ["run", "--once", "--json", "--no-archive", "--project", "project"];
    let run =
        place.counters(&[&once[..], &["--source", "file:feed.ndjson", "--lake", "lake"]].concat());
    assert!(count(&run, "repeated") > 100, "{run}");
    let tables = ["--tables", "critical_results,critical_deadlines"];
    let arguments = ["--reference", "project/data/reference", "--out", "expected", "feed.ndjson"];
    place.python(&python, "tests/oracle/oracle.py", &[&tables[..], &arguments].concat());
    let told = place.python(&python, "tests/oracle/compare.py", &["expected", "lake/tables"]);
    assert_eq!(told.matches(" columns, the same").count(), 2, "{told}");
    let outcomes = "SELECT outcome, count(*) AS n FROM critical_results GROUP BY outcome";
    let outcomes: Vec<String> =
        place.query("lake", outcomes).iter().map(Value::to_string).collect();
    for outcome in ["handled", "overdue", "handled_late", "overturned"] {
        assert!(outcomes.iter().any(|row| row.contains(outcome)), "{outcome}: {outcomes:?}");
    }
}

/// The case by hand as a feed: three are overdue, of which one was in time, as a late record tells, and one
/// is answered 48 minutes after its flag.
#[test]
fn what_is_overdue_has_a_card_that_ends_with_the_answer() {
    let place = Place::new();
    let case = repository().join("tests/cases/critical/late_repeated_and_refused.json");
    let case = std::fs::read_to_string(case).expect("the case is there");
    let case: Value = serde_json::from_str(&case).expect("it is JSON");
    let line = |event: &Value| {
        let mut event = event.as_object().expect("an object").clone();
        let at = event["at"].as_i64().expect("microseconds");
        // Two machines bear out each other's times.
        let machine = format!("M{}", event["offset"].as_i64().expect("an offset") % 2);
        event.insert("machine_id".to_owned(), json!(machine));
        for name in ["at", "offset", "watermark_before"] {
            event.remove(name);
        }
        let at = turnaround::flow::Timestamp(at).to_rfc3339();
        event.insert("event_time".to_owned(), json!(at));
        format!("{}\n", Value::Object(event))
    };
    let feed: String = case["events"].as_array().expect("a list").iter().map(line).collect();
    place.write("feed.ndjson", feed);
    let once = ["run", "--once", "--json", "--as-of", "2026-03-10T00:00:00Z"];
    // What comes 22 minutes after all others is no leap.
    place.write("time.yaml", "time:\n  max_leap: 1h\n");
    let source = ["--source", "file:feed.ndjson", "--lake", "lake", "--config", "time.yaml"];
    let only = ["--pipelines", "critical_results"];
    let run = place.counters(&[&once[..], &source, &only].concat());
    assert_eq!((count(&run, "refused"), count(&run, "dead_letters")), (1, 0), "{run}");
    let rows = "SELECT critical_id, outcome, minutes_to_acknowledge AS m, handled_within AS w \
                FROM critical_results ORDER BY critical_id, outcome DESC";
    let row = |id: &str, outcome: &str, m: Option<f64>, w: Option<bool>| json!({"critical_id": id, "outcome": outcome, "m": m, "w": w});
    let expected = [
        row("C1", "handled", Some(20.0), Some(true)),
        row("C2", "handled", None, Some(true)),
        row("C3", "overturned", Some(25.0), Some(true)),
        row("C3", "overdue", None, Some(false)),
        row("C4", "overdue", None, Some(false)),
        row("C4", "handled_late", Some(48.0), Some(false)),
        row("C5", "exempt", None, None),
        row("C6", "handled", Some(12.0), Some(true)),
        row("C7", "overdue", None, Some(false)),
    ];
    assert_eq!(place.query("lake", rows), expected);
    let told = "SELECT kind, \"group\" AS g, CAST(window_start AS VARCHAR) AS at FROM alerts \
                WHERE rule = 'critical_result_overdue' ORDER BY at, kind, g";
    let card = |kind: &str, number: u8, at: &str| {
        let group = format!("specimen_id=S{number}, assay=K, critical_id=C{number}");
        json!({"kind": kind, "g": group, "at": format!("2026-03-01T{at}:00Z")})
    };
    // The watermark stood at 08:51, a minute behind a call, when a record told of C3's answer of 08:35.
    let expected = [
        card("begin", 3, "08:40"),
        card("begin", 4, "08:42"),
        card("end", 3, "08:51"),
        card("begin", 7, "09:00"),
        card("end", 4, "09:00"),
    ];
    assert_eq!(place.query("lake", told), expected);
}
