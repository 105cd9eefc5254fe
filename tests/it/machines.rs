//! Machines beside the test's: a courier's box that a project declares for itself, by hand; the shipped
//! machine of instruments, against a computation in Python. The rows are the same however batches are
//! cut, partitions interleave and end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use turnaround::cli::launch::{self, Request};
use turnaround::config::Flags;
use turnaround::flow::{Framing, Partition, RawBatch, Timestamp};
use turnaround::source::{Source, SourceError, SourceEvent};

use crate::binary::{Place, count, repository};
use crate::servers;

/// After the last timer of a box.
const AS_OF: &str = "2026-03-06T00:00:00Z";

/// A place with the project of the courier's box in `project/`, and its events as `feed.ndjson`.
fn boxes() -> Place {
    let place = Place::new();
    let case = repository().join("tests/cases/courier_box");
    for name in [
        "pipelines/lifecycles/courier_box.yaml",
        "pipelines/box_moves.yaml",
        "pipelines/box_refusals.yaml",
        "pipelines/boxes.yaml",
        "sql/marts/box_moves.sql",
        "sql/marts/box_refusals.sql",
        "sql/marts/boxes.sql",
        "data/reference/labs.csv",
    ] {
        let text = std::fs::read(case.join(name)).expect("the case is there");
        place.write(&format!("project/{name}"), text);
    }
    place.write("feed.ndjson", std::fs::read(case.join("events.ndjson")).expect("a feed"));
    place
}

fn once(place: &Place) -> Value {
    let once = ["run", "--once", "--json", "--as-of", AS_OF, "--project", "project"];
    place.counters(&[&once[..], &["--source", "file:feed.ndjson", "--lake", "lake"]].concat())
}

/// Box, version, event, states, seconds and who did it, in the order of time.
fn moves(place: &Place, lake: &str, lab: &str) -> Vec<String> {
    let sql = format!(
        "SELECT box, version, CAST(at AS VARCHAR) AS at, event, from_state, to_state, \
         seconds_in_state, \"user\" FROM box_moves WHERE lab_id = '{lab}' ORDER BY box, version"
    );
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns =
        ["box", "version", "at", "event", "from_state", "to_state", "seconds_in_state", "user"];
    let row = |row: &Value| columns.map(|name| text(&row[name])).join(" ");
    place.query(lake, &sql).iter().map(row).collect()
}

/// Eight in the evening in Berlin is 19:00Z in winter; a box that is nowhere for two days is lost.
const NORTH: [&str; 12] = [
    "B1 1 2026-03-02T08:00:00Z load - LOADED - ana",
    "B1 2 2026-03-02T09:00:00Z ship LOADED SHIPPED 3600.0 ana",
    "B1 3 2026-03-02T10:00:00Z return SHIPPED LOADED 3600.0 ana",
    "B1 4 2026-03-02T10:20:00Z ship LOADED SHIPPED 1200.0 cem",
    "B1 5 2026-03-02T11:00:00Z deliver SHIPPED DELIVERED 2400.0 cem",
    "B2 1 2026-03-02T12:00:00Z load - LOADED - ana",
    "B2 2 2026-03-02T19:00:00Z night_falls LOADED STORED 25200.0 -",
    "B2 3 2026-03-03T07:00:00Z leave STORED SHIPPED 43200.0 ana",
    "B2 4 2026-03-05T07:00:00Z give_up SHIPPED LOST 172800.0 -",
    "B4 1 2026-03-02T07:00:00Z load - LOADED - ana",
    "B4 2 2026-03-02T07:10:00Z ship LOADED SHIPPED 600.0 ana",
    "B4 3 2026-03-04T07:10:00Z give_up SHIPPED LOST 172800.0 -",
];

const WEST: [&str; 6] = [
    "W1 1 2026-03-02T07:00:00Z load - LOADED - bob",
    "W1 2 2026-03-02T07:12:00Z ship LOADED SHIPPED 720.0 -",
    "W1 3 2026-03-04T07:12:00Z give_up SHIPPED LOST 172800.0 -",
    "W2 1 2026-03-02T12:00:00Z load - LOADED - bob",
    "W2 2 2026-03-02T20:00:00Z night_falls LOADED STORED 28800.0 -",
    "W2 3 2026-03-04T20:00:00Z give_up STORED LOST 172800.0 -",
];

/// The return of 09:30 tells of no place, B3 was never loaded. The delivery of 07:05 came when the
/// watermark stood at 07:11, a minute behind 07:12, and the box had been shipped at 07:10.
fn refusals() -> [Value; 3] {
    let row = |at: &str, reason: &str, state: Option<&str>, word: &str, allowed: &str| {
        json!({
            "lab_id": "lab-north", "specimen_id": null, "reason": reason, "state": state,
            "word": word, "allowed": allowed, "noticed_at": at,
        })
    };
    let (shipped, next) = (Some("SHIPPED"), "DELIVERED,return");
    [
        row("2026-03-02T07:11:00Z", "overtaken", shipped, "DELIVERED", next),
        row("2026-03-02T09:30:00Z", "not_allowed", shipped, "return", next),
        row("2026-03-02T13:00:00Z", "not_allowed", None, "SHIPPED", "LOADED"),
    ]
}

fn assert_rows(place: &Place, lake: &str) {
    assert_eq!(moves(place, lake, "lab-north"), NORTH);
    assert_eq!(moves(place, lake, "lab-west"), WEST);
    let columns = "lab_id, specimen_id, reason, state, word, allowed";
    let sql = format!(
        "SELECT {columns}, CAST(noticed_at AS VARCHAR) AS noticed_at FROM box_refusals \
         ORDER BY noticed_at"
    );
    assert_eq!(place.query(lake, &sql), refusals());
}

#[test]
fn a_machine_of_ones_own_gives_a_relation_of_its_own() {
    let place = boxes();
    place.run(&["check", "--project", "project"]).succeeded();
    let run = once(&place);
    assert_eq!((count(&run, "events_in"), count(&run, "dead_letters")), (16, 0), "{run}");
    // Of 16 events one told of what was known, and three were refused.
    let counted = (count(&run, "counted"), count(&run, "other"), count(&run, "refused"));
    assert_eq!(counted, (12, 1, 3), "{run}");
    assert_rows(&place, "lake");
    let days = "SELECT lab_id, CAST(window_start AS VARCHAR) AS day, event, n FROM boxes_day \
                ORDER BY lab_id, day, event";
    let row = |lab: &str, day: &str, event: &str, n: u64| json!({"lab_id": lab, "day": format!("2026-03-{day}T00:00:00Z"), "event": event, "n": n});
    let expected = [
        row("lab-north", "02", "deliver", 1),
        row("lab-north", "02", "load", 3),
        row("lab-north", "02", "night_falls", 1),
        row("lab-north", "02", "return", 1),
        row("lab-north", "02", "ship", 3),
        row("lab-north", "03", "leave", 1),
        row("lab-north", "04", "give_up", 1),
        row("lab-north", "05", "give_up", 1),
        row("lab-west", "02", "load", 2),
        row("lab-west", "02", "night_falls", 1),
        row("lab-west", "02", "ship", 1),
        row("lab-west", "04", "give_up", 2),
    ];
    assert_eq!(place.query("lake", days), expected);
}

#[test]
fn its_relation_is_listed_and_its_name_must_be_free() {
    let place = boxes();
    let listed = place.run(&["relations", "--project", "project", "--json"]).succeeded();
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let all = listed["relations"].as_array().expect("a list").iter();
    let of = |name: &str| all.clone().find(|one| one["name"] == name).expect("it is listed");
    let names = |relation: &Value| {
        let columns = relation["columns"].as_array().expect("a list").iter();
        columns.map(|column| column["name"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let told = ["from_state", "to_state", "event", "seconds_in_state", "version", "user"];
    let expected = [&["lab_id", "reason"][..], &told, &["at", "holder"]].concat();
    assert_eq!(names(of("courier_box")), expected);
    let expected = [&["lab_id", "machine_id"][..], &told, &["reason", "at", "holder"]].concat();
    assert_eq!(names(of("instrument")), expected);
    assert_eq!(of("center")["event_time"], "at");
    let machine = place.read("project/pipelines/lifecycles/courier_box.yaml");
    place.write("project/pipelines/lifecycles/due.yaml", machine);
    let remedy = ["due.yaml", "there is a relation `due` already", "give the file another name"];
    place.run(&["check", "--project", "project"]).failed(2, &remedy);
}

/// A source that says what it was told to.
struct Told(VecDeque<SourceEvent>, Vec<Arc<Partition>>);

#[async_trait::async_trait]
impl Source for Told {
    fn partitions(&self) -> &[Arc<Partition>] {
        &self.1
    }

    async fn next(&mut self) -> Result<SourceEvent, SourceError> {
        Ok(self.0.pop_front().unwrap_or(SourceEvent::End))
    }
}

/// What comes: lines of a partition as one batch, or its end.
pub(crate) enum Part {
    Lines(i32, Vec<String>),
    Ended(i32),
}

/// Runs the library over what comes, and gives the objects of the tables by name.
pub(crate) fn play(place: &Place, lake: &str, parts: Vec<Part>) -> BTreeMap<String, Vec<u8>> {
    let index = |part: &Part| match part {
        Part::Lines(index, _) | Part::Ended(index) => *index,
    };
    let last = parts.iter().map(index).max().unwrap_or_default();
    let partition = |index| Arc::new(Partition { topic: "feed".into(), index });
    let partitions: Vec<Arc<Partition>> = (0..=last).map(partition).collect();
    let now = Timestamp::parse_rfc3339(AS_OF).expect("an instant");
    let mut offsets = vec![0; partitions.len()];
    let told = parts.into_iter().map(|part| {
        let index = index(&part) as usize;
        let partition = Arc::clone(&partitions[index]);
        let Part::Lines(_, lines) = part else { return SourceEvent::Ended(partition) };
        let first_offset = offsets[index];
        offsets[index] += lines.len() as i64;
        let bytes = Bytes::from(lines.concat());
        let framing = Framing::Lines { first_offset, record_time: now };
        SourceEvent::Batch(RawBatch { partition, bytes, framing })
    });
    let source = Told(told.collect(), partitions.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let flags = Flags {
        source: Some(format!("file:{}", place.path("feed.ndjson").display())),
        lake: Some(place.path(lake).display().to_string()),
        ..Flags::default()
    };
    let request =
        Request { flags, once: true, as_of: Some(now), dry_run: true, ..Request::default() };
    let project = place.path("project");
    let loaded = launch::load(Some(&project), None, &request.flags).expect("the project loads");
    let summary = runtime.expect("a runtime starts").block_on(async {
        let plan = launch::plan(&loaded, &request).await.expect("the project is planned");
        let lake = launch::open_lake(&loaded, &loaded.settings.lake).expect("the lake opens");
        let job = launch::job(&loaded, &request, plan, lake, Arc::default()).expect("a job");
        let never = std::future::pending();
        turnaround::pipeline::run(job, Box::new(source), never).await.expect("the run ends")
    });
    assert_eq!(summary.stopped, BTreeMap::new());
    let root = format!("{lake}/tables");
    let objects = place.listing(&root).into_iter().map(|(name, ..)| {
        let bytes = std::fs::read(place.path(&root).join(&name)).expect("it is there");
        (name, bytes)
    });
    objects.collect()
}

/// The lines of the feed that are, or are not, of a box.
fn lines(place: &Place, boxes: &[&str], are: bool) -> Vec<String> {
    let feed = place.read("feed.ndjson");
    let is_of = |line: &str| boxes.iter().any(|name| line.contains(&format!("\"{name}\"")));
    feed.split_inclusive('\n').filter(|line| is_of(line) == are).map(str::to_owned).collect()
}

#[test]
fn its_rows_are_the_same_record_by_record() {
    let place = boxes();
    let all = lines(&place, &[], false);
    let whole = play(&place, "whole", vec![Part::Lines(0, all.clone())]);
    let single = all.into_iter().map(|line| Part::Lines(0, vec![line])).collect();
    assert!(!whole.is_empty());
    assert_eq!(play(&place, "single", single), whole);
    assert_rows(&place, "single");
}

#[test]
fn its_rows_are_the_same_from_partitions_that_end_at_different_times() {
    let place = boxes();
    let two = ["B2", "W2"];
    let (first, second) = (lines(&place, &two, false), lines(&place, &two, true));
    let parts = vec![
        Part::Lines(0, first.clone()),
        Part::Ended(0),
        Part::Lines(1, second.clone()),
        Part::Ended(1),
    ];
    let one_after_the_other = play(&place, "after", parts);
    assert_rows(&place, "after");
    // The second ends in between, with timers of its boxes still to come.
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = second.into_iter();
    for line in first {
        parts.push(Part::Lines(0, vec![line]));
        match rest.next() {
            Some(line) => parts.push(Part::Lines(1, vec![line])),
            None if parts.iter().all(|part| !matches!(part, Part::Ended(_))) => {
                parts.push(Part::Ended(1));
            }
            None => {}
        }
    }
    parts.push(Part::Ended(0));
    let interleaved = play(&place, "interleaved", parts);
    assert_rows(&place, "interleaved");
    assert_eq!(interleaved, one_after_the_other);
}

/// Heartbeats that the generator's instruments do not keep, so that some fall silent.
const INSTRUMENTS: &str = "lab_id,machine_id,heartbeat_s,calendar
lab-north,CH1,3600,
lab-north,HE1,1800,
lab-west,CH1,7200,
lab-west,CO1,60,
";

#[test]
fn instruments_of_the_generators_feed_move_as_in_another_computation() {
    let test = "machines::instruments_of_the_generators_feed_move_as_in_another_computation";
    let Some(python) = servers::python(test) else { return };
    let place = Place::new();
    let generate = ["generate", "--profile", "demo", "--days", "3", "--faults", "late=2%"];
    place.run(&[&generate[..], &["--out", "file:feed.ndjson"]].concat()).succeeded();
    place.write("project/data/reference/instruments.csv", INSTRUMENTS);
    place.write(
        "project/pipelines/moves.yaml",
        "description: Instruments.\nwindows:\n  none: {}\ngrain: [lab_id, machine_id, version]\n",
    );
    let columns =
        "lab_id, machine_id, version, event, from_state, to_state, seconds_in_state, reason";
    let sql = format!("-- Moves.\nSELECT {columns}, at FROM instrument\n");
    place.write("project/sql/marts/moves.sql", sql);
    let as_of = "2026-04-01T00:00:00Z";
    let once = ["run", "--once", "--json", "--as-of", as_of, "--project", "project"];
    let of = ["--source", "file:feed.ndjson", "--lake", "lake"];
    place.counters(&[&once[..], &of].concat());
    let files = ["feed.ndjson", "project/data/reference/instruments.csv", as_of];
    let told = place.python(&python, "tests/oracle/instruments.py", &files);
    let expected: Vec<Value> = serde_json::from_str(&told).expect("an array");
    let sql = format!(
        "SELECT {columns}, CAST(at AS VARCHAR) AS at FROM moves ORDER BY lab_id, machine_id, version"
    );
    let rows = place.query("lake", &sql);
    let timed = |name: &str| expected.iter().filter(|row| row["event"] == name).count();
    assert!(timed("fall_silent") > 0 && timed("pause_long") > 0 && rows.len() > 50, "{told}");
    assert_eq!(rows, expected);
}
