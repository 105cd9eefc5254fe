//! The API over a lake that the binary filled: its figures beside DuckDB's of the same Parquet, and what
//! a caller gets who asks for something that is not there.

use std::time::Duration;

use reqwest::header::IF_NONE_MATCH;
use serde_json::{Value, json};

use crate::binary::{Place, repository, wait_for};
use crate::served::{Got, Served};
use crate::{servers, stream};

/// A lake of the generator's demo profile, with its faults and two events that come too late.
pub(crate) fn filled(days: &str) -> Place {
    let place = Place::new();
    let out = ["--out", "file:feed.ndjson"];
    place.run(&[&["generate", "--profile", "demo", "--days", days], &out[..]].concat()).succeeded();
    let late = |id: &str, time: &str| {
        let event = json!({
            "event_id": id, "event_type": "specimen.transition", "to_state": "RECEIVED",
            "lab_id": "lab-north", "specimen_id": id, "assay": "K", "event_time": time,
        });
        format!("{event}\n")
    };
    let late = late("L-1", "2026-03-01T00:30:00Z") + &late("L-2", "2026-02-28T23:30:00Z");
    let feed = std::fs::read(place.path("feed.ndjson")).expect("it was generated");
    place.write("feed.ndjson", [feed, late.into_bytes()].concat());
    place.run(&["run", "--once", "--source", "file:feed.ndjson", "--lake", "lake"]).succeeded();
    place
}

/// The lake of the sample.
fn sampled() -> Place {
    let place = Place::new();
    let sample = repository().join("data/samples/events.ndjson");
    place.write("events.ndjson", std::fs::read(sample).expect("the sample is there"));
    place.run(&["run", "--once", "--source", "file:events.ndjson", "--lake", "lake"]).succeeded();
    place
}

#[test]
fn every_routes_figures_are_those_of_another_engine() {
    let Some(python) = servers::python("api::every_routes_figures_are_those_of_another_engine")
    else {
        return;
    };
    let place = filled("1.1");
    let served = Served::start(&place, &["--lake", "lake"]);
    let told = place.python(&python, "tests/oracle/api.py", &["lake", &served.url]);
    let figures = told.trim().strip_suffix(" figures, the same").and_then(|n| n.parse().ok());
    assert!(figures.is_some_and(|figures: u32| figures > 90), "{told}");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_what_is_allowed() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    let rows = |query: &str| format!("tables/throughput_1h/rows?{query}");
    let cases = [
        ("tables/througput_1h".to_owned(), 404, "unknown-table", Some("name")),
        ("tables/througput_1h/rows".to_owned(), 404, "unknown-table", Some("name")),
        (rows("columns=lab_id,nn"), 400, "unknown-column", Some("columns")),
        (rows("lab=lab-nowhere"), 400, "unknown-lab", Some("lab")),
        (rows("from=2026-03-02&to=2026-03-01"), 400, "wrong-period", Some("to")),
        (rows("from=yesterday"), 400, "wrong-value", Some("from")),
        (rows("limit=100001"), 400, "wrong-value", Some("limit")),
        (rows("limit=0"), 400, "wrong-value", Some("limit")),
        (rows("limit=-1"), 400, "wrong-value", Some("limit")),
        (rows("cursor=yesterday"), 400, "wrong-cursor", Some("cursor")),
        (rows("labs=a"), 400, "unknown-parameter", Some("labs")),
        (rows("lab="), 400, "wrong-value", Some("lab")),
        ("tables/dead_letters/rows?lab=a".to_owned(), 400, "unknown-column", Some("lab")),
        ("metrics/throughput?grain=week".to_owned(), 400, "wrong-value", Some("grain")),
        ("metrics/tat?lab=lab-nowhere".to_owned(), 400, "unknown-lab", Some("lab")),
        ("metrics/errors?assay=K".to_owned(), 400, "unknown-parameter", Some("assay")),
        ("metrics/latency".to_owned(), 404, "unknown-route", None),
        ("health?x=1".to_owned(), 400, "unknown-parameter", Some("x")),
    ];
    for (route, status, kind, parameter) in cases {
        let got = served.ask(&route, &[]).await;
        assert_eq!(got.header("content-type"), Some("application/problem+json"), "{route}");
        let problem = got.json();
        assert_eq!(got.status, status, "{route}: {problem}");
        assert_eq!(problem["status"], status, "{route}");
        assert_eq!(problem["type"], format!("urn:turnaround:{kind}"), "{route}");
        assert_eq!(problem["parameter"].as_str(), parameter, "{route}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.len() > 15), "{route}");
    }
    let unknown = served.ask("tables/througput_1h", &[]).await.json();
    assert!(
        unknown["allowed"].as_array().is_some_and(|names| names.contains(&json!("throughput_1h")))
    );
    let accept = served.ask(&rows(""), &[("accept", "image/png")]).await;
    assert_eq!((accept.status, accept.json()["parameter"].clone()), (406, json!("Accept")));
    let posted = reqwest::Client::new().post(format!("{}/tables", served.url)).send().await;
    assert_eq!(posted.expect("the server answers").status().as_u16(), 405);
}

/// The project does not list it.
#[tokio::test]
async fn a_laboratory_that_has_rows_is_known() {
    let place = Place::new();
    let event = json!({
        "lab_id": "lab-own", "specimen_id": "S-1", "assay": "K", "status": "COMPLETED",
        "received_at": "2026-03-02T07:20:00Z", "processed_at": "2026-03-02T07:55:00Z",
    });
    place.write("events.ndjson", format!("{event}\n"));
    place.run(&["run", "--once", "--source", "file:events.ndjson", "--lake", "lake"]).succeeded();
    let served = Served::start(&place, &["--lake", "lake"]);
    for (lab, count) in [("lab-own", 1), ("lab-own", 1), ("lab-north", 0)] {
        let found = served.json(&format!("tables/completions/rows?lab={lab}")).await;
        assert_eq!(found["count"], count, "{lab}");
        let tat = served.json(&format!("metrics/tat?lab={lab}")).await;
        // 7:20 to 7:55.
        let minutes = (count > 0).then_some(35.0);
        assert_eq!((tat["p50"].as_f64(), tat["p95"].as_f64()), (minutes, None), "{lab}");
    }
    assert_eq!(served.ask("tables/completions/rows?lab=lab-nowhere", &[]).await.status, 400);
}

#[tokio::test]
async fn a_cursor_fits_its_own_question_alone() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    let whole = served.json("tables/events/rows").await;
    let count = whole["count"].as_u64().expect("a count");
    assert!(count > 3 && whole["next"].is_null(), "{count}");
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = served.json(&format!("tables/events/rows?limit=2{cursor}")).await;
        rows.extend(page["rows"].as_array().expect("rows").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(Value::Array(rows), whole["rows"]);
    for other in ["tables/late/rows?limit=2", "tables/events/rows?from=2020-01-01"] {
        let got = served.ask(&format!("{other}{cursor}"), &[]).await;
        assert_eq!(
            (got.status, got.json()["parameter"].clone()),
            (400, json!("cursor")),
            "{other}"
        );
    }
    let csv = served.ask("tables/events/rows?limit=2", &[("accept", "text/csv")]).await;
    let link = csv.header("link").expect("there is a next page").to_owned();
    assert!(link.starts_with("</api/v1/tables/events/rows?limit=2&cursor="), "{link}");
    assert!(link.ends_with(">; rel=\"next\""), "{link}");
}

#[tokio::test]
async fn the_same_objects_are_the_same_answer() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    for route in ["tables/throughput_1h/rows", "metrics/tat", "tables", "tables/alerts"] {
        let first = served.ask(route, &[]).await;
        let tag = first.header("etag").unwrap_or_else(|| panic!("{route} has no tag")).to_owned();
        let again = served.ask(route, &[(IF_NONE_MATCH.as_str(), &tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{route}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{route}");
        let other = served.ask(route, &[(IF_NONE_MATCH.as_str(), "\"other\"")]).await;
        assert_eq!((other.status, &other.body), (200, &first.body), "{route}");
    }
    // Another form is another answer.
    let tag = |got: &Got| got.header("etag").map(str::to_owned);
    let json = served.ask("tables/throughput_1h/rows", &[]).await;
    let csv = served.ask("tables/throughput_1h/rows", &[("accept", "text/csv")]).await;
    assert_ne!(tag(&json), tag(&csv));
    assert!(served.ask("status", &[]).await.header("etag").is_none());
}

#[tokio::test]
async fn an_empty_lake_gives_empty_answers_and_what_comes_is_seen() {
    let place = Place::new();
    std::fs::create_dir(place.path("lake")).expect("a folder can be made");
    let served = Served::start(&place, &["--lake", "lake"]);
    let rows = served.json("tables/completions/rows").await;
    assert_eq!(
        (&rows["count"], &rows["rows"], &rows["next"]),
        (&json!(0), &json!([]), &Value::Null)
    );
    let tat = served.json("metrics/tat?assay=K").await;
    assert_eq!((&tat["p50"], &tat["total_specimens"]), (&Value::Null, &json!(0)));
    assert_eq!(tat["assay"], "K");
    assert_eq!(served.json("metrics/throughput").await, json!({ "data": [], "grain": "hour" }));
    let errors = served.json("metrics/errors").await;
    assert_eq!((&errors["overall_error_rate"], &errors["by_machine"]), (&Value::Null, &json!([])));
    assert_eq!(served.json("metrics/sla").await["breach_rate"], Value::Null);
    assert_eq!(served.json("dead-letters").await["count"], 0);
    let status = served.json("status").await;
    assert_eq!((&status["age_seconds"], &status["watermark"]), (&Value::Null, &Value::Null));
    let detail = served.json("tables/completions").await;
    assert_eq!((&detail["objects"], &detail["time"]), (&json!(0), &json!("completed_at")));
    let minutes = detail["columns"].as_array().expect("columns");
    let minutes = minutes.iter().find(|column| column["name"] == "tat_minutes");
    assert_eq!(minutes.expect("it is there")["unit"], "min");
    let csv = served.ask("tables/throughput_day/rows", &[("accept", "text/csv")]).await;
    assert!(csv.text().starts_with("window_start,window_end,local_start,"), "{}", csv.text());
    assert_eq!(csv.text().lines().count(), 1);

    let sample = repository().join("data/samples/events.ndjson");
    place.write("events.ndjson", std::fs::read(sample).expect("the sample is there"));
    place.run(&["run", "--once", "--source", "file:events.ndjson", "--lake", "lake"]).succeeded();
    let expected = place.value("lake", "SELECT count(*) AS n FROM completions");
    for _ in 0..100 {
        if served.json("tables/completions/rows").await["count"] == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what was put is not seen");
}

#[tokio::test]
async fn a_lake_that_is_away_is_told_of_until_it_is_back() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    assert_eq!(served.json("health").await["status"], "ok");
    let away = place.path("elsewhere");
    std::fs::rename(place.path("lake"), &away).expect("it can be moved");
    let mut got = served.ask("health", &[]).await;
    for _ in 0..100 {
        if got.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        got = served.ask("health", &[]).await;
    }
    let problem = got.json();
    assert_eq!((got.status, &problem["type"]), (503, &json!("urn:turnaround:lake-away")));
    assert_eq!(got.header("retry-after"), Some("10"));
    let since = problem["since"].as_str().expect("it says since when");
    assert!(since.starts_with("20") && since.ends_with('Z'), "{since}");
    assert_eq!(served.ask("metrics/tat", &[]).await.status, 503);
    std::fs::rename(away, place.path("lake")).expect("it can be moved back");
    for _ in 0..100 {
        if served.ask("health", &[]).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is still away");
}

#[test]
fn what_others_can_reach_is_refused() {
    let place = sampled();
    let serve = |arguments: &[&str]| place.run(&[&["serve", "--lake", "lake"], arguments].concat());
    serve(&["--listen", "0.0.0.0:0"]).failed(2, &["can be reached from other machines", "proxy"]);
    serve(&["--listen", "here"]).failed(2, &["is no address with a port: `here`"]);
    serve(&["--refresh", "10ms"]).failed(2, &["--refresh is 10ms; write 1s or more"]);
    place.run(&["serve", "--lake", "nowhere"]).failed(2, &["does not exist"]);
}

#[test]
fn it_ends_when_it_is_asked_to() {
    let place = sampled();
    let mut served = Served::start(&place, &["--lake", "lake"]);
    stream::signal(&place, served.child.id(), "-TERM");
    let ended = wait_for("end", Duration::from_secs(30), || {
        served.child.try_wait().expect("it is our child")
    });
    assert_eq!(ended.code(), Some(0));
}

/// Every `$ref` of the description leads somewhere, and every path of it is a route.
#[tokio::test]
async fn the_description_is_of_the_routes_that_there_are() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    let document = served.json("openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 16);
    // The stream does not end by itself; SQL is off.
    let asked = paths.iter().filter(|(_, told)| told.get("get").is_some());
    let asked = asked.filter(|(path, _)| !path.ends_with("/stream") && !path.ends_with("/query"));
    for (path, _) in asked {
        let route = path.strip_prefix("/api/v1/").expect("below the base");
        let route = route.replace("{name}", "completions");
        let route = route.replace("{lab}", "lab-north").replace("{id}", "N-1");
        let got = served.ask(&route, &[]).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// The calls of the starter kit's own client, and the fields that it reads.
#[tokio::test]
async fn the_starter_kits_fields_are_there() {
    let place = sampled();
    let served = Served::start(&place, &["--lake", "lake"]);
    let fields: [(&str, &[&str]); 5] = [
        ("health", &["status", "timestamp"]),
        ("metrics/tat", &["p50", "p90", "p99", "assay", "total_specimens"]),
        ("metrics/throughput?grain=day", &["data", "grain"]),
        (
            "metrics/errors",
            &[
                "by_machine",
                "by_error_code",
                "total_errors",
                "total_specimens",
                "overall_error_rate",
            ],
        ),
        ("metrics/sla", &["breach_count", "total_completed", "breach_rate", "sample_breaches"]),
    ];
    for (route, fields) in fields {
        let answer = served.json(route).await;
        for field in fields {
            assert!(answer.get(field).is_some(), "{route} lacks `{field}`: {answer}");
        }
    }
    let root = served.url.trim_end_matches("/api/v1");
    let health = reqwest::get(format!("{root}/health")).await.expect("the server answers");
    assert_eq!(health.status().as_u16(), 200);
}
