//! The corpus: what the binary makes of a stream, window by window, is what DuckDB makes of the same
//! rows with the same SQL.

use crate::binary::{Place, count, repository, tables};
use crate::servers;

/// After the last event.
const AS_OF: &str = "2025-11-06T00:00:00Z";

#[test]
fn the_stream_equals_the_batch() {
    let Some(python) = servers::python("corpus::the_stream_equals_the_batch") else { return };
    let place = Place::new();
    place.python(&python, "tests/oracle/corpus_feed.py", &["feed.ndjson"]);
    let corpus = repository().join("tests/corpus");
    let corpus = corpus.to_str().expect("the path is text");
    let once = ["run", "--once", "--json", "--no-archive", "--as-of", AS_OF];
    let of = ["--project", corpus, "--source", "file:feed.ndjson", "--lake", "lake"];
    let run = place.counters(&[&once[..], &of].concat());
    assert_eq!((count(&run, "dead_letters"), count(&run, "late")), (0, 0), "{run}");
    assert!(count(&run, "repeated") > 100, "{run}");
    let arguments = [corpus, "feed.ndjson", "lake/tables", AS_OF];
    let told = place.python(&python, "tests/oracle/corpus.py", &arguments);
    let same = told.lines().filter(|line| line.ends_with(" columns, the same")).count();
    assert_eq!(same, tables(&run).len(), "{told}");
    assert!(same > 100, "{told}");
}
