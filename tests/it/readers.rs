//! What readers find in the demo's Parquet is the same, and as much as `query` counts: DuckDB, Polars
//! and pyarrow to the last value, and every reader that is in use by its most ordinary call.

use serde_json::Value;

use crate::binary::{Place, count, tables};
use crate::servers;

/// The tables that have rows: nobody edits settings in the demo.
fn filled(run: &Value) -> Vec<&str> {
    tables(run).into_iter().filter(|table| *table != "center_status").collect()
}

#[test]
fn duckdb_polars_and_pyarrow_agree() {
    let Some(python) = servers::python("readers::duckdb_polars_and_pyarrow_agree") else { return };
    let place = Place::new();
    let feed = "file:feed.ndjson";
    place.run(&["generate", "--profile", "demo", "--days", "1", "--out", feed]).succeeded();
    let run = place.counters(&["run", "--once", "--json", "--source", feed, "--lake", "lake"]);
    let report = place.python(&python, "tests/readers/read_lake.py", &["lake"]);
    let report: Value = serde_json::from_str(&report).expect("one JSON object");
    let read = report["tables"].as_object().expect("tables");
    assert_eq!(read.keys().collect::<Vec<_>>(), filled(&run), "every table has Parquet");
    for (table, seen) in read {
        assert_eq!(seen["agree"], true, "{table}: {seen}");
        let rows = count(&seen["readers"]["duckdb"], "rows");
        assert!(rows > 0, "{table} is empty");
        assert_eq!(place.value("lake", &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
}

/// The demo's three days, so that each table has several objects in several folders.
#[test]
fn every_reader_reads_every_table_by_its_ordinary_call() {
    let name = "readers::every_reader_reads_every_table_by_its_ordinary_call";
    let Some(python) = servers::python(name) else { return };
    let place = Place::new();
    let feed = "file:feed.ndjson";
    place.run(&["generate", "--profile", "demo", "--out", feed]).succeeded();
    let run = place.counters(&["run", "--once", "--json", "--source", feed, "--lake", "lake"]);
    let report = place.python(&python, "tests/readers/ordinary.py", &["lake"]);
    let report: Value = serde_json::from_str(&report).expect("one JSON object");
    let read = report["tables"].as_object().expect("tables");
    assert_eq!(read.keys().collect::<Vec<_>>(), filled(&run), "every table is read");
    for (table, seen) in read {
        assert_eq!(seen["agree"], true, "{table}: {seen}");
        let readers = seen["readers"].as_object().expect("readers");
        assert_eq!(readers.len(), 12, "{table}");
        let counted = place.value("lake", &format!("SELECT count(*) FROM {table}"));
        assert_eq!(count(&readers["spark"], "rows"), counted, "{table}");
        assert!(count(&readers["spark"], "days") >= 3, "{table}: {seen}");
    }
}
