//! `metrics/sla`: completed tests that took longer than their target.

use super::filter::{MetricFilter, answers, rate};
use crate::api::problem::NoAnswer;
use crate::api::question::{
    ASSAY_PARAMETER, AnswerTold, Asked, FROM_PARAMETER, LAB_PARAMETER, Payload, RouteQuestion,
    RouteTold, TO_PARAMETER,
};
use crate::api::reading::Reading;
use crate::api::span::FiledDays;
use crate::api::told::{Described, answer};
use crate::lake::read::row::AnswerRow;

const TABLE: &str = "completions";
const COMPLETED_AT: &str = "completed_at";
/// Breaches that are named.
const SAMPLES: usize = 20;

answer! {
    /// Completed tests beyond their targets.
    pub struct SlaAnswer {
        /// Tests that took longer than their own target; exactly the target is none.
        pub breach_count: u64,
        /// Completed tests whose time and target are known.
        pub total_completed: u64,
        /// breach_count ÷ total_completed; null where there were none.
        pub breach_rate: Option<f64>,
        /// Completed tests that cannot be judged, and are in none of the counts above.
        pub unjudged: u64,
        /// Up to 20 breaches, those furthest beyond their target first.
        pub sample_breaches: Vec<SampleBreach>,
    }
}

answer! {
    /// One test beyond its target.
    pub struct SampleBreach {
        /// The laboratory.
        pub lab_id: String,
        /// The tube.
        pub specimen_id: String,
        /// The test; null where the feed does not name it.
        pub assay: Option<String>,
        /// The instrument; null where the feed does not name it.
        pub machine_id: Option<String>,
        /// Receipt to verification.
        pub turnaround_time_minutes: f64,
        /// What it was to be at most.
        pub target_minutes: f64,
        /// When it was received, UTC.
        pub received_at: Option<String>,
        /// When it was verified, UTC.
        pub processed_at: Option<String>,
    }
}

/// The question.
pub struct SlaQuestion(MetricFilter);

impl RouteQuestion for SlaQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/metrics/sla",
            is_open: Self::IS_OPEN,
            summary: "Tests completed within the period that took longer than their target.",
            parameters: vec![LAB_PARAMETER, ASSAY_PARAMETER, FROM_PARAMETER, TO_PARAMETER],
            answer: AnswerTold::Object(SlaAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<SlaQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let filter = MetricFilter::take(&mut parameters, true)?;
        parameters.end()?;
        filter.check(reading, TABLE).await?;
        Ok(SlaQuestion(filter))
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.0.decided_by(&[TABLE])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let conditions = self.0.conditions(COMPLETED_AT);
        let sql = format!(
            "SELECT count(*) AS completed, \
             count(CASE WHEN tat_minutes <= target_minutes THEN 1 END) AS within, \
             count(CASE WHEN tat_minutes > target_minutes THEN 1 END) AS breached \
             FROM {TABLE} {}",
            conditions.clause()
        );
        let rows = answers(reading, conditions.ask(sql)).await?;
        let row = rows.first().cloned().unwrap_or_default();
        let breached = row.count("breached");
        let judged = row.count("within") + breached;
        let mut conditions = self.0.conditions(COMPLETED_AT);
        conditions.and("tat_minutes > target_minutes".to_owned());
        let sql = format!(
            "SELECT lab_id, specimen_id, assay, machine_id, tat_minutes, target_minutes, \
             received_at, completed_at FROM {TABLE} {} \
             ORDER BY tat_minutes - target_minutes DESC, completed_at, lab_id, specimen_id, assay \
             LIMIT {SAMPLES}",
            conditions.clause()
        );
        let samples = answers(reading, conditions.ask(sql)).await?;
        Payload::object(&SlaAnswer {
            breach_count: breached,
            total_completed: judged,
            breach_rate: rate(breached, judged),
            unjudged: row.count("completed").saturating_sub(judged),
            sample_breaches: samples.iter().filter_map(sample).collect(),
        })
    }
}

fn sample(row: &AnswerRow) -> Option<SampleBreach> {
    let text = |column: &str| row.text(column).map(str::to_owned);
    Some(SampleBreach {
        lab_id: row.string("lab_id"),
        specimen_id: row.string("specimen_id"),
        assay: text("assay"),
        machine_id: text("machine_id"),
        turnaround_time_minutes: row.number("tat_minutes")?,
        target_minutes: row.number("target_minutes")?,
        received_at: text("received_at"),
        processed_at: text("completed_at"),
    })
}
