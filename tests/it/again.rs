//! The same input again changes nothing; other SQL is refused with the remedy; a new day goes on.

use crate::binary::{Place, count};
use crate::own_project::{self, ONCE};

const DEMO: [&str; 7] =
    ["run", "--once", "--json", "--source", "file:demo.ndjson", "--lake", "demo-lake"];

#[test]
fn a_second_run_over_the_same_lake_changes_nothing() {
    let place = Place::new();
    let feed = ["generate", "--profile", "demo", "--days", "0.5", "--out", "file:demo.ndjson"];
    place.run(&feed).succeeded();
    let first = place.counters(&DEMO);
    let before = place.listing("demo-lake");
    assert!(count(&first, "objects") > 0);
    let objects = before.iter().filter(|(name, ..)| !name.starts_with("_turnaround/"));
    assert_eq!(objects.count() as u64, count(&first, "objects"), "every object stands");
    assert!(!before.iter().any(|(name, ..)| name.starts_with("live/")), "nothing stays in live/");
    let second = place.counters(&DEMO);
    assert_eq!(count(&second, "objects"), 0);
    assert_eq!(second["tables"], first["tables"]);
    assert_eq!(place.listing("demo-lake"), before);
}

#[test]
fn changed_sql_is_refused_with_the_remedy() {
    let place = own_project::place();
    place.counters(&ONCE);
    let before = place.listing("lake");
    let sql = place.read("project/sql/marts/verified_tests.sql");
    place.write("project/sql/marts/verified_tests.sql", sql.replace("(0.5)", "(0.25)"));
    let remedy = ["verified_tests", "tables/verified_tests_24h", "write to an empty lake"];
    place.run(&ONCE).failed(2, &remedy);
    let after = place.listing("lake");
    let tables = |listing: &[(String, u64, std::time::SystemTime)]| {
        let tables = listing.iter().filter(|(name, ..)| name.starts_with("tables/"));
        tables.cloned().collect::<Vec<_>>()
    };
    assert_eq!(tables(&after), tables(&before), "what stood there stands");
}

#[test]
fn a_source_with_a_new_day_goes_on() {
    let place = own_project::place();
    place.counters(&ONCE);
    let before = place.listing("lake/tables");
    let mut feed = own_project::sample();
    let next = r#"{"event_id":"e-1001","lab_id":"lab-west","specimen_id":"W-9","assay":"CBC","status":"COMPLETED","received_at":"2026-03-03T08:10:00Z","processed_at":"2026-03-03T08:30:00Z"}"#;
    feed.extend_from_slice(next.as_bytes());
    feed.push(b'\n');
    place.write("feed.ndjson", &feed);
    let run = place.counters(&ONCE);
    assert_eq!(count(&run, "events_in"), 14);
    let after = place.listing("lake/tables");
    assert_eq!(after.len(), before.len() + 2, "a new day of two tables");
    assert!(before.iter().all(|object| after.contains(object)), "what stood there stands");
    let day = "SELECT p50_minutes FROM verified_tests_24h WHERE window_start >= '2026-03-03'";
    assert_eq!(place.value("lake", day), 20.0);
    let archived = "SELECT count(*) AS n, count(DISTINCT \"offset\") AS places FROM events";
    let archived = &place.query("lake", archived)[0];
    assert_eq!(archived["n"], archived["places"], "no event is archived twice");
    assert_eq!(count(archived, "n") + count(&run, "dead_letters"), 14);
    let second = place.counters(&ONCE);
    assert_eq!(count(&second, "objects"), 0);
    assert_eq!(place.listing("lake/tables"), after);
}
