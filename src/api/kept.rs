//! Tables that a lake may keep or not, and columns that they may have: what routes about single tests read.

use chrono::{Days, NaiveDate};

use super::ask::{Conditions, name};
use super::metrics::filter::answers;
use super::problem::NoAnswer;
use super::reading::Reading;
use super::span::FiledDays;
use crate::lake::read::row::AnswerRow;

/// A column that is wanted where it is there.
#[derive(Clone, Copy, Debug)]
pub enum WantedColumn {
    /// As it is.
    Plain(&'static str),
    /// An instant, as microseconds.
    Instant(&'static str),
}

/// The columns of a table that are wanted and there, as a SELECT names them; nothing where the lake keeps
/// no such table.
///
/// # Errors
/// Where the table cannot be read.
pub async fn selected(
    reading: &Reading,
    table: &str,
    wanted: &[WantedColumn],
) -> Result<Option<String>, NoAnswer> {
    if !is_kept(reading, table) {
        return Ok(None);
    }
    let there = reading.columns(table).await?;
    let columns = wanted.iter().filter_map(|wanted| {
        let (WantedColumn::Plain(column) | WantedColumn::Instant(column)) = wanted;
        there.column_with_name(column)?;
        let quoted = name(column);
        Some(match wanted {
            WantedColumn::Plain(_) => quoted,
            WantedColumn::Instant(_) => format!("CAST({quoted} AS BIGINT) AS {quoted}"),
        })
    });
    Ok(Some(columns.collect::<Vec<_>>().join(", ")))
}

/// Whether the lake or the project has a table.
pub fn is_kept(reading: &Reading, table: &str) -> bool {
    reading.tables().iter().any(|name| name == table)
}

/// The days that are looked at where nobody says: the last ones that some tables have objects of.
pub fn last_days(reading: &Reading, tables: &[&str], most: u64) -> FiledDays {
    let all = FiledDays::default();
    let days = tables.iter().flat_map(|table| reading.objects(table, all));
    let newest: Option<NaiveDate> = days.map(|object| object.key.date()).max();
    let first = newest.and_then(|newest| newest.checked_sub_days(Days::new(most)));
    FiledDays { first, last: None }
}

/// The rows of a table that a lake may keep; none where it does not. `order` stands behind them.
///
/// # Errors
/// Where they cannot be read.
pub async fn rows(
    reading: &Reading,
    (table, wanted): (&str, &[WantedColumn]),
    conditions: Conditions,
    order: &str,
) -> Result<Vec<AnswerRow>, NoAnswer> {
    let Some(columns) = selected(reading, table, wanted).await? else { return Ok(Vec::new()) };
    let sql = format!("SELECT {columns} FROM {} {} {order}", name(table), conditions.clause());
    answers(reading, conditions.ask(sql)).await
}
