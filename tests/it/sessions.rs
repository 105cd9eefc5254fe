//! Session windows through the binary: a feed worked out by hand, one that DuckDB works out, and
//! what `check`, `explain` and `try` say.

use serde_json::{Value, json};

use crate::binary::{Place, count, repository};
use crate::servers;

/// A completed test of the row form.
fn line(lab: &str, machine: &str, received: &str, processed: &str) -> String {
    let row = json!({
        "lab_id": lab, "specimen_id": format!("{machine}-{processed}"), "assay": "K",
        "priority": "S", "status": "COMPLETED", "machine_id": machine,
        "received_at": received, "processed_at": processed,
    });
    format!("{row}\n")
}

/// A place with the case's project in `project/`.
fn place() -> Place {
    let place = Place::new();
    let case = repository().join("tests/cases/sessions");
    for name in ["machine_runs", "machine_pauses", "lab_bursts"] {
        for file in [format!("pipelines/{name}.yaml"), format!("sql/marts/{name}.sql")] {
            let text = std::fs::read(case.join(&file)).expect("the case is there");
            place.write(&format!("project/{file}"), text);
        }
    }
    place
}

const ONCE: [&str; 10] = [
    "run",
    "--once",
    "--json",
    "--project",
    "project",
    "--source",
    "file:feed.ndjson",
    "--lake",
    "lake",
    "--no-archive",
];

/// The feed, in the order of its lines; the watermark trails the largest time by a minute.
fn feed() -> String {
    let rows = [
        // One second less than half an hour later: the same run. One second more: another.
        ("N-1", "07:30:00", "2026-03-02T08:00:00Z"),
        ("N-2", "07:30:00", "2026-03-02T08:00:00Z"),
        ("N-1", "07:50:00", "2026-03-02T08:29:59Z"),
        // Exactly half an hour: another.
        ("N-2", "08:00:00", "2026-03-02T08:30:00Z"),
        ("N-1", "08:30:00", "2026-03-02T09:00:00Z"),
        // Half a minute out of order: on time. It makes one run of what would be two.
        ("N-3", "09:00:00", "2026-03-02T09:29:40Z"),
        ("N-3", "09:00:00", "2026-03-02T10:00:10Z"),
        ("N-3", "09:00:00", "2026-03-02T09:59:30Z"),
        // A quarter of an hour before the watermark: late, though N-3's run is open.
        ("N-3", "09:00:00", "2026-03-02T09:44:00Z"),
        // Over midnight.
        ("N-2", "23:00:00", "2026-03-02T23:50:00Z"),
        ("N-1", "23:00:00", "2026-03-03T00:05:00Z"),
        ("N-2", "23:00:00", "2026-03-03T00:10:00Z"),
        ("N-2", "11:00:00", "2026-03-03T12:00:00Z"),
    ];
    let lines = rows.iter().map(|(machine, received, processed)| {
        let day = if *received == "23:00:00" { "2026-03-02" } else { &processed[..10] };
        line("lab-north", machine, &format!("{day}T{received}Z"), processed)
    });
    lines.collect()
}

#[test]
fn runs_are_those_worked_out_by_hand() {
    let place = place();
    place.write("feed.ndjson", feed());
    // Rows are an hour apart here, and no clock is wrong.
    place.write("project/turnaround.yaml", "time: { max_leap: 2h }\n");
    let checked = place.run(&["check", "--project", "project"]).succeeded();
    let note = "machine_runs.yaml:3:3: late rows do not revise sessions: a row that comes after one \
                more than 1m later goes to late/. add `wait: 5m`";
    assert!(checked.err.contains(note), "{}", checked.err);
    let run = place.counters(&ONCE);
    assert_eq!(count(&run, "events_in"), 13);
    // The tumbling hour that has not ended still takes the late row.
    let late = "SELECT count(*) FROM late WHERE table_name = 'machine_runs_runs' \
                AND event_time = '2026-03-02T09:44:00Z'";
    assert_eq!(place.value("lake", late), json!(1));
    let runs = "SELECT CAST(window_start AS VARCHAR) AS start, \
                CAST(window_end AS VARCHAR) AS until, machine_id, n, mean_minutes, \
                CAST(date AS VARCHAR) AS date FROM machine_runs_runs ORDER BY start, until, machine_id";
    let row = |start: &str, until: &str, machine: &str, n: u64, mean: f64| {
        json!({"start": format!("2026-03-{start}Z"), "until": format!("2026-03-{until}Z"),
               "machine_id": machine, "n": n, "mean_minutes": mean,
               "date": format!("2026-03-{}", &start[..2])})
    };
    let n3 = (29.0 + 40.0 / 60.0 + 60.0 + 10.0 / 60.0 + 59.5) / 3.0;
    let expected = [
        row("02T08:00:00", "02T08:30:00", "N-2", 1, 30.0),
        // 08:00:00, 08:29:59 and, 30 minutes and a second after that, the next run.
        row("02T08:00:00", "02T08:59:59", "N-1", 2, (30.0 + 39.0 + 59.0 / 60.0) / 2.0),
        row("02T08:30:00", "02T09:00:00", "N-2", 1, 30.0),
        row("02T09:00:00", "02T09:30:00", "N-1", 1, 30.0),
        row("02T09:29:40", "02T10:30:10", "N-3", 3, n3),
        row("02T23:50:00", "03T00:40:00", "N-2", 2, 60.0),
        row("03T00:05:00", "03T00:35:00", "N-1", 1, 65.0),
        row("03T12:00:00", "03T12:30:00", "N-2", 1, 60.0),
    ];
    let found = place.query("lake", runs);
    let rounded = |rows: &[Value]| -> Vec<Value> {
        let round = |row: &Value| {
            let mut row = row.clone();
            let mean = row["mean_minutes"].as_f64().expect("a mean");
            row["mean_minutes"] = json!((mean * 1e9).round() / 1e9);
            row
        };
        rows.iter().map(round).collect()
    };
    assert_eq!(rounded(&found), rounded(&expected));
    // The same runs by the way of recomputing, with the longest pause in each.
    let pauses = "SELECT n, pause_seconds FROM machine_pauses_runs \
                  ORDER BY window_start, window_end, machine_id";
    let told = [
        (1, None),
        (2, Some(1_799.0)),
        (1, None),
        (1, None),
        // 09:29:40, 09:59:30 and 10:00:10.
        (3, Some(1_790.0)),
        (2, Some(1_200.0)),
        (1, None),
        (1, None),
    ];
    let told: Vec<Value> = told
        .iter()
        .map(|(n, pause)| match pause {
            Some(seconds) => json!({"n": n, "pause_seconds": seconds}),
            None => json!({"n": n, "pause_seconds": null}),
        })
        .collect();
    assert_eq!(place.query("lake", pauses), told);
    // A breach of N-3's run is not ended by N-2's at night, which says nothing of N-3.
    let alerts = place.query("lake", "SELECT * FROM alerts");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let before = place.listing("lake");
    assert_eq!(count(&place.counters(&ONCE), "objects"), 0, "a second run changes nothing");
    assert_eq!(place.listing("lake"), before);
}

#[test]
fn a_feed_of_bursts_gives_what_duckdb_makes_of_it() {
    let test = "sessions::a_feed_of_bursts_gives_what_duckdb_makes_of_it";
    let Some(python) = servers::python(test) else { return };
    let place = place();
    let script = "tests/oracle/sessions.py";
    place.python(&python, script, &["make", "feed.ndjson"]);
    let run = place.counters(&ONCE);
    assert!(count(&run, "counted") > 10_000, "{run}");
    let told = place.python(&python, script, &["compare", "feed.ndjson", "lake/tables"]);
    assert_eq!(told.matches(", the same").count(), 3, "{told}");
    let runs = &run["tables"]["machine_runs_runs"];
    assert!(count(runs, "late") > 100, "some rows are late: {runs}");
    assert!(told.contains(&format!("counted {}\n", count(runs, "counted"))), "{runs} {told}");
}

#[test]
fn a_session_that_waits_counts_what_comes_late() {
    let place = place();
    place.write("feed.ndjson", feed());
    let yaml = place.path("project/pipelines/machine_runs.yaml");
    let text = std::fs::read_to_string(&yaml).expect("the pipeline can be read");
    let waiting = text.replace("machine_id] }", "machine_id], wait: 20m }");
    assert_ne!(text, waiting);
    std::fs::write(&yaml, waiting).expect("the pipeline can be written");
    let explained = place.run(&["explain", "machine_runs", "--project", "project"]).succeeded();
    let line = "that end after 30m without a row, given out 20m later so that rows that late count";
    assert!(explained.out.contains(line), "{}", explained.out);
    let run = place.counters(&ONCE);
    assert_eq!(count(&run, "events_in"), 13);
    let late = "SELECT count(*) FROM late WHERE table_name = 'machine_runs_runs'";
    assert_eq!(place.value("lake", late), json!(0));
    // 09:29:40, 09:44:00, 09:59:30 and 10:00:10 from 09:00.
    let mean = (29.0 + 40.0 / 60.0 + 44.0 + 59.5 + 60.0 + 10.0 / 60.0) / 4.0;
    let run = "SELECT n, abs(mean_minutes - {mean}) < 1e-9 AS same FROM machine_runs_runs \
               WHERE machine_id = 'N-3'"
        .replace("{mean}", &format!("{mean}"));
    assert_eq!(place.query("lake", &run), [json!({"n": 4, "same": true})]);
}

#[test]
fn try_and_explain_know_sessions() {
    let place = place();
    place.write("feed.ndjson", feed());
    place.write("project/turnaround.yaml", "time: { max_leap: 2h }\n");
    let ran =
        place.run(&["try", "machine_runs", "--project", "project", "--source", "file:feed.ndjson"]);
    let out = ran.succeeded().out;
    assert_eq!(out.lines().next(), Some("machine_runs_runs"));
    let cells = |line: &str| -> Vec<String> {
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let lines: Vec<Vec<String>> =
        out.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let place_of = |name: &str| {
        let header = lines.first().expect("a header");
        header.iter().position(|cell| cell == name).unwrap_or_else(|| panic!("no {name}: {out}"))
    };
    let shown = ["window_start", "window_end", "machine_id", "n"].map(place_of);
    let of = |row: &Vec<String>| shown.map(|place| row[place].clone()).join(" ");
    let mut found: Vec<String> = lines[1..].iter().map(of).collect();
    found.sort();
    // As they are worked out above.
    let expected = [
        "2026-03-02T08:00:00Z 2026-03-02T08:30:00Z N-2 1",
        "2026-03-02T08:00:00Z 2026-03-02T08:59:59Z N-1 2",
        "2026-03-02T08:30:00Z 2026-03-02T09:00:00Z N-2 1",
        "2026-03-02T09:00:00Z 2026-03-02T09:30:00Z N-1 1",
        "2026-03-02T09:29:40Z 2026-03-02T10:30:10Z N-3 3",
        "2026-03-02T23:50:00Z 2026-03-03T00:40:00Z N-2 2",
        "2026-03-03T00:05:00Z 2026-03-03T00:35:00Z N-1 1",
        "2026-03-03T12:00:00Z 2026-03-03T12:30:00Z N-2 1",
    ];
    assert_eq!(found, expected);
    let explained = place.run(&["explain", "machine_runs", "--project", "project"]).succeeded();
    let line = "table machine_runs_runs: sessions of lab_id, machine_id that end after 30m";
    assert!(explained.out.contains(line), "{}", explained.out);
    let explained = place.run(&["explain", "machine_pauses", "--project", "project"]).succeeded();
    assert!(explained.out.contains("way: recompute"), "{}", explained.out);
}

#[test]
fn check_says_what_sessions_lack() {
    let yaml = |by: &str, grain: &str, more: &str| {
        format!(
            "description: D.\nwindows:\n  s: {{ session: {{ gap: 30m, by: {by} }} }}\n\
             grain: {grain}\n{more}"
        )
    };
    let check = |yaml: String, said: &str| {
        let place = Place::new();
        place.write("project/pipelines/p.yaml", yaml);
        let sql = "-- D.\nSELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id\n";
        place.write("project/sql/marts/p.sql", sql);
        place.write("project/data/reference/labs.csv", "lab_id,name,tz\nl,L,UTC\n");
        place.run(&["check", "--project", "project"]).failed(2, &[said]);
    };
    check(
        yaml("[lab_id, machne_id]", "[lab_id]", ""),
        "p.yaml:3:42: there are sessions by `machne_id`, which the relation completions does not \
         have. choose among lab_id, specimen_id,",
    );
    check(
        yaml("[machine_id]", "[lab_id]", ""),
        "p.yaml:3:34: there are sessions by `machine_id`, but the query does not have that column: \
         sessions of two values could not be told apart. add it to SELECT and GROUP BY and to \
         `grain`",
    );
    check(
        yaml("[lab_id]", "[]", ""),
        "p.yaml:4:8: `grain` does not tell rows apart: the query groups by lab_id too. add \
         `lab_id` to it",
    );
    check(
        yaml("[lab_id]", "[lab_id]", "expect: ref.labs\n"),
        "p.yaml:5:9: a session is there only where rows came, so `expect` has nothing to add to \
         window `s`. take `expect` out, or count what is silent in a tumbling window of another \
         pipeline",
    );
}
