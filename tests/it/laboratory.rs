//! A real laboratory's file through `import`, `run --once` and `query`: the figures that were
//! computed elsewhere, to their printed digits.
//!
//! The file is not part of the project: it is looked for beside the checkout.

use crate::binary::{Place, count, repository};
use crate::servers;

/// The figures as (question, its answers in order); numbers to the digits given.
const FIGURES: &[(&str, &str)] = &[
    ("SELECT count(*) FROM completions", "15223"),
    (
        "SELECT percentile_cont(tat_minutes, 0.5), percentile_cont(tat_minutes, 0.9), \
         percentile_cont(tat_minutes, 0.95), percentile_cont(tat_minutes, 0.99), avg(tat_minutes) \
         FROM completions",
        "300 456 540 996 331.6057",
    ),
    (
        "SELECT count(*) FILTER (WHERE tat_minutes > 240), \
         count(*) FILTER (WHERE tat_minutes = 240), count(*) FILTER (WHERE tat_minutes > 480), \
         count(*) FILTER (WHERE tat_minutes > 720) FROM completions",
        "11120 360 1216 323",
    ),
    ("SELECT sum(errors), 100.0 * sum(errors) / sum(tests) FROM error_rates_day", "301 1.9389"),
    ("SELECT sum(errors) FROM error_codes_day", "301"),
    ("SELECT count(*) FROM events WHERE processed_at < received_at AND status = 'ERROR'", "1"),
    ("SELECT count(*) FROM events WHERE processed_at < received_at", "1"),
    // All but one error, which came before its receipt, and one test twice: it was abandoned after seven
    // days, and forgotten when its result came after nine. Late are 11,120 results, that one once more,
    // and the errors.
    ("SELECT sum(due), sum(breached) FROM sla_breaches_day", "15524 11421"),
    (
        "SELECT extract(month FROM received_at) AS month, count(*), \
         percentile_cont(tat_minutes, 0.5), percentile_cont(tat_minutes, 0.9), \
         percentile_cont(tat_minutes, 0.99) FROM completions GROUP BY month ORDER BY month",
        "1 2366 294 432 804; 2 4409 300 456 1088.16; 3 5258 294 456 982.32; 4 3190 300 456 990.66",
    ),
    (
        "SELECT extract(month FROM received_at) AS month, count(*) FROM events \
         WHERE status = 'ERROR' GROUP BY month ORDER BY month",
        "1 55; 2 83; 3 99; 4 64",
    ),
    ("SELECT count(DISTINCT date) FROM completions", "104"),
    (
        "SELECT CAST(date AS VARCHAR), count(*) AS n FROM completions GROUP BY date \
         ORDER BY n DESC LIMIT 1",
        "2020-03-20 350",
    ),
    (
        "SELECT percentile_cont(collect_to_receive_minutes, 0.5), \
         percentile_cont(collect_to_receive_minutes, 0.9), \
         percentile_cont(collect_to_receive_minutes, 0.99) FROM completions",
        "114 348 1410",
    ),
];

#[test]
fn a_real_laboratorys_figures() {
    let csv = repository().join("../shared/data/covid_testing_deid.csv");
    if !servers::is_there(&csv, "laboratory::a_real_laboratorys_figures") {
        return;
    }
    let place = Place::new();
    let map = repository().join("tests/cases/laboratory/map.yaml");
    let (csv, map) = (csv.display().to_string(), map.display().to_string());
    let feed = "file:feed.ndjson";
    let imported = place.counters(&["import", &csv, "--map", &map, "--out", feed, "--json"]);
    assert_eq!(count(&imported, "rows"), 15_524);
    assert_eq!(count(&imported, "rejected"), 0);
    let run = place.counters(&["run", "--once", "--json", "--source", feed, "--lake", "lake"]);
    assert_eq!(count(&run, "events_in"), 2 * 15_524, "a receipt and an outcome of each test");
    assert_eq!(count(&run, "counted"), 2 * 15_524);
    for (question, expected) in FIGURES {
        let csv = ["query", question, "--lake", "lake", "--format", "csv"];
        let answer = place.run(&csv).succeeded().out;
        let rows: Vec<&str> = answer.lines().skip(1).collect();
        let expected: Vec<&str> = expected.split("; ").collect();
        assert_eq!(rows.len(), expected.len(), "{question}: {answer}");
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(to_digits_of(row, expected), expected, "{question}: {answer}");
        }
    }
}

/// A CSV row with blanks between, each number rounded to the digits that are printed at its place.
fn to_digits_of(row: &str, expected: &str) -> String {
    let fields = row.split(',').zip(expected.split(' '));
    let shown = fields.map(|(field, expected)| match field.parse::<f64>() {
        Ok(number) => {
            let digits = expected.split_once('.').map_or(0, |(_, digits)| digits.len());
            let whole = digits == 0 && number.fract().abs() > 1e-9;
            if whole { field.to_owned() } else { format!("{number:.digits$}") }
        }
        Err(_) => field.to_owned(),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn digits_are_compared_not_hidden() {
    assert_eq!(to_digits_of("1,1088.1600000000035,a", "1 1088.16 a"), "1 1088.16 a");
    assert_eq!(to_digits_of("300.4", "300"), "300.4");
}
