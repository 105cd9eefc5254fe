//! What `check` refuses although it is sound SQL, because it would stop the run, or a table, later.

use crate::binary::Place;

/// A project of one pipeline, which `check` refuses with these words.
fn refused(sql: &str, yaml: &str, said: &str) {
    let place = Place::new();
    place.write("project/pipelines/p.yaml", format!("description: D.\n{yaml}"));
    place.write("project/sql/marts/p.sql", format!("-- D.\n{sql}\n"));
    place.write("project/data/reference/labs.csv", "lab_id,name,tz\nl,L,UTC\n");
    place.run(&["check", "--project", "project"]).failed(2, &[said]);
}

const COUNTS: &str = "SELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id";
const HOURS: &str = "windows:\n  w: { tumbling: { size: 1h } }\ngrain: [lab_id]\n";

#[test]
fn a_row_level_table_stands_alone() {
    refused(
        "SELECT lab_id, assay FROM completions",
        "windows:\n  none: {}\n  w: { tumbling: { size: 1h } }\ngrain: [lab_id]\n",
        "p.yaml:2:1: `none` stands beside other windows, and a row-level table stands alone. give it a \
         pipeline of its own, whose `sql:` may name the same file",
    );
}

#[test]
fn columns_that_the_lake_does_not_store_are_found_before_the_run() {
    refused(
        "SELECT lab_id, max(completed_at) - min(completed_at) AS span FROM completions GROUP BY lab_id",
        HOURS,
        "column `span` has type Duration(µs), which the lake does not store. make it a number with \
         its unit in the name",
    );
    refused(
        "SELECT lab_id, array_agg(assay ORDER BY assay) AS assays FROM completions GROUP BY lab_id",
        HOURS,
        "column `assays` has type List(",
    );
}

#[test]
fn windows_that_share_panes_share_no_more_than_are_kept() {
    refused(
        COUNTS,
        "windows:\n  a: { tumbling: { size: 7s } }\n  b: { hopping: { size: 30d, slide: 1h } }\n\
         grain: [lab_id]\n",
        "the windows of this pipeline share panes of 1s, of which p_b has 2592000, and at most \
         10000 are kept. choose sizes and slides that are multiples of one another",
    );
}

#[test]
fn a_remedy_is_told_to_its_last_bracket() {
    refused(
        "SELECT lab_id, first_value(assay) AS one FROM completions GROUP BY lab_id",
        HOURS,
        "write ORDER BY within it, as first_value(x ORDER BY x)\n",
    );
}

#[test]
fn what_expect_cannot_stand_beside_is_told() {
    refused(
        "SELECT lab_id, stddev(tat_minutes) AS s FROM completions GROUP BY lab_id",
        "windows:\n  w: { tumbling: { size: 1h } }\ngrain: [lab_id]\nexpect: ref.labs\n",
        "`expect` needs a query that is computed incrementally, and here stddev sees the order of \
         rows, so they are sorted first. take that out, or take `expect` out",
    );
}

#[test]
fn a_grain_is_what_the_query_groups_by() {
    let by_assay =
        "SELECT c.lab_id, c.assay, count(*) AS n\nFROM completions AS c GROUP BY c.lab_id, c.assay";
    refused(
        by_assay,
        HOURS,
        "p.yaml:4:8: `grain` does not tell rows apart: the query groups by assay too. add `assay` to it\n",
    );
    let hours = "windows:\n  w: { tumbling: { size: 1h } }\n";
    refused(
        by_assay,
        &format!("{hours}grain: [lab_id, assay, n]\n"),
        "p.yaml:4:24: `grain` names `n`, by which the query does not group. take it out: the grain is \
         what GROUP BY names\n",
    );
    refused(
        "SELECT c.lab_id, count(*) AS n FROM completions AS c GROUP BY c.lab_id, c.priority",
        HOURS,
        "the query groups by priority too. select priority and add it, or take it out of GROUP BY\n",
    );
    refused(
        "SELECT DISTINCT lab_id, assay FROM completions",
        HOURS,
        "`grain` does not tell rows apart: the query groups by assay too. add `assay` to it\n",
    );
    refused(
        "SELECT count(*) AS n FROM completions",
        &format!("{hours}grain: [n]\n"),
        "p.yaml:4:9: `grain` names `n`, by which the query does not group",
    );
}

#[test]
fn what_is_not_repeatable_is_refused_where_it_stands() {
    refused(
        "SELECT lab_id, 'now()' AS note, -- not this now()\n  max(now()) AS at FROM completions GROUP BY \
         lab_id",
        HOURS,
        "p.sql:3:7: now() gives another answer when the input is replayed. use the relation's event \
         time, or window_end in an alert\n",
    );
    refused(
        "SELECT lab_id,\n  approx_median(tat_minutes) AS m FROM completions GROUP BY lab_id",
        HOURS,
        "p.sql:3:3: approx_median is not offered: its error is unbounded and it depends on the order \
         of rows. write percentile_cont(p) WITHIN GROUP (ORDER BY x), which is exact, or",
    );
    let place = Place::new();
    place.write("project/pipelines/p.yaml", format!("description: D.\n{HOURS}"));
    place.write("project/sql/marts/p.sql", "SELECT lab_id FROM fresh GROUP BY lab_id\n");
    let view = "-- now() in a view.\nSELECT lab_id FROM completions\nWHERE completed_at > now()\n";
    place.write("project/sql/staging/fresh.sql", view);
    place
        .run(&["check", "--project", "project"])
        .failed(2, &["sql/staging/fresh.sql:3:22: now() gives another answer"]);
}
