//! Wrong clocks: the inputs of `tests/cases/clock/`, in files and as a topic's records, in batches of
//! every size. One row, or several of one machine, dated ahead make nobody late and change no other
//! window; a laboratory that was really closed goes on. The figures are by hand: test `i` of machine
//! M1 was verified at 08:00 + 5 `i` minutes, after 30 + `i` minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::{Span, Timestamp};
use turnaround::lake::write::parts::Filing;
use turnaround::pipeline;
use turnaround::pipeline::progress::{Progress, Summary};
use turnaround::source::file::FileSource;

use crate::binary::{Place, count, repository};
use crate::timelines::case::{Arrival, instant};
use crate::timelines::found::Found;
use crate::timelines::world::{Log, Setting, World, job};

const PROJECT: &str = "tests/cases/clock/project";

/// After all of the rows.
const AS_OF: &str = "90:00";

const EIGHT: &str = "08:00-09:00 L1 n=12 p50=35.5 p90=39.9";
const NINE: &str = "09:00-10:00 L1 n=12 p50=47.5 p90=51.9";

/// The inputs; for each how many rows it has, what stands in the table, and how many are ahead.
fn cases() -> Vec<(&'static str, u64, Vec<String>, usize)> {
    let with = |more: &[&str]| -> Vec<String> {
        [EIGHT, NINE].iter().chain(more).map(|row| (*row).to_owned()).collect()
    };
    let one = with(&["34:00-35:00 L1 n=1 p50=31 p90=31"]);
    let mut weekend = vec![EIGHT.to_owned(), "71:00-72:00 L1 n=12 p50=40 p90=40".to_owned()];
    weekend
        .extend((9..71).map(|hour| format!("{hour:02}:00-{:02}:00 L1 n=0 p50=- p90=-", hour + 1)));
    weekend.sort();
    vec![
        ("ordered", 24, with(&[]), 0),
        ("one_ahead_first", 25, one.clone(), 1),
        ("one_ahead_middle", 25, one, 1),
        ("machine_ahead", 30, with(&["34:00-35:00 L1 n=6 p50=31 p90=31"]), 6),
        ("closed_weekend", 24, weekend, 0),
    ]
}

/// What must hold of a lake, and the bytes of its results.
fn is_right(name: &str, summary: &Summary, lake: &Path) -> BTreeMap<String, Vec<u8>> {
    let (_, rows, expected, ahead) =
        cases().into_iter().find(|case| case.0 == name).expect("it is one of the cases");
    let counts = summary.counts;
    assert_eq!((counts.records, counts.counted, counts.late), (rows, rows, 0), "{name}");
    assert!(summary.stopped.is_empty(), "{name}");
    let mut found: Vec<String> =
        Found(lake).rows("tat_1h").into_iter().map(|row| row.text).collect();
    found.sort();
    assert_eq!(found, expected, "{name}");
    assert_eq!(Found(lake).quality().len(), ahead, "{name}");
    let mut objects = BTreeMap::new();
    for folder in ["tables", "late", "quality"] {
        objects.extend(Found(lake).objects(folder));
    }
    objects
}

fn case_file(name: &str) -> std::path::PathBuf {
    repository().join(format!("tests/cases/clock/{name}.ndjson"))
}

async fn of_a_file(name: &str, chunk_bytes: usize) -> BTreeMap<String, Vec<u8>> {
    let lake = tempfile::tempdir().expect("a temporary folder can be made");
    let path = case_file(name);
    let path = path.to_str().expect("the path is text");
    let source = FileSource::open(path, instant(AS_OF), chunk_bytes).expect("the case is there");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let filing = Filing { archive: true, record_times: false, once: true };
    let setting = Setting::new(PROJECT, lake.path(), 1, (instant(AS_OF), true));
    let job = job(setting, (clock, Arc::new(Progress::default())), filing).await;
    let run = pipeline::run(job, Box::new(source), std::future::pending::<()>()).await;
    is_right(name, &run.expect("the world is whole"), lake.path())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_files_whatever_the_blocks() {
    for (name, ..) in cases() {
        let whole = of_a_file(name, 1 << 22).await;
        for chunk_bytes in [1, 700] {
            assert!(of_a_file(name, chunk_bytes).await == whole, "{name}: blocks of {chunk_bytes}");
        }
    }
}

/// The records of a case, with what stands on them as their own times.
fn records(name: &str, record_time: fn(Timestamp) -> Timestamp) -> Log {
    let text = std::fs::read_to_string(case_file(name)).expect("the case is there");
    let arrival = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("a JSON object");
        let time = event["processed_at"].as_str().and_then(Timestamp::parse_rfc3339);
        let record_time = record_time(time.expect("it was verified"));
        Arrival { partition: 0, record_time, payload: line.to_owned() }
    };
    BTreeMap::from([(0, text.lines().map(arrival).collect())])
}

async fn of_a_topic(
    name: &str,
    record_time: fn(Timestamp) -> Timestamp,
    batch: usize,
) -> BTreeMap<String, Vec<u8>> {
    let lake = tempfile::tempdir().expect("a temporary folder can be made");
    let world = World::of(PROJECT, lake.path(), 1, (instant(AS_OF), true)).await;
    let summary =
        world.run_to_the_end_by(&records(name, record_time), &BTreeMap::new(), batch).await;
    is_right(name, &summary, lake.path())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_topic_with_true_times_with_todays_and_ahead_whatever_the_batches() {
    let true_times = |time| time;
    let todays = |_| instant(AS_OF);
    let ahead = |time: Timestamp| time.plus(Span::DAY);
    for (name, ..) in cases() {
        let whole = of_a_topic(name, true_times, usize::MAX).await;
        for batch in [1, 5] {
            assert!(of_a_topic(name, true_times, batch).await == whole, "{name}: {batch} at once");
        }
        // Findings and late rows bear no record's time.
        assert!(of_a_topic(name, todays, 7).await == whole, "{name}: filled in");
        assert!(of_a_topic(name, ahead, 7).await == whole, "{name}: a producer ahead");
    }
}

#[test]
fn an_old_row_in_front_fires_no_years_without_rows() {
    let place = Place::new();
    let row = |at: &str, machine: &str| {
        serde_json::json!({
            "lab_id": "L1", "specimen_id": at, "assay": "K", "machine_id": machine,
            "status": "COMPLETED", "received_at": at, "processed_at": at,
        })
    };
    // Alone; and of two machines whose clocks have stopped, which bear each other out.
    let dead = [("1970-01-02T00:00:00Z", "M1"), ("1970-01-02T00:01:00Z", "M2")];
    for stopped in [&dead[..1], &dead] {
        let mut lines: Vec<String> =
            stopped.iter().map(|(at, machine)| row(at, machine).to_string()).collect();
        let steady = (0..20).map(|n| row(&format!("2026-03-02T{:02}:30:00Z", n), "M1").to_string());
        lines.extend(steady);
        place.write("events.ndjson", lines.join("\n"));
        let lake = format!("lake-{}", stopped.len());
        let project = repository().join(PROJECT);
        let run = place.counters(&[
            "run",
            "--once",
            "--json",
            "--source",
            "file:events.ndjson",
            "--lake",
            &lake,
            "--project",
            project.to_str().expect("the path is text"),
        ]);
        assert_eq!(count(&run, "counted"), lines.len() as u64);
        let empty = place.value(&lake, "SELECT count(*) FROM tat_1h WHERE n = 0");
        // A month at most, where 1970 was borne out.
        let most = if stopped.len() == 1 { 0 } else { 31 * 24 };
        assert!(empty.as_i64().is_some_and(|empty| empty <= most), "{empty} of {most}");
        let of_2026 = "SELECT count(*) FROM tat_1h WHERE n = 1 AND window_start > '2026-03-01'";
        assert_eq!(place.value(&lake, of_2026), 20);
    }
}
