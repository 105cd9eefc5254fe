//! Every shipped table holds, row for row, what SQL in another engine makes of the same feed.

use serde_json::json;

use crate::binary::{Place, count, repository, tables};
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

/// Some specimens wait for longer than they may; a part of the feed is late.
#[test]
fn specimens_that_wait_for_their_analysis() {
    let test = "oracle::specimens_that_wait_for_their_analysis";
    let Some(python) = servers::python(test) else { return };
    let place = Place::new();
    let generate = ["generate", "--profile", "demo", "--days", "1", "--faults", "late=2%"];
    place.run(&[&generate[..], &["--out", "file:feed.ndjson"]].concat()).succeeded();
    for file in ["pipelines/deadlines.yaml", "sql/marts/deadlines.sql"] {
        let text = std::fs::read(repository().join(file)).expect("it is shipped");
        place.write(&format!("project/{file}"), text);
    }
    for file in ["labs.csv", "targets.csv", "calendars.csv", "holidays.csv"] {
        let file = format!("data/reference/{file}");
        let text = std::fs::read(repository().join(&file)).expect("it is shipped");
        place.write(&format!("project/{file}"), text);
    }
    place.write("project/data/reference/assays.csv", "assay,max_hold_minutes\nK,60\nNA,45.5\n");
    let once = ["run", "--once", "--json", "--no-archive", "--project", "project"];
    let run =
        place.counters(&[&once[..], &["--source", "file:feed.ndjson", "--lake", "lake"]].concat());
    assert_eq!(count(&run, "dead_letters"), 0, "{run}");
    let arguments = ["--reference", "project/data/reference", "--out", "expected", "feed.ndjson"];
    let only = ["--tables", "deadlines"];
    place.python(&python, "tests/oracle/oracle.py", &[&only[..], &arguments].concat());
    let told = place.python(&python, "tests/oracle/compare.py", &["expected", "lake/tables"]);
    assert!(told.contains("deadlines: ") && told.contains(" columns, the same"), "{told}");
    let stages = "SELECT stage, count(*) > 50 AS many FROM deadlines WHERE kind = 'hold' \
                  GROUP BY stage ORDER BY stage";
    let row = |stage: &str| json!({"stage": stage, "many": true});
    assert_eq!(place.query("lake", stages), [row("at_risk"), row("breached"), row("ended")]);
}
