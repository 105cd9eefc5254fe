//! Plans in which sketches are read, and what they give.

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::*;
use crate::sql::plan::planner;
use crate::sql::plan::planner::ViewText;
use crate::sql::plan::query::{Query, Way, plan};
use crate::sql::plan::relation::RelationDef;

async fn planned(sql: &str) -> Query {
    let schema = Schema::new(vec![
        Field::new("lab", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("v", DataType::Int64, true),
    ]);
    let def = RelationDef { name: "t".into(), schema: Arc::new(schema), event_time: "at" };
    let sketches = "SELECT lab, quantile_sketch(x) AS s FROM t GROUP BY lab".to_owned();
    let view = ViewText { name: "sketches".to_owned(), sql: sketches };
    let context = planner::over(&[def], &[], &[view]).await.unwrap();
    plan(&context, sql, false).await.unwrap()
}

/// What the slots of an incremental plan say of themselves, and the names and types of its columns.
async fn slots(sql: &str) -> (Vec<String>, Vec<(String, DataType)>) {
    let query = planned(sql).await;
    let Way::Incremental(incremental) = &query.way else { panic!("{sql}: {:?}", query.way) };
    let columns = query.schema.fields().iter();
    let columns = columns.map(|field| (field.name().clone(), field.data_type().clone()));
    (incremental.slots.iter().map(|slot| slot.describe()).collect(), columns.collect())
}

const ONE: &str = "SELECT lab, count(*) AS n, sketch_quantile(quantile_sketch(x), 0.5) AS p50, \
     sketch_quantile(quantile_sketch(x), 0.9) AS p90, sketch_quantile(quantile_sketch(x), 1) AS top, \
     sketch_count(quantile_sketch(x)) AS known FROM t GROUP BY lab";

#[tokio::test]
async fn readings_of_one_expression_share_one_sketch() {
    let (slots, columns) = slots(ONE).await;
    assert_eq!(slots.len(), 2, "{slots:?}");
    assert!(
        slots.iter().any(|slot| slot.ends_with("running sketch, read in 4 way(s)")),
        "{slots:?}"
    );
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["lab", "n", "p50", "p90", "top", "known"]);
    assert_eq!((&columns[2].1, &columns[5].1), (&DataType::Float64, &DataType::Int64));
    let unnamed = "SELECT lab, sketch_quantile(quantile_sketch(x), 0.5) FROM t GROUP BY lab";
    let columns = planned(unnamed).await.schema;
    assert_eq!(columns.field(1).name(), "sketch_quantile(quantile_sketch(t.x),Float64(0.5))");
}

#[tokio::test]
async fn readings_move_through_subqueries_views_and_having() {
    for sql in [
        "SELECT lab, sketch_quantile(s, 0.5) AS a, sketch_quantile_upper(s, 0.5) AS b FROM \
         (SELECT lab, quantile_sketch(x) AS s FROM t GROUP BY lab) AS k",
        "WITH k AS (SELECT lab, quantile_sketch(x) AS s FROM t GROUP BY lab), \
         l AS (SELECT s AS r, lab FROM k WHERE lab <> 'z') \
         SELECT lab, sketch_quantile(r, 0.5) AS a, sketch_quantile_lower(l.r, 0.9) AS b FROM l",
        "SELECT lab, sketch_quantile(s, 0.5) AS a, sketch_count(s) AS b FROM sketches AS z",
        "SELECT lab, sketch_quantile(quantile_sketch(x), 0.5) AS a FROM t GROUP BY lab \
         HAVING sketch_count(quantile_sketch(x)) > 2",
        "SELECT lab, sketch_quantile(s, 0.5) + 1 AS a, upper(lab) AS b FROM sketches \
         WHERE sketch_quantile(s, 0.1) > 0 ORDER BY sketch_quantile(s, 0.5)",
    ] {
        let (slots, _) = slots(sql).await;
        assert_eq!(slots.len(), 1, "{sql}: {slots:?}");
        let said = slots[0].split_once(": ").unwrap().1;
        assert!(said.starts_with("running sketch, read in"), "{sql}: {slots:?}");
        let plan = planned(sql).await.display();
        assert!(
            !plan.contains("[quantile_sketch(t.x)") && !plan.contains(", quantile_sketch(t.x)"),
            "{plan}"
        );
    }
}

#[tokio::test]
async fn a_selected_sketch_is_bytes_and_shares_the_slot() {
    let sql = "SELECT lab, s, sketch_quantile(s, 0.5) AS p FROM sketches";
    let (slots, columns) = slots(sql).await;
    assert_eq!(slots.len(), 1, "{slots:?}");
    assert!(slots[0].ends_with("running sketch, read in 2 way(s)"), "{slots:?}");
    assert_eq!(columns[1].1, DataType::Binary);
}

#[tokio::test]
async fn other_filters_and_expressions_are_other_sketches() {
    let sql = "SELECT lab, sketch_quantile(quantile_sketch(x), 0.5) AS a, \
         sketch_quantile(quantile_sketch(x) FILTER (WHERE v > 2), 0.5) AS b, \
         sketch_quantile(quantile_sketch(v), 0.5) AS c FROM t GROUP BY lab";
    assert_eq!(slots(sql).await.0.len(), 3);
}

#[tokio::test]
async fn a_quantile_out_of_range_is_refused_when_planned() {
    let context = context();
    let sql = "SELECT sketch_quantile(quantile_sketch(x), -0.1) FROM t";
    let failed =
        planner::query(&context, sql).await.unwrap().collect().await.unwrap_err().to_string();
    assert!(failed.contains("needs a quantile within 0 and 1, not -0.1"), "{failed}");
}

/// A session as pipelines have, over a table `t` of a, 1 to 4, and b, 10.
fn context() -> SessionContext {
    let labs: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b", "a", "a"]));
    let xs: ArrayRef = Arc::new(Float64Array::from(vec![4.0, 1.0, 10.0, 3.0, 2.0]));
    let rows = RecordBatch::try_from_iter([("lab", labs), ("x", xs)]).unwrap();
    let context = planner::bare();
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

#[tokio::test]
async fn moved_readings_give_what_they_gave() {
    let context = context();
    let sql = "WITH k AS (SELECT lab, quantile_sketch(x) AS s, sum(x) AS total FROM t GROUP BY lab) \
         SELECT sketch_quantile(s, 0.5) AS p, *, sketch_count(s) AS n FROM k \
         WHERE sketch_count(s) > 0 ORDER BY sketch_quantile(s, 0.25), lab";
    let batches = planner::query(&context, sql).await.unwrap().collect().await.unwrap();
    let rows = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["p", "lab", "s", "total", "n"]);
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().values(), &[2.5, 10.0]);
    assert_eq!(rows.column(3).as_primitive::<Float64Type>().values(), &[10.0, 10.0]);
    assert_eq!(rows.column(4).as_primitive::<Int64Type>().values(), &[4, 1]);
    let nested = "SELECT avg(sketch_quantile(s, 0.5)) AS mean, max(q) AS most FROM \
         (SELECT lab, quantile_sketch(x) AS s, 1.0 AS q FROM t GROUP BY lab) AS k \
         GROUP BY sketch_count(s) > 2 ORDER BY mean";
    let batches = planner::query(&context, nested).await.unwrap().collect().await.unwrap();
    let rows = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().values(), &[2.5, 10.0]);
}
