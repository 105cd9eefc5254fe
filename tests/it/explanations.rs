//! What `explain` says of the shipped pipelines: the whole text as it was read and found right, and
//! what can be worked out by hand of it.

use crate::binary::{Place, repository};

/// By file name.
fn shipped() -> Vec<String> {
    let entries = std::fs::read_dir(repository().join("pipelines")).expect("the shipped project");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| Some(name.to_str()?.strip_suffix(".yaml")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names.len(), 16);
    names
}

#[test]
fn of_each_shipped_pipeline() {
    let place = Place::new();
    for name in shipped() {
        let ran = place.run(&["explain", &name]).succeeded();
        // What objects are called is held by `fingerprints.rs`, text and hash.
        let lines = ran.out.lines().filter(|line| !line.starts_with("fingerprint: "));
        let told: Vec<&str> = lines.collect();
        assert_eq!(told.len() + 1, ran.out.lines().count(), "it tells one fingerprint");
        insta::assert_snapshot!(format!("explain_{name}"), told.join("\n"));
    }
}

/// By hand from `pipelines/` and `sql/marts/`: a day has 24 hours and 288 times five minutes; panes
/// are as wide as the widest step that all windows of a table's family share; what counts, sums or
/// compares a value at a time slides, and what must know which values it has seen does not.
#[test]
fn say_how_often_windows_fire_and_what_is_kept() {
    let live = "while it is live, then one object a day";
    let hourly = |table: &str| format!("table {table}: tumbling 1h, 24 firings a day {live}");
    let rolling =
        |table: &str| format!("table {table}: hopping 1h every 5m, 288 firings a day {live}");
    let days = |table: &str| {
        let of =
            "days by the clock of each laboratory, one firing each while the day is live, then";
        format!("table {table}: {of} one object a day")
    };
    let panes = |width: &str| format!("panes: {width}");
    let row_level = |table: &str| {
        format!("table {table}: row-level, one object a day once the day and 2h have passed")
    };
    let expected: Vec<(&str, Vec<String>)> = vec![
        ("center_status", vec![row_level("center_status")]),
        ("completions", vec![row_level("completions")]),
        ("critical_deadlines", vec![row_level("critical_deadlines")]),
        ("critical_results", vec![row_level("critical_results")]),
        ("deadlines", vec![row_level("deadlines")]),
        ("error_codes", vec![days("error_codes_day")]),
        ("error_rates", vec![panes("5m"), rolling("error_rates_1h"), days("error_rates_day")]),
        ("refused", vec![row_level("refused")]),
        ("rejection_rates", vec![days("rejection_rates_day")]),
        ("rejection_reasons", vec![days("rejection_reasons_day")]),
        ("rejections", vec![row_level("rejections")]),
        ("restatements", vec![row_level("restatements")]),
        ("sla_breaches", vec![panes("5m"), rolling("sla_breaches_1h"), days("sla_breaches_day")]),
        (
            "tat_percentiles",
            vec![
                panes("5m"),
                rolling("tat_percentiles_1h"),
                format!("table tat_percentiles_24h: hopping 1d every 1h, 24 firings a day {live}"),
            ],
        ),
        ("throughput", vec![panes("1h"), hourly("throughput_1h"), days("throughput_day")]),
        ("transitions", vec![row_level("transitions")]),
    ];
    assert_eq!(expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(), shipped());
    let place = Place::new();
    for (name, expected) in expected {
        let told = place.run(&["explain", name]).succeeded().out;
        let of_time = |line: &&str| line.starts_with("table ") || line.starts_with("panes: ");
        assert_eq!(told.lines().filter(of_time).collect::<Vec<_>>(), expected, "{name}");
        let reads = told.lines().filter_map(|line| line.strip_prefix("reads: "));
        let reads: Vec<&str> = reads.collect();
        let relations: &[&str] = match name {
            "completions" | "tat_percentiles" => &["completions"],
            "sla_breaches" => &["due"],
            "error_codes" => &["errors"],
            "rejection_reasons" => &["events", "rejections"],
            "center_status" => &["center"],
            "critical_deadlines" | "critical_results" | "deadlines" | "refused" | "rejections"
            | "restatements" => &[name],
            _ => &["transitions"],
        };
        assert_eq!(reads, relations, "{name}");
    }
}
