//! What the metrics' routes have in common: laboratories, assays, a period, one table.

use crate::api::ask::{Ask, Conditions};
use crate::api::parameters::Parameters;
use crate::api::problem::{NoAnswer, ProblemDetails, ProblemKind};
use crate::api::reading::Reading;
use crate::api::span::{Between, FiledDays};
use crate::lake::read::row::{AnswerRow, rows_of};
use crate::lake::read::scope::LAB;

/// What a metric is asked of.
#[derive(Clone, Debug, Default)]
pub struct MetricFilter {
    /// These laboratories; all where there are none.
    pub labs: Vec<String>,
    /// These assays; all where there are none.
    pub assays: Vec<String>,
    /// The period.
    pub between: Between,
}

impl MetricFilter {
    /// Takes `lab`, `assay` where the route knows it, `from` and `to`.
    ///
    /// # Errors
    /// Where one is wrong.
    pub fn take(parameters: &mut Parameters, by_assay: bool) -> Result<MetricFilter, NoAnswer> {
        Ok(MetricFilter {
            labs: parameters.all("lab"),
            assays: if by_assay { parameters.all("assay") } else { Vec::new() },
            between: Between::take(parameters)?,
        })
    }

    /// Refuses laboratories that nobody knows.
    ///
    /// # Errors
    /// As [`Reading::know_labs`].
    pub async fn check(&self, reading: &Reading, table: &str) -> Result<(), NoAnswer> {
        reading.know_labs(table, &self.labs).await
    }

    /// The conditions on a table whose rows' time is in a column.
    pub fn conditions(&self, time: &str) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.one_of(LAB, &self.labs);
        conditions.one_of("assay", &self.assays);
        conditions.between(time, self.between);
        conditions.days(self.between.days());
        conditions
    }

    /// What decides an answer that reads some tables.
    pub fn decided_by(&self, tables: &[&str]) -> Option<Vec<(String, FiledDays)>> {
        let days = self.between.days();
        Some(tables.iter().map(|table| ((*table).to_owned(), days)).collect())
    }
}

/// The rows of a question, as texts and numbers.
///
/// # Errors
/// Where they cannot be read.
pub async fn answers(reading: &Reading, ask: Ask) -> Result<Vec<AnswerRow>, NoAnswer> {
    let found = reading.rows(ask).await?;
    let mut rows = Vec::with_capacity(found.count());
    for batch in &found.batches {
        let more = rows_of(batch);
        rows.extend(
            more.map_err(|error| ProblemDetails::new(ProblemKind::Failed, error.to_string()))?,
        );
    }
    Ok(rows)
}

/// A part of a whole; nothing where there is no whole.
pub fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
