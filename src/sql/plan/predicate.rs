//! Conditions over a table's rows, as alert rules state them.
//!
//! A condition that cannot be evaluated on a row (a cast, an overflow) says so of that row and goes
//! on with the others: what a user has written wrong is a value here, not an error. A division by
//! zero is null, as in SQL, where DataFusion's would be an error for integers.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use datafusion::sql::unparser::expr_to_sql;

use crate::sql::mask::mask;

/// Evaluations that look for the rows on which a condition fails, per batch of rows. Beyond it the
/// rows not looked at count as failed: a condition that fails everywhere must not cost a plan's
/// worth of time for each row.
const SEARCH_LIMIT: usize = 1_024;

/// A condition, compiled.
#[derive(Clone, Debug)]
pub struct Predicate {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns that it names, in the order of the text.
    pub columns: Vec<String>,
    /// What it divides by that may be zero, as SQL, in the order of the text.
    pub divisors: Vec<String>,
}

/// What a condition says of each row.
#[derive(Clone, Debug)]
pub struct Holds {
    /// Where it holds. Null, and a row on which it failed, count as false.
    pub holds: BooleanArray,
    /// The rows on which it failed, when there are any.
    pub failed: Option<Failed>,
}

/// The rows on which a condition could not be evaluated.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which.
    pub rows: BooleanBuffer,
    /// Why the first of them failed, without values of the row.
    pub reason: String,
}

impl Predicate {
    /// Compiles a condition over a table.
    pub fn compile(context: &SessionContext, schema: &DFSchema, text: &str) -> Result<Predicate> {
        let expr = context.parse_sql_expr(text, schema)?;
        let mut columns: Vec<String> =
            expr.column_refs().into_iter().map(|column| column.name().to_owned()).collect();
        columns.sort_by_key(|name| text.find(name.as_str()));
        let mut divisors = Vec::new();
        let expr = null_for_zero(expr, schema, &mut divisors)?;
        let expr = context.create_physical_expr(expr, schema)?;
        let data_type = expr.data_type(schema.as_arrow())?;
        if data_type != arrow::datatypes::DataType::Boolean {
            return plan_err!(
                "`{text}` is a {data_type}, not a condition; compare it with something"
            );
        }
        Ok(Predicate { expr, columns, divisors })
    }

    /// Evaluates the condition on every row.
    pub fn evaluate(&self, rows: &RecordBatch) -> Holds {
        match mask(&self.expr, rows) {
            Ok(holds) => Holds { holds, failed: None },
            Err(error) => Search::over(self, rows, &error),
        }
    }
}

/// Looks for the rows on which a condition fails.
struct Search<'a> {
    predicate: &'a Predicate,
    rows: &'a RecordBatch,
    holds: Vec<bool>,
    failed: Vec<bool>,
    reason: Option<String>,
    evaluations: usize,
}

impl Search<'_> {
    fn over(predicate: &Predicate, rows: &RecordBatch, error: &DataFusionError) -> Holds {
        let count = rows.num_rows();
        let (holds, failed) = (vec![false; count], vec![false; count]);
        let mut search = Search { predicate, rows, holds, failed, reason: None, evaluations: 0 };
        search.within(0..count);
        let reason = search.reason.unwrap_or_else(|| without_values(error));
        Holds {
            holds: BooleanArray::from(search.holds),
            failed: Some(Failed { rows: BooleanBuffer::from(search.failed), reason }),
        }
    }

    fn within(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if self.evaluations == SEARCH_LIMIT {
            self.failed[range].fill(true);
            return;
        }
        self.evaluations += 1;
        let part = self.rows.slice(range.start, range.len());
        match mask(&self.predicate.expr, &part) {
            Ok(mask) => {
                for (place, held) in self.holds[range].iter_mut().zip(mask.values()) {
                    *place = held;
                }
            }
            Err(error) if range.len() == 1 => {
                self.failed[range].fill(true);
                self.reason.get_or_insert_with(|| without_values(&error));
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                self.within(range.start..middle);
                self.within(middle..range.end);
            }
        }
    }
}

/// The error's words; what stands in quotes comes from the data and is left out.
fn without_values(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let parts = text.split(['\'', '"', '`']).enumerate();
    let words: String = parts.map(|(n, part)| if n % 2 == 0 { part } else { "…" }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Divides by null where it would be divided by zero, and tells what may be zero.
fn null_for_zero(expr: Expr, schema: &DFSchema, divisors: &mut Vec<String>) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Divide | Operator::Modulo),
            right,
        }) if !is_never_zero(&right) => {
            let divisor = match right.get_type(schema).and_then(|kind| zeros(&kind)) {
                Ok(zeros) => {
                    let named = expr_to_sql(&right)
                        .map_or_else(|_| right.human_display().to_string(), |sql| sql.to_string());
                    divisors.push(named);
                    zeros.into_iter().fold(*right, |divisor, zero| nullif(divisor, lit(zero)))
                }
                // Not a number: whether it can be divided by is for the planner to say.
                Err(_) => *right,
            };
            let right = Box::new(divisor);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// The zeros of a type: floats have two, which compare as different.
fn zeros(kind: &arrow::datatypes::DataType) -> Result<Vec<ScalarValue>> {
    if !kind.is_numeric() {
        return plan_err!("{kind} is not a number");
    }
    let zero = ScalarValue::new_zero(kind)?;
    let negative = kind.is_floating().then(|| zero.arithmetic_negate()).transpose()?;
    Ok([zero].into_iter().chain(negative).collect())
}

/// Whether a divisor is a number other than zero, or null where it would be zero.
fn is_never_zero(divisor: &Expr) -> bool {
    match divisor {
        Expr::Literal(value, _) => {
            ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero != *value)
        }
        Expr::Cast(cast) => is_never_zero(&cast.expr),
        Expr::Negative(inner) => is_never_zero(inner),
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let zero = |value: &ScalarValue| {
                ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == *value)
            };
            func.name() == "nullif"
                && args
                    .get(1)
                    .is_some_and(|arg| matches!(arg, Expr::Literal(value, _) if zero(value)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};

    fn rows() -> RecordBatch {
        let count = Int64Array::from(vec![Some(1), Some(2), Some(5), Some(0), None]);
        let rate = Float64Array::from(vec![0.0, -0.0, 0.5, 2.0, 4.0]);
        let code = StringArray::from(vec!["1", "x", "3", "L-17", "5"]);
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(count) as ArrayRef, true),
            ("rate", Arc::new(rate) as ArrayRef, false),
            ("code", Arc::new(code) as ArrayRef, false),
        ])
        .unwrap()
    }

    fn compiled(text: &str) -> Predicate {
        let schema = DFSchema::try_from(rows().schema().as_ref().clone()).unwrap();
        Predicate::compile(&crate::sql::plan::planner::bare(), &schema, text).unwrap()
    }

    fn held(text: &str) -> (Vec<bool>, Vec<bool>) {
        let rows = rows();
        let Holds { holds, failed } = compiled(text).evaluate(&rows);
        assert_eq!(holds.null_count(), 0);
        let failed = failed.map_or(vec![false; 5], |failed| failed.rows.iter().collect());
        (holds.values().iter().collect(), failed)
    }

    const NONE: [bool; 5] = [false; 5];

    #[test]
    fn what_is_divided_by_zero_is_null_and_null_does_not_hold() {
        // n/(n-1): 1/0, 2/1, 5/4 = 1 (whole numbers), 0/-1 = 0, null.
        assert_eq!(held("n / (n - 1) > 0"), (vec![false, true, true, false, false], NONE.into()));
        assert_eq!(held("n / (n - 1) IS NULL").0, [true, false, false, false, true]);
        // 10 % 1, 10 % 2, 10 % 5, 10 % 0, null.
        assert_eq!(held("10 % n = 0"), (vec![true, true, true, false, false], NONE.into()));
        // 1/0.0 and 1/-0.0 are null; 2; 0.5; 0.25.
        assert_eq!(held("1 / rate < 1").0, [false, false, false, true, true]);
        assert_eq!(held("1 / rate IS NULL").0, [true, true, false, false, false]);
        assert_eq!(held("(1.5 / n)::double > 0.7").0, [true, true, false, false, false]);
    }

    #[test]
    fn what_may_be_zero_is_named_once_for_each_division() {
        assert_eq!(compiled("rate / (n - 1) > 2 AND n % n = 0").divisors, ["(n - 1)", "n"]);
        for text in ["rate / 2 > 1", "n % 10 = 0", "rate / nullif(n, 0) > 1", "rate / -2.5 > 0"] {
            assert_eq!(compiled(text).divisors, Vec::<String>::new(), "{text}");
        }
        assert_eq!(compiled("rate / 0 > 1").divisors, ["0"]);
        assert_eq!(compiled("n > 1 AND rate > n").columns, ["n", "rate"]);
    }

    #[test]
    fn a_row_that_cannot_be_judged_does_not_hold_and_the_others_are_judged() {
        let (holds, failed) = held("code::bigint >= 3");
        assert_eq!(holds, [false, false, true, false, true]);
        assert_eq!(failed, [false, true, false, true, false]);
        let failed = compiled("code::bigint >= 3").evaluate(&rows()).failed.unwrap();
        assert!(failed.reason.contains("cast"), "{}", failed.reason);
        assert!(!failed.reason.contains("'x'") && !failed.reason.contains("L-17"));
    }

    #[test]
    fn a_condition_that_fails_everywhere_is_given_up_and_every_row_has_failed() {
        let codes: ArrayRef = Arc::new(StringArray::from(vec!["x"; 100_000]));
        let rows = RecordBatch::try_from_iter([("code", codes)]).unwrap();
        let schema = DFSchema::try_from(rows.schema().as_ref().clone()).unwrap();
        let context = crate::sql::plan::planner::bare();
        let predicate = Predicate::compile(&context, &schema, "code::bigint > 1").unwrap();
        let failed = predicate.evaluate(&rows).failed.unwrap();
        assert_eq!(failed.rows.count_set_bits(), 100_000);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let schema = DFSchema::try_from(rows().schema().as_ref().clone()).unwrap();
        let context = crate::sql::plan::planner::bare();
        let error = Predicate::compile(&context, &schema, "n + 1").unwrap_err();
        let expected = "`n + 1` is a Int64, not a condition; compare it with something";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
