//! Every shipped table holds, row for row, what SQL in another engine makes of the same feed.

use crate::binary::{Place, repository, tables};
use crate::servers;

fn equals_the_oracle(test: &str, (generate, faults): (&[&str], &str), empty: &[&str]) {
    let Some(python) = servers::python(test) else { return };
    let place = Place::new();
    let feed = ["--faults", faults, "--out", "file:feed.ndjson"];
    place.run(&[&["generate"], generate, &feed].concat()).succeeded();
    let lake = ["--source", "file:feed.ndjson", "--lake", "lake"];
    let run = place.counters(&[&["run", "--once", "--json", "--no-archive"], &lake[..]].concat());
    let reference = repository().join("data/reference");
    let reference = reference.to_str().expect("the path is text");
    let arguments = ["--reference", reference, "--out", "expected", "feed.ndjson"];
    place.python(&python, "tests/oracle/oracle.py", &arguments);
    let told = place.python(&python, "tests/oracle/compare.py", &["expected", "lake/tables"]);
    for table in tables(&run) {
        let same = told.lines().any(|line| {
            line.starts_with(&format!("{table}: ")) && line.ends_with(" columns, the same")
        });
        assert_eq!(same, !empty.contains(&table), "{table}: {told}");
    }
}

#[test]
fn the_transition_form() {
    let profile = ["--profile", "demo", "--days", "1"];
    // Nobody edits settings in the plain course.
    let empty = ["center_status"];
    equals_the_oracle("oracle::the_transition_form", (&profile, "refused=2%"), &empty);
}

/// The kit rejects nothing, restates nothing, knows of no critical results, and nothing in it is refused.
#[test]
fn the_row_form() {
    let profile = ["--profile", "starter-kit", "--seed", "7"];
    let empty = [
        "rejection_reasons_day",
        "rejections",
        "restatements",
        "refused",
        "critical_results",
        "critical_deadlines",
        "center_status",
    ];
    equals_the_oracle("oracle::the_row_form", (&profile, "none"), &empty);
}
