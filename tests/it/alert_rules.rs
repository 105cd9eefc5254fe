//! Alert rules that cannot be evaluated, or whose pipeline is stopped: no mistake of theirs ends a
//! run, and nothing is told of what is not computed any more.

use serde_json::json;

use crate::binary::{Place, count};
use crate::own_project::{ONCE, place};

const RULES: &str = "
  - name: against_the_others
    when: n / (n - 1) > 1
    severity: medium
  - name: not_a_number
    when: CAST('x' || CAST(n AS VARCHAR) AS BIGINT) > 1
    severity: medium
    windows: [1h]
";

fn with_rules(rules: &str) -> Place {
    let place = place();
    let yaml = place.read("project/pipelines/verified_tests.yaml");
    place.write("project/pipelines/verified_tests.yaml", format!("{}{rules}", yaml.trim_end()));
    place
}

/// One test is verified in each of two hours, two in the day (see `own_project`): 1/0 is null in the
/// hours, 2/1 over the limit in the day; beside it the hour's and the day's own card.
#[test]
fn a_rule_that_fails_on_a_row_is_a_fault_of_that_rule_alone() {
    let place = with_rules(RULES);
    let ran = place.run(&ONCE).succeeded();
    let run = ran.counters();
    assert_eq!(count(&run, "cards"), 3);
    let faults = run["rule_faults"].as_object().expect("an object");
    let names: Vec<&String> = faults.keys().collect();
    assert_eq!(names, ["not_a_number"]);
    assert_eq!(faults["not_a_number"]["rows"], json!(2));
    let warning = "warning: alert rule `not_a_number` could not be evaluated on 2 rows";
    assert!(ran.err.contains(warning), "{}", ran.err);
    assert!(!ran.err.contains("x1"), "a value of a row is in the log: {}", ran.err);
    let told = place.query("lake", "SELECT rule, \"table\" AS t FROM alerts ORDER BY rule, t");
    assert_eq!(
        told,
        [
            json!({"rule": "against_the_others", "t": "verified_tests_24h"}),
            json!({"rule": "slow_day", "t": "verified_tests_24h"}),
            json!({"rule": "slow_hour", "t": "verified_tests_1h"}),
        ]
    );
}

#[test]
fn check_warns_of_a_division_by_what_may_be_zero() {
    let place = with_rules(RULES);
    let checked = place.run(&["check", "--project", "project"]).succeeded();
    let note = "warning: project/pipelines/verified_tests.yaml:";
    assert!(checked.err.starts_with(note), "{}", checked.err);
    assert!(checked.err.contains("it divides by `(n - 1)`"), "{}", checked.err);
    assert_eq!(checked.err.lines().count(), 1, "{}", checked.err);
    let quiet =
        with_rules("\n  - { name: r, when: \"n / nullif(n - 1, 0) > 9\", severity: low }\n");
    let checked = quiet.run(&["check", "--project", "project"]).succeeded();
    assert_eq!(checked.err, "");
}

/// One slow test a day for 60 days: a slow hour and a slow day each. Another run whose SQL counts
/// otherwise meets the first one's days, and is stopped at one of the first. The events are long, so
/// that they are read ten days at a time.
#[test]
fn a_pipeline_that_is_stopped_computes_and_tells_nothing_any_more() {
    let place = place();
    let mut feed = String::new();
    let pad = "x".repeat(200_000);
    for day in 0..60 {
        let date = format!("2026-{:02}-{:02}", 3 + day / 28, 1 + day % 28);
        for (minute, state) in [("00", "RECEIVED"), ("55", "VERIFIED")] {
            feed.push_str(&format!(
                "{{\"event_id\":\"e{day}{state}\",\"event_type\":\"specimen.transition\",\
                 \"lab_id\":\"L1\",\"specimen_id\":\"s{day}\",\"assay\":\"K\",\
                 \"to_state\":\"{state}\",\"received_at\":\"{date}T08:00:00Z\",\
                 \"event_time\":\"{date}T08:{minute}:00Z\",\"pad\":\"{pad}\"}}\n"
            ));
        }
    }
    place.write("feed.ndjson", feed);
    let first = place.counters(&ONCE);
    assert_eq!(count(&first, "cards"), 120);
    let sql = place.read("project/sql/marts/verified_tests.sql");
    place.write("project/sql/marts/verified_tests.sql", sql.replace("count(*)", "2 * count(*)"));
    let stopped = place.run(&ONCE).failed(2, &["pipeline `verified_tests` was stopped"]);
    let told = count(&stopped.counters(), "cards");
    assert!(told > 0 && told < 60, "{told} cards");
}
