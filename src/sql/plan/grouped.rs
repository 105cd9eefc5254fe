//! By what an aggregating query's rows are told apart: which of its output columns come from what it
//! groups by.
//!
//! Looks through what passes rows on as they are or drops some (projections, filters, sorts). Of
//! queries whose rows come otherwise (window functions, limits, joins above the aggregate) it says
//! nothing.

use std::collections::BTreeSet;

use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// What a query groups by.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// What it groups by, as it is written; constants are left out by [`Grouping::needed`].
    pub groups: Vec<String>,
    /// By output column: the groups that it is computed from, and nothing else; `None` where it tells
    /// something of the group's rows.
    pub columns: Vec<Option<BTreeSet<usize>>>,
    constant: BTreeSet<usize>,
}

impl Grouping {
    /// What a planned query groups by; `None` when that is not plain.
    pub fn of(plan: &LogicalPlan) -> Option<Grouping> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let mut grouped = Grouping::of(&projection.input)?;
                let schema = projection.input.schema();
                let computed = |expr: &Expr| {
                    let mut from = BTreeSet::new();
                    for column in expr.column_refs() {
                        from.extend(
                            grouped.columns[schema.index_of_column(column).ok()?].as_ref()?,
                        );
                    }
                    Some(from)
                };
                grouped.columns = projection.expr.iter().map(computed).collect();
                Some(grouped)
            }
            LogicalPlan::Filter(filter) => Grouping::of(&filter.input),
            LogicalPlan::SubqueryAlias(alias) => Grouping::of(&alias.input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Grouping::of(&sort.input),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let names = input.schema().fields().iter().map(|field| field.name().clone());
                Some(Grouping::by(names.collect(), BTreeSet::new(), 0))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let by = &aggregate.group_expr;
                if by.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
                    return None;
                }
                let names = by.iter().map(written).collect();
                let constant = by.iter().enumerate();
                let constant = constant.filter(|(_, expr)| expr.column_refs().is_empty());
                let constant = constant.map(|(group, _)| group).collect();
                Some(Grouping::by(names, constant, aggregate.aggr_expr.len()))
            }
            _ => None,
        }
    }

    fn by(groups: Vec<String>, constant: BTreeSet<usize>, figures: usize) -> Grouping {
        let known = (0..groups.len()).map(|group| Some(BTreeSet::from([group])));
        let columns = known.chain(std::iter::repeat_n(None, figures)).collect();
        Grouping { groups, columns, constant }
    }

    /// The groups by which rows differ.
    pub fn needed(&self) -> impl Iterator<Item = usize> {
        (0..self.groups.len()).filter(|group| !self.constant.contains(group))
    }
}

/// An expression as an author writes it: columns without their table.
fn written(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        other => other.human_display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::planner;

    async fn grouped(sql: &str) -> Option<(Vec<String>, Vec<Option<Vec<usize>>>)> {
        let with = format!("WITH t(lab, assay, v) AS (VALUES ('a', 'K', 1)) {sql}");
        let plan = turnaround_planner::plan(&planner::bare().state(), &with).await.unwrap();
        let grouped = Grouping::of(&plan)?;
        let columns = grouped.columns.iter();
        let columns = columns.map(|from| from.as_ref().map(|from| from.iter().copied().collect()));
        Some((grouped.groups.clone(), columns.collect()))
    }

    #[tokio::test]
    async fn output_columns_are_traced_to_what_is_grouped_by() {
        let sql = "SELECT count(*) AS n, upper(t.lab) AS big, t.assay FROM t \
                   GROUP BY t.lab, t.assay HAVING count(*) > 1 ORDER BY n";
        let (groups, columns) = grouped(sql).await.expect("it is grouped");
        assert_eq!(groups, ["lab", "assay"]);
        assert_eq!(columns, [None, Some(vec![0]), Some(vec![1])]);
        let within = "SELECT s.lab, s.n * 2 AS m FROM (SELECT lab, count(*) AS n FROM t GROUP BY lab) \
                      AS s WHERE s.n > 1";
        let (groups, columns) = grouped(within).await.expect("it is grouped");
        assert_eq!((groups, columns), (vec!["lab".to_owned()], vec![Some(vec![0]), None]));
        let (groups, columns) = grouped("SELECT DISTINCT lab, v FROM t").await.expect("alike");
        assert_eq!((groups.len(), columns), (2, vec![Some(vec![0]), Some(vec![1])]));
    }

    #[tokio::test]
    async fn what_is_not_plain_is_not_said() {
        for sql in [
            "SELECT lab FROM t",
            "SELECT lab, count(*) FROM t GROUP BY ROLLUP (lab)",
            "SELECT lab, count(*) AS n FROM t GROUP BY lab ORDER BY n LIMIT 1",
            "SELECT lab, row_number() OVER (ORDER BY count(*)) FROM t GROUP BY lab",
        ] {
            assert_eq!(grouped(sql).await, None, "{sql}");
        }
    }
}
