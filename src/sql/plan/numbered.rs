//! A plan that is linear in its relations, with each row's number carried through, so that one run
//! over a whole batch tells which result row came from which row.
//!
//! Every node gives its own columns where they were, and the number behind them. What `nonlinear`
//! (`query.rs`) lets through can carry it, but for a part of UNION that reads no relation.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::{JoinType, Result, plan_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::union::UnionExec;

use super::execute::Executor;
use super::relation::RelationExec;
use super::relation::reads_of;
use super::relation_rows::RelationRows;

/// The name of the number's column; no SQL can read it, since it is added behind the plan's back.
const NUMBER: &str = "row number";

/// A plan of rows one by one that runs over many at once.
#[derive(Clone, Debug)]
pub struct Numbered {
    plan: Arc<dyn ExecutionPlan>,
}

/// Rows of a result, with the place among all inputs' rows of the row that each came from;
/// ascending.
pub type FromRows = (RecordBatch, UInt32Array);

impl Numbered {
    /// Adds the number to a linear plan.
    ///
    /// # Errors
    /// A node that cannot carry it.
    pub fn new(plan: &Arc<dyn ExecutionPlan>) -> Result<Numbered> {
        Ok(Numbered { plan: numbered(plan)? })
    }

    /// The plan's rows over these inputs, as if each row of each input had been alone: in the order
    /// of the inputs' rows, and of one row in the order in which the plan gives them.
    ///
    /// # Errors
    /// What fails when the plan runs.
    pub fn run(&self, executor: &Executor, inputs: &[RelationRows]) -> Result<Option<FromRows>> {
        let rows = |leaf: &RelationExec| {
            let mut first = 0;
            let mut mine = Vec::new();
            for input in inputs {
                let count = input.rows.num_rows() as u32;
                if input.relation == *leaf.relation() {
                    // The last column is the number.
                    let columns = leaf.columns().split_last().map_or(&[][..], |(_, rest)| rest);
                    let rows = input.project(columns)?;
                    let numbers = UInt32Array::from_iter_values(first..first + count);
                    mine.push(with_numbers(&rows, Arc::new(numbers), &leaf.schema())?);
                }
                first += count;
            }
            Ok(mine)
        };
        if inputs.iter().all(|input| input.rows.num_rows() == 0) {
            return Ok(None);
        }
        let found = executor.run(&self.plan, &rows)?;
        let all = concat_batches(&self.plan.schema(), &found)?;
        let last = all.num_columns() - 1;
        // A join may give rows in another order, but those of one row in theirs.
        let order = stable_order(all.column(last).as_primitive::<UInt32Type>());
        let mut all = take_record_batch(&all, &order)?;
        let numbers = all.remove_column(last);
        Ok(Some((all, numbers.as_primitive::<UInt32Type>().clone())))
    }
}

fn stable_order(numbers: &UInt32Array) -> UInt32Array {
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    order.sort_by_key(|row| numbers.value(*row as usize));
    UInt32Array::from(order)
}

fn with_numbers(rows: &RecordBatch, numbers: ArrayRef, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let mut columns = rows.columns().to_vec();
    columns.push(numbers);
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The plan with the number behind its columns.
fn numbered(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(leaf) = plan.downcast_ref::<RelationExec>() {
        let mut fields: Vec<_> = leaf.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(NUMBER, DataType::UInt32, false)));
        return Ok(Arc::new(leaf.with_column(Arc::new(Schema::new(fields)))));
    }
    if reads_of(plan).is_empty() {
        return plan_err!(
            "a part of this row-level query reads no relation, so its rows belong to no event; take \
             it out, or read it as a reference table"
        );
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let input = numbered(projection.input())?;
        let mut exprs: Vec<ProjectionExpr> = projection.expr().to_vec();
        let number: Arc<dyn PhysicalExpr> =
            Arc::new(Column::new(NUMBER, input.schema().fields().len() - 1));
        exprs.push(ProjectionExpr { expr: number, alias: NUMBER.to_owned() });
        return Ok(Arc::new(ProjectionExec::try_new(exprs, input)?));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let input = numbered(filter.input())?;
        let number = input.schema().fields().len() - 1;
        let columns = filter.projection().as_ref().map(|projection| projection.to_vec());
        let columns = columns.map(|mut columns| {
            columns.push(number);
            columns
        });
        let built = FilterExecBuilder::new(Arc::clone(filter.predicate()), input)
            .apply_projection(columns)?
            .with_default_selectivity(filter.default_selectivity())
            .with_batch_size(filter.batch_size());
        return Ok(Arc::new(built.build()?));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return numbered_join(join);
    }
    let children = plan.children().into_iter().map(numbered).collect::<Result<Vec<_>>>()?;
    if plan.is::<UnionExec>() {
        return UnionExec::try_new(children);
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children, options)
}

/// A join of the relation's side with another one: the number stands at the end of that side, and is
/// projected behind all.
fn numbered_join(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let columns = |plan: &Arc<dyn ExecutionPlan>| plan.schema().fields().len();
    let is_left = !reads_of(&left).is_empty();
    let (children, number) = if is_left {
        let number = columns(&left);
        (vec![numbered(&left)?, right], number)
    } else {
        let before = match join.join_type() {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => 0,
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark => columns(&left),
        };
        let number = before + columns(&right);
        (vec![left, numbered(&right)?], number)
    };
    let all = 0..join.join_schema().fields().len();
    let kept: Vec<usize> = match &join.projection {
        Some(projection) => projection.to_vec(),
        None => all.collect(),
    };
    let moved = kept.into_iter().map(|column| column + usize::from(column >= number));
    let projection = moved.chain(std::iter::once(number)).collect();
    let built = join.builder().with_new_children(children)?.with_projection(Some(projection));
    built.recompute_properties().build_exec()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::util::display::array_value_to_string;
    use tokio::runtime::Handle;

    use super::*;
    use crate::flow::ReferenceRows;
    use crate::sql::plan::places::Places;
    use crate::sql::plan::planner;
    use crate::sql::plan::query;
    use crate::sql::plan::query::{RowWise, Way};
    use crate::sql::plan::relation::RelationDef;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("lab", DataType::Utf8, true),
            Field::new("v", DataType::Int64, true),
        ]))
    }

    fn input(relation: &str, labs: Vec<Option<&str>>, first: u32) -> RelationRows {
        let count = labs.len();
        let numbers = || 0..count as i64;
        let with_places = Places::new(&[0, 1]).said_by(&schema());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(labs)),
            Arc::new(Int64Array::from_iter_values(numbers().map(|n| n * 7 % 5))),
        ];
        RelationRows {
            relation: relation.into(),
            rows: RecordBatch::try_new(with_places, columns).unwrap(),
            time: Int64Array::from_iter_values(numbers()),
            watermark_before: Int64Array::from_iter_values(numbers()),
            source_row: UInt32Array::from_iter_values((0..count as u32).map(|n| n + first)),
            lab: None,
            barred: None,
        }
    }

    fn texts(rows: &RecordBatch) -> Vec<String> {
        let cell = |column: &ArrayRef, row| array_value_to_string(column, row).unwrap();
        let line = |row| rows.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>();
        (0..rows.num_rows()).map(|row| line(row).join("|")).collect()
    }

    async fn context() -> datafusion::prelude::SessionContext {
        let def =
            |name: &str| RelationDef { name: name.into(), schema: schema(), event_time: "at" };
        // `a` stands twice: a row of it becomes two.
        let fields = ["lab", "zone"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("a"), None])),
            Arc::new(StringArray::from(vec!["east", "west", "north", "none"])),
        ];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let labs = ReferenceRows { name: "labs".to_owned(), rows };
        planner::over(&[def("t"), def("u")], &[labs], &[]).await.unwrap()
    }

    /// The same rows, in the same order and from the same rows as when the plan runs over each row by
    /// itself.
    #[tokio::test(flavor = "multi_thread")]
    async fn one_run_gives_what_a_run_for_each_row_gives() {
        let context = context().await;
        let labs = vec![Some("b"), None, Some("a"), Some("c"), Some("a"), Some("b"), Some("a")];
        let inputs =
            [input("t", labs.clone(), 10), input("u", labs.into_iter().rev().collect(), 20)];
        let mut shapes = std::collections::BTreeSet::new();
        for (sql, expected) in [
            ("SELECT t.lab, t.v, l.zone FROM t JOIN ref.labs AS l ON l.lab = t.lab", 8),
            ("SELECT l.zone, t.v FROM ref.labs AS l JOIN t ON l.lab = t.lab WHERE t.v > 1", 6),
            ("SELECT t.v + 1 AS w, l.zone FROM t LEFT JOIN ref.labs AS l ON l.lab = t.lab", 10),
            ("SELECT t.v, l.zone FROM ref.labs AS l RIGHT JOIN t ON l.lab = t.lab AND t.v > 1", 10),
            ("SELECT v FROM t WHERE lab IN (SELECT lab FROM ref.labs WHERE zone <> 'west')", 3),
            (
                "SELECT v FROM t WHERE NOT EXISTS (SELECT 1 FROM ref.labs AS l WHERE l.lab = t.lab)",
                2,
            ),
            ("SELECT v FROM t WHERE v > 3 OR lab IN (SELECT lab FROM ref.labs)", 5),
            (
                "SELECT t.v, l.zone, m.zone AS other FROM t JOIN ref.labs AS l ON l.lab = t.lab \
              JOIN ref.labs AS m ON m.lab = l.lab AND m.zone <> l.zone",
                6,
            ),
            (
                "SELECT t.v, l.zone FROM t JOIN ref.labs AS l ON l.lab = t.lab UNION ALL \
              SELECT u.v, u.lab FROM u",
                15,
            ),
            (
                "SELECT t.v, l.zone FROM t JOIN ref.labs AS l ON l.lab = t.lab ORDER BY l.zone DESC",
                8,
            ),
        ] {
            let query = query::plan(&context, sql, true).await.unwrap();
            let Way::RowLevel(RowWise::Plan(numbered)) = &query.way else { panic!("{sql}") };
            let executor = Executor::new(context.task_ctx(), Handle::current());
            shapes.extend(
                query.display().lines().map(|line| {
                    line.trim().split([',', ' ']).take(3).collect::<Vec<_>>().join(" ")
                }),
            );
            let mut alone: Vec<(String, u32)> = Vec::new();
            let mut number = 0;
            for input in &inputs {
                for row in 0..input.rows.num_rows() {
                    for rows in executor.run_over(&query.plan, &[input.slice(row, 1)]).unwrap() {
                        alone.extend(texts(&rows).into_iter().map(|text| (text, number)));
                    }
                    number += 1;
                }
            }
            let (rows, from) = numbered.run(&executor, &inputs).unwrap().expect("there are rows");
            assert_eq!(rows.schema().fields(), query.schema.fields(), "{sql}");
            let at_once: Vec<(String, u32)> =
                texts(&rows).into_iter().zip(from.values().iter().copied()).collect();
            assert_eq!(at_once, alone, "{sql}");
            assert_eq!(alone.len(), expected, "{sql}: {alone:?}");
        }
        let has = |text: &str| shapes.iter().any(|shape| shape.contains(text));
        assert!(has("HashJoinExec") && has("FilterExec") && has("UnionExec"), "{shapes:?}");
    }

    #[tokio::test]
    async fn rows_of_no_event_are_refused() {
        let sql = "SELECT t.v, l.zone FROM t JOIN ref.labs AS l ON l.lab = t.lab UNION ALL \
                   SELECT 1, 'x'";
        let refused = query::plan(&context().await, sql, true).await.expect_err("no event");
        assert!(refused.to_string().contains("reads no relation, so its rows"), "{refused}");
    }
}
