//! A data engineer's own folder, of one YAML and one SQL, run by `--project`: the figures of
//! `data/samples/README.md`, and its cards at a webhook that makes difficulties.

use serde_json::{Value, json};

use crate::binary::{Place, Ran, count, repository};
use crate::catcher::{Catcher, posts, title};
use crate::servers;

/// A place with the project in `project/` and the hand-made sample as `feed.ndjson`.
pub(crate) fn place() -> Place {
    let place = Place::new();
    for name in ["pipelines/verified_tests.yaml", "sql/marts/verified_tests.sql"] {
        let text = std::fs::read(repository().join("tests/cases/own_project").join(name));
        place.write(&format!("project/{name}"), text.expect("the case is there"));
    }
    place.write("feed.ndjson", sample());
    place
}

/// The hand-made sample.
pub(crate) fn sample() -> Vec<u8> {
    std::fs::read(repository().join("data/samples/events.ndjson")).expect("the sample is there")
}

pub(crate) const ONCE: [&str; 9] = [
    "run",
    "--once",
    "--json",
    "--project",
    "project",
    "--source",
    "file:feed.ndjson",
    "--lake",
    "lake",
];

/// By hand: 35 minutes verified at 07:55 and 48 at 08:58; of both the median is 41.5, and nine
/// tenths of the way from 35 to 48 lie 46.7.
#[test]
fn its_figures_are_those_worked_out_by_hand() {
    let place = place();
    place.run(&["check", "--project", "project"]).succeeded();
    let run = place.counters(&ONCE);
    assert_eq!(count(&run, "events_in"), 13);
    assert_eq!(count(&run, "repeated"), 1);
    assert_eq!(count(&run, "dead_letters"), 1);
    assert_eq!(count(&run, "cards"), 2, "a slow hour and a slow day");
    let figures =
        "CAST(window_start AS VARCHAR) AS start, n, p50_minutes, p90_minutes, mean_minutes";
    let hours = format!("SELECT {figures} FROM verified_tests_1h ORDER BY window_start");
    assert_eq!(
        place.query("lake", &hours),
        [
            row("2026-03-02T07:00:00Z", 1, 35.0, 35.0, 35.0),
            row("2026-03-02T08:00:00Z", 1, 48.0, 48.0, 48.0)
        ]
    );
    let day = format!("SELECT {figures} FROM verified_tests_24h");
    assert_eq!(place.query("lake", &day), [row("2026-03-02T00:00:00Z", 2, 41.5, 46.7, 41.5)]);
}

fn row(start: &str, n: u64, p50: f64, p90: f64, mean: f64) -> Value {
    json!({"start": start, "n": n, "p50_minutes": p50, "p90_minutes": p90, "mean_minutes": mean})
}

/// What a webhook that answers so was sent, and what the run said and counted.
fn with_webhook(python: &str, answers: &str) -> (Vec<Value>, Ran) {
    let mut place = place();
    place.write("project/turnaround.yaml", "alerts:\n  max_age: 36500d\n");
    let catcher = Catcher::start(&mut place, python, answers, "/hook/a-secret-path");
    place.set("RUST_LOG", "trace");
    let ran = place.run(&ONCE).succeeded();
    drop(catcher);
    assert!(!ran.err.contains("a-secret-path"), "the URL is a secret: {}", ran.err);
    assert!(!ran.out.contains("a-secret-path"), "the URL is a secret: {}", ran.out);
    assert_secret_is_nowhere(&place);
    (posts(&place), ran)
}

fn assert_secret_is_nowhere(place: &Place) {
    for (name, ..) in place.listing("lake") {
        let bytes = std::fs::read(place.path("lake").join(&name)).expect("it is there");
        let found = bytes.windows(13).any(|window| window == b"a-secret-path");
        assert!(!found, "the URL is a secret: {name}");
    }
}

fn at(post: &Value) -> f64 {
    post["at"].as_f64().expect("a time")
}

#[test]
fn a_card_is_delivered_once_and_in_order() {
    let Some(python) = servers::python("own_project::a_card_is_delivered_once_and_in_order") else {
        return;
    };
    let (posts, ran) = with_webhook(&python, "429:2,500,202");
    let answers: Vec<&str> = posts.iter().filter_map(|post| post["answer"].as_str()).collect();
    assert_eq!(answers, ["429:2", "500", "202", "202"]);
    let titles: Vec<&str> = posts.iter().map(title).collect();
    assert!(titles[0].contains("slow hour"), "{titles:?}");
    assert_eq!(posts[0]["body"], posts[1]["body"], "the same card again");
    assert_eq!(posts[0]["body"], posts[2]["body"], "the same card again");
    assert!(titles[3].contains("slow day"), "the next card waits: {titles:?}");
    assert!(at(&posts[1]) - at(&posts[0]) >= 1.9, "Retry-After was 2 s");
    assert_eq!(count(&ran.counters(), "cards_delivered"), 2);
}

#[test]
fn a_card_that_is_refused_is_told_and_not_tried_again() {
    let Some(python) = servers::python("own_project::a_card_that_is_refused") else { return };
    let (posts, ran) = with_webhook(&python, "400");
    let titles: Vec<&str> = posts.iter().map(title).collect();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert_ne!(titles[0], titles[1]);
    let counters = ran.counters();
    assert_eq!((count(&counters, "cards"), count(&counters, "cards_delivered")), (2, 1));
    assert!(ran.err.contains("400"), "{}", ran.err);
}

#[test]
fn a_webhook_that_says_nothing_is_asked_again() {
    let Some(python) = servers::python("own_project::a_webhook_that_says_nothing") else { return };
    let (posts, ran) = with_webhook(&python, "drop");
    let titles: Vec<&str> = posts.iter().map(title).collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    assert_eq!(titles[0], titles[1]);
    assert_eq!(count(&ran.counters(), "cards_delivered"), 2);
}
