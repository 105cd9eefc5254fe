//! The corpus: what the binary makes of a stream, window by window, is what DuckDB makes of the same
//! rows with the same SQL; and neither the way of computing, nor the division into batches, nor the
//! number of threads changes a byte of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use turnaround::cli::launch::{self, Request};
use turnaround::config::Flags;
use turnaround::flow::Timestamp;
use turnaround::plan::planned::Plan;
use turnaround::source::file::{CHUNK_BYTES, FileSource};
use turnaround::sql::plan::query::{Query, Way};

use crate::binary::{Place, count, repository, tables};
use crate::servers;

/// After the last event of the corpus' feed.
const AS_OF: &str = "2025-11-06T00:00:00Z";
/// After the last event of the generator's.
const AS_OF_GENERATED: &str = "2026-03-02T00:00:00Z";

/// How a run is to differ from the one that it must equal.
struct Variant {
    /// The bytes of a batch; one record at least.
    batch: usize,
    threads: usize,
    recompute: bool,
}

const PLAIN: Variant = Variant { batch: CHUNK_BYTES, threads: 2, recompute: false };

/// The corpus' project, or none for the shipped one.
fn corpus() -> String {
    repository().join("tests/corpus").display().to_string()
}

/// A place with the corpus' feed.
fn place(test: &str) -> Option<(Place, String)> {
    let python = servers::python(test)?;
    let place = Place::new();
    place.python(&python, "tests/oracle/corpus_feed.py", &["feed.ndjson"]);
    Some((place, python))
}

#[test]
fn the_stream_equals_the_batch() {
    let Some((place, python)) = place("corpus::the_stream_equals_the_batch") else { return };
    let corpus = corpus();
    let once = ["run", "--once", "--json", "--no-archive", "--as-of", AS_OF];
    let of = ["--project", &corpus, "--source", "file:feed.ndjson", "--lake", "lake"];
    let run = place.counters(&[&once[..], &of].concat());
    assert_eq!((count(&run, "dead_letters"), count(&run, "late")), (0, 0), "{run}");
    assert!(count(&run, "repeated") > 100, "{run}");
    let arguments = [&corpus, "feed.ndjson", "lake/tables", AS_OF];
    let told = place.python(&python, "tests/oracle/corpus.py", &arguments);
    let same = told.lines().filter(|line| line.ends_with(" columns, the same")).count();
    assert_eq!(same, tables(&run).len(), "{told}");
    assert!(same > 100, "{told}");
}

/// After the last event of the paths at chance.
const AS_OF_CHANCE: &str = "2026-06-01T00:00:00Z";

/// Every relation of changes, over paths through the states with words left out, put in and said twice.
#[test]
fn paths_at_chance_equal_the_second_interpreter() {
    let test = "corpus::paths_at_chance_equal_the_second_interpreter";
    let Some(python) = servers::python(test) else { return };
    let place = Place::new();
    place.python(&python, "tests/oracle/lifecycle_chance.py", &["1", "400", "feed.ndjson"]);
    let corpus = corpus();
    let once = ["run", "--once", "--json", "--no-archive", "--as-of", AS_OF_CHANCE];
    let of = ["--project", &corpus, "--source", "file:feed.ndjson", "--lake", "lake"];
    let run = place.counters(&[&once[..], &of].concat());
    assert_eq!((count(&run, "dead_letters"), count(&run, "late")), (0, 0), "{run}");
    let relations = [
        "rows_transitions",
        "rows_completions",
        "rows_due",
        "rows_deadlines",
        "rows_rejections",
        "rows_errors",
        "rows_restatements",
        "rows_refused",
        "rows_backdated",
    ];
    let of = [corpus.as_str(), "feed.ndjson", "lake/tables", AS_OF_CHANCE];
    let told = place.python(&python, "tests/oracle/corpus.py", &[&of[..], &relations].concat());
    assert_eq!(told.lines().last(), Some("9 tables of 9 are the same"), "{told}");
}

/// Runs the library over a feed and gives the objects of the tables by name.
fn run(
    place: &Place,
    project: Option<&str>,
    feed: &str,
    lake: &str,
    variant: &Variant,
) -> BTreeMap<String, Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(variant.threads)
        .max_blocking_threads(variant.threads)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let feed = place.path(feed).display().to_string();
    let flags = Flags {
        source: Some(format!("file:{feed}")),
        lake: Some(place.path(lake).display().to_string()),
        ..Flags::default()
    };
    let as_of = if project.is_some() { AS_OF } else { AS_OF_GENERATED };
    let as_of = Timestamp::parse_rfc3339(as_of);
    let request = Request { flags, once: true, as_of, dry_run: true, ..Request::default() };
    let folder = project.map(std::path::Path::new);
    let loaded = launch::load(folder, None, &request.flags).expect("the project loads");
    let summary = runtime.block_on(async {
        let mut plan = launch::plan(&loaded, &request).await.expect("the project is planned");
        if variant.recompute {
            recompute(&mut plan);
        }
        let lake = launch::open_lake(&loaded, &loaded.settings.lake).expect("the lake opens");
        let job = launch::job(&loaded, &request, plan, lake, Arc::default()).expect("a job");
        let now = as_of.expect("an instant");
        let source = FileSource::open(&feed, now, variant.batch).expect("the feed opens");
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

/// Turns every incremental query into one that is recomputed over the rows of each window. Groups
/// to expect are known to incremental queries alone.
fn recompute(plan: &mut Plan) {
    for pipeline in plan.pipelines.iter_mut().filter(|pipeline| pipeline.spec.expect.is_none()) {
        if let Way::Incremental(_) = &pipeline.query.way {
            let way = Way::Recompute("a test wants it".to_owned());
            pipeline.query = Arc::new(Query { way, ..Query::clone(&pipeline.query) });
            let outputs = pipeline.families.iter_mut().flat_map(|family| &mut family.outputs);
            outputs.for_each(|output| output.presorted = false);
        }
    }
}

/// The tables of which some object differs, by name.
fn different(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let names = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name));
    names.map(|name| name.split('/').next().unwrap_or_default().to_owned()).collect()
}

/// What the footer of each object says of its rows. What it says of where they came from is less
/// exact where windows are recomputed: those keep rows before their filters.
fn rows_of(objects: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let rows = objects.iter().map(|(name, bytes)| {
        let bytes = bytes::Bytes::from(bytes.clone());
        let reader = SerializedFileReader::new(bytes).expect("it is Parquet");
        let notes = reader.metadata().file_metadata().key_value_metadata();
        let hash = notes.into_iter().flatten().find(|note| note.key == "turnaround.row_hash");
        let hash = hash.and_then(|note| note.value.clone()).expect("it has a hash of its rows");
        (name.clone(), hash.into_bytes())
    });
    rows.collect()
}

#[test]
fn recomputed_windows_are_the_same() {
    let Some((place, _)) = place("corpus::recomputed_windows_are_the_same") else { return };
    let corpus = corpus();
    let plain = run(&place, Some(&corpus), "feed.ndjson", "plain", &PLAIN);
    assert!(plain.len() > 1000, "{} objects", plain.len());
    let other = Variant { recompute: true, ..PLAIN };
    let other = run(&place, Some(&corpus), "feed.ndjson", "recomputed", &other);
    assert_eq!(different(&rows_of(&plain), &rows_of(&other)), BTreeSet::new());
}

#[test]
fn batches_and_threads_change_no_byte() {
    let Some((place, _)) = place("corpus::batches_and_threads_change_no_byte") else { return };
    let corpus = corpus();
    let feed = place.read("feed.ndjson");
    let head: String = feed.split_inclusive('\n').take(250).collect();
    place.write("head.ndjson", head);
    for (feed, batch) in [("feed.ndjson", 40_000), ("head.ndjson", 1)] {
        let plain = run(&place, Some(&corpus), feed, &format!("plain-{batch}"), &PLAIN);
        let one = Variant { batch, threads: 1, recompute: false };
        let one = run(&place, Some(&corpus), feed, &format!("one-{batch}"), &one);
        assert_eq!(different(&plain, &one), BTreeSet::new(), "batches of {batch} bytes");
        let many = Variant { batch: 3 * batch, threads: 4, recompute: false };
        let many = run(&place, Some(&corpus), feed, &format!("many-{batch}"), &many);
        assert_eq!(different(&plain, &many), BTreeSet::new(), "three times {batch} bytes");
    }
}

#[test]
fn the_shipped_tables_are_the_same_bytes() {
    let place = Place::new();
    let generate = ["generate", "--profile", "demo", "--days", "0.3"];
    place.run(&[&generate[..], &["--out", "file:feed.ndjson"]].concat()).succeeded();
    let plain = run(&place, None, "feed.ndjson", "plain", &PLAIN);
    assert!(plain.len() > 10, "{} objects", plain.len());
    for (batch, threads) in [(1, 1), (1000, 4), (1 << 16, 2)] {
        let other = Variant { batch, threads, recompute: false };
        let other = run(&place, None, "feed.ndjson", &format!("other-{batch}"), &other);
        assert_eq!(different(&plain, &other), BTreeSet::new(), "batches of {batch} bytes");
    }
}

/// Without late rows: a window that is recomputed is revised also for a late row that the query's
/// filter drops, to the same figures under a higher revision.
#[test]
fn the_shipped_tables_recomputed_are_the_same_rows() {
    let place = Place::new();
    let generate = ["generate", "--profile", "demo", "--days", "0.3", "--faults", "none"];
    place.run(&[&generate[..], &["--out", "file:feed.ndjson"]].concat()).succeeded();
    let plain = run(&place, None, "feed.ndjson", "plain", &PLAIN);
    let other = Variant { recompute: true, ..PLAIN };
    let other = run(&place, None, "feed.ndjson", "recomputed", &other);
    assert_eq!(different(&rows_of(&plain), &rows_of(&other)), BTreeSet::new());
}
