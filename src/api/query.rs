//! `query`: one SELECT of the caller's own, over what they may see. Off unless it was enabled.

use super::form::RowForm;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::question::{
    AnswerTold, Asked, LIMIT_PARAMETER, MOST_ROWS, Payload, RouteQuestion, RouteTold, SQL_PARAMETER,
};
use super::reading::Reading;
use super::span::FiledDays;

/// Rows of an answer where nothing is said.
const ROWS: u64 = 1000;
/// Under what name the rows are told, where a table's would stand.
const NAME: &str = "query";

/// The question.
pub struct SqlQuestion {
    sql: String,
    limit: u64,
    form: RowForm,
}

impl RouteQuestion for SqlQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/query",
            is_open: Self::IS_OPEN,
            summary: "The rows of one SELECT of your own; off unless the server was started with \
                      --enable-query.",
            parameters: vec![SQL_PARAMETER, LIMIT_PARAMETER],
            answer: AnswerTold::Rows,
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<SqlQuestion, NoAnswer> {
        if !reading.takes_sql() {
            let text = "questions in SQL are off; start the server with --enable-query";
            return Err(ProblemDetails::new(ProblemKind::Off, text));
        }
        let form = RowForm::accepted(asked.accept.as_deref())?;
        let mut parameters = asked.parameters;
        let sql = parameters.one("sql")?;
        let limit = parameters.limit(ROWS, MOST_ROWS)?;
        parameters.end()?;
        let sql = sql.ok_or_else(|| {
            let text = "write one SELECT in `sql`, as sql=SELECT%20count(*)%20FROM%20completions";
            ProblemDetails::new(ProblemKind::Value, text).of("sql")
        })?;
        Ok(SqlQuestion { sql, limit, form })
    }

    /// A SELECT may ask for the time, or for chance.
    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        None
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let limit = self.limit;
        let rows = reading.select(&self.sql, limit + 1).await?;
        if rows.count() as u64 > limit {
            let text = format!(
                "the answer has more than {limit} rows; end the SELECT with LIMIT, or set `limit` (up to \
                 {MOST_ROWS})"
            );
            return Err(ProblemDetails::new(ProblemKind::TooMuch, text).of("limit"));
        }
        Ok(Payload::Page { form: self.form, table: NAME.to_owned(), rows, next: None })
    }
}
