//! The lake → answers: the reading edge of the report.

use std::collections::BTreeSet;

use super::charts::ShownPeriod;
use super::question::Question;
use super::reading::Answers;
use crate::flow::{Span, Timestamp};
use crate::lake::read::{LakeView, LakeViewError};

/// The most days that a report is about where nobody says.
const DAYS: i64 = 7;

/// A question that the lake does not answer.
#[derive(Debug, thiserror::Error)]
#[error("could not ask the lake for {question:?}")]
pub struct Unanswered {
    question: Question,
    #[source]
    source: LakeViewError,
}

/// Asks every question of the whole lake.
///
/// # Errors
/// Names the question that is not answered.
pub async fn ask(view: &LakeView) -> Result<Answers, Unanswered> {
    let mut answers = Answers::new();
    for question in Question::ALL {
        let rows = view.rows(&question.sql()).await;
        let rows = rows.map_err(|source| Unanswered { question, source })?;
        answers.insert(question, rows);
    }
    Ok(answers)
}

/// Asks every question within a period. A table that nobody knows has no rows, and is named.
///
/// # Errors
/// Names the question that is not answered.
pub async fn ask_within(
    view: &LakeView,
    period: ShownPeriod,
) -> Result<(Answers, BTreeSet<String>), Unanswered> {
    let (mut answers, mut lacking) = (Answers::new(), BTreeSet::new());
    for question in Question::ALL {
        let (sql, values) = question.within(period);
        match view.rows_with(&sql, values).await {
            Ok(rows) => drop(answers.insert(question, rows)),
            Err(LakeViewError::UnknownTable { table, .. }) => drop(lacking.insert(table)),
            Err(source) => return Err(Unanswered { question, source }),
        }
    }
    Ok((answers, lacking))
}

/// The last days that have completed tests, a week at most, in whole days of UTC; nothing where no test
/// was ever completed.
///
/// # Errors
/// Where the lake does not answer.
pub async fn last_days(view: &LakeView) -> Result<Option<ShownPeriod>, Unanswered> {
    const ENDS: &str = "SELECT CAST(min(completed_at) AS BIGINT) AS first_us, \
                        CAST(max(completed_at) AS BIGINT) AS last_us FROM completions";
    let rows = match view.rows(ENDS).await {
        Err(LakeViewError::UnknownTable { .. }) => Vec::new(),
        asked => asked.map_err(|source| Unanswered { question: Question::Overall, source })?,
    };
    let ends = rows.first().and_then(|row| Some((row.time("first_us")?, row.time("last_us")?)));
    Ok(ends.map(|(first, last)| days_between(first, last)))
}

fn days_between(first: Timestamp, last: Timestamp) -> ShownPeriod {
    let to = Timestamp::midnight(last.date()).plus(Span::DAY);
    let week = to.minus(Span(DAYS * Span::DAY.0));
    ShownPeriod { from: week.max(Timestamp::midnight(first.date())), to }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_days_are_whole_and_a_week_at_most() {
        // 2026-03-01T00:00:00Z.
        let first = Timestamp(1_772_323_200_000_000);
        let days = |count: i64| Span(count * Span::DAY.0);
        let last = first.plus(days(2)).plus(Span::HOUR);
        let of_three = ShownPeriod { from: first, to: first.plus(days(3)) };
        assert_eq!(days_between(first.plus(Span::MINUTE), last), of_three);
        let last = first.plus(days(100));
        let of_week = ShownPeriod { from: first.plus(days(94)), to: first.plus(days(101)) };
        assert_eq!(days_between(first, last), of_week);
    }
}
