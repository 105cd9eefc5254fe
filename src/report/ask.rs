//! The lake → answers: the reading edge of the report.

use super::question::Question;
use super::reading::Answers;
use crate::lake::read::{LakeView, LakeViewError};

/// A question that the lake does not answer.
#[derive(Debug, thiserror::Error)]
#[error("could not ask the lake for {question:?}")]
pub struct Unanswered {
    question: Question,
    #[source]
    source: LakeViewError,
}

/// Asks every question.
pub async fn ask(view: &LakeView) -> Result<Answers, Unanswered> {
    let mut answers = Answers::new();
    for question in Question::ALL {
        let rows = view.rows(question.sql()).await;
        let rows = rows.map_err(|source| Unanswered { question, source })?;
        answers.insert(question, rows);
    }
    Ok(answers)
}
