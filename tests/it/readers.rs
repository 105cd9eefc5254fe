//! What DuckDB, Polars and pyarrow read from the demo's Parquet is the same, and as much as
//! `query` counts.

use serde_json::Value;

use crate::binary::{Place, count, tables};
use crate::servers;

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
    assert_eq!(read.keys().collect::<Vec<_>>(), tables(&run), "every table has Parquet");
    for (table, seen) in read {
        assert_eq!(seen["agree"], true, "{table}: {seen}");
        let rows = count(&seen["readers"]["duckdb"], "rows");
        assert!(rows > 0, "{table} is empty");
        assert_eq!(place.value("lake", &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
}
