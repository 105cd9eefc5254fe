//! Wrong SQL as authors write it, and what is said of it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::*;
use crate::config::Project;
use crate::flow::ReferenceRows;
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::spec::{EventSpec, MachineSpec, TransitionSpec, WordSource};
use crate::plan::relations::{readable, relation_defs};
use crate::sql::plan::planner;
use crate::sql::plan::query;

/// Each text is wrong in one way. The snapshot beside this file holds what is said: place, mistake,
/// remedy; every line of it was read.
const WRONG: &[&str] = &[
    // Names.
    "SELECT c.lab_id,\n       avg(c.tat_minuts) AS mean\nFROM completions AS c GROUP BY c.lab_id",
    "SELECT c.lab_id, c.colour FROM completions AS c",
    "SELECT lab_id, count(*) AS n FROM completions WHERE priority = \"STAT\" GROUP BY lab_id",
    "SELECT lab_id, count(*) AS n FROM completions WHERE n > 3 GROUP BY lab_id",
    "-- Counts in completion.\nSELECT lab_id, count(*) AS n FROM completion GROUP BY lab_id",
    "SELECT lab_id FROM results",
    "SELECT lab_id FROM courier_bx",
    "SELECT l.zone FROM ref.zones AS l",
    "SELECT lab_id, percentil(tat_minutes, 0.9) AS p FROM completions GROUP BY lab_id",
    "SELECT lab_id, countif(within_target) AS n FROM completions GROUP BY lab_id",
    "SELECT lab_id, datediff('minute', received_at, completed_at) AS m FROM completions",
    "SELECT lab_id, zzz(assay) AS z FROM completions",
    "SELECT lab_id, c.assay FROM completions AS c JOIN ref.labs AS l ON l.lab_id = c.lab_id",
    "SELECT c.lab_id, count(*) AS n, sum(c.tat_minutes) AS n FROM completions AS c GROUP BY c.lab_id",
    // Grouping.
    "SELECT c.lab_id, c.assay, count(*) AS n\nFROM completions AS c\nGROUP BY c.lab_id",
    "SELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id HAVING assay = 'K'",
    "SELECT lab_id, count(*) AS n FROM completions WHERE count(*) > 3 GROUP BY lab_id",
    "SELECT lab_id, max(count(*)) AS most FROM completions GROUP BY lab_id",
    "SELECT lab_id, count(*) AS n FROM completions GROUP BY 3",
    "SELECT max(completed_at) AS last, lab_id FROM completions",
    // Types.
    "SELECT lab_id, sum(assay) AS s FROM completions GROUP BY lab_id",
    "SELECT lab_id, avg(completed_at) AS a FROM completions GROUP BY lab_id",
    "SELECT lab_id, round(assay) AS r FROM completions",
    "SELECT lab_id, sum() AS s FROM completions GROUP BY lab_id",
    "SELECT lab_id FROM completions WHERE completed_at > 5",
    "SELECT lab_id FROM completions WHERE tat_minutes > 'long'",
    "SELECT lab_id FROM completions WHERE within_target > 3 AND assay",
    "SELECT lab_id FROM completions WHERE tat_minutes",
    "SELECT lab_id, assay + 1 AS x FROM completions",
    "SELECT lab_id, completed_at + 5 AS x FROM completions",
    "SELECT lab_id, CASE WHEN within_target THEN 1 ELSE completed_at END AS x FROM completions",
    "SELECT lab_id FROM completions WHERE tat_minutes LIKE 'x%'",
    "SELECT lab_id FROM completions WHERE completed_at >= TIMESTAMP '2026-13-01T00:00:00Z'",
    "SELECT lab_id, CAST(assay AS NUMBER) AS x FROM completions",
    // Parts that do not fit.
    "SELECT lab_id, assay FROM completions UNION ALL SELECT lab_id FROM errors",
    "SELECT tat_minutes FROM completions UNION ALL SELECT at FROM errors",
    "SELECT lab_id, (SELECT lab_id, tz FROM ref.labs) AS z FROM completions",
    "SELECT lab_id, percentile_cont(0.9) AS p FROM completions GROUP BY lab_id",
    "SELECT c.lab_id FROM completions AS c JOIN ref.labs AS l ON",
    // Syntax.
    "SELECT lab_id assay count(*) AS n\nFROM completions GROUP BY lab_id",
    "SELECT lab_id,, count(*) AS n\nFROM completions GROUP BY lab_id",
    "SELECT lab_id, count(* AS n FROM completions GROUP BY lab_id",
    "SELECT lab_id, count(*) AS n FROM completions GROUP lab_id",
    "SELCT lab_id FROM completions",
    "SELECT lab_id, count(*) AS n FORM completions GROUP BY lab_id",
    "SELECT lab_id FROM completions WHERE assay = 'K",
    "SELECT lab_id FROM completions WHERE (assay = 'K'",
    "SELECT lab_id, CASE WHEN within_target THEN 1 AS x FROM completions",
    "SELECT lab_id FROM completions; SELECT 1",
    "",
    "INSERT INTO completions SELECT * FROM errors",
    "SELECT 1 AS one",
    "SELECT *",
    // What is refused although it is sound.
    "-- now() is refused\nSELECT lab_id, 'now()' AS t,\n       max(now() - completed_at) AS age FROM completions GROUP BY lab_id",
    "SELECT lab_id FROM completions WHERE completed_at > CURRENT_TIMESTAMP",
    "SELECT lab_id, random() AS dice FROM completions",
    "SELECT lab_id, approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY tat_minutes) AS p FROM completions GROUP BY lab_id",
    "SELECT lab_id, median(tat_minutes) AS p FROM completions GROUP BY lab_id",
    "SELECT lab_id, string_agg(assay, ',') AS all_assays FROM completions GROUP BY lab_id",
    "SELECT lab_id, approx_distinct(DISTINCT assay) AS x, quantile_sketch(DISTINCT tat_minutes) AS s FROM completions GROUP BY lab_id",
    "SELECT lab_id, count(*) AS n FROM completions TABLESAMPLE BERNOULLI (10) GROUP BY lab_id",
];

/// The machine of a courier's box.
fn machine() -> StateMachine {
    let transition = TransitionSpec {
        name: "load".to_owned(),
        from: vec!["new".to_owned()],
        on: vec!["load".to_owned()],
        to: "LOADED".to_owned(),
        when: None,
        compare_and_set: false,
        takes_lease: false,
        by_holder: false,
    };
    let word = WordSource::Column("center_event".to_owned());
    let event = EventSpec { event_type: "center.event".to_owned(), word, means: Vec::new() };
    let spec = MachineSpec {
        name: "courier_box".to_owned(),
        entity: vec!["lab_id".to_owned(), "reason".to_owned()],
        events: vec![event],
        transitions: vec![transition],
        finished: vec!["LOADED".to_owned()],
        ..MachineSpec::default()
    };
    StateMachine::new(&spec).unwrap()
}

#[tokio::test]
async fn wrong_sql_is_placed_and_told_with_a_remedy() {
    let columns: Vec<(&str, ArrayRef)> = ["lab_id", "tz"]
        .map(|name| (name, Arc::new(StringArray::from(vec!["x"])) as ArrayRef))
        .to_vec();
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let labs = ReferenceRows { name: "labs".to_owned(), rows };
    let project = Project { machines: vec![machine()], ..Project::default() };
    let (readable, relations) = (readable(&project), relation_defs(&project).unwrap());
    let context = planner::over(&relations, &[labs], &[]).await.unwrap();
    let mut all = String::new();
    for sql in WRONG {
        let planned = query::plan(&context, sql, false).await;
        let error = planned.err().unwrap_or_else(|| DataFusionError::Plan("IT IS RIGHT".into()));
        let faults = sql_faults(Path::new("p.sql"), sql, &error, &readable);
        all += &format!("{sql}\n");
        for fault in faults {
            all += &format!("    {fault}\n");
        }
        all += "\n";
    }
    insta::assert_snapshot!(all);
}

#[test]
fn only_the_brackets_of_the_parser_are_taken_off() {
    let plain = |text: &str| plain(&DataFusionError::Plan(text.to_owned()));
    assert_eq!(plain("write f(x ORDER BY x)"), "write f(x ORDER BY x)");
    assert_eq!(plain("ParserError(\"no table (x)\")"), "no table (x)");
}
