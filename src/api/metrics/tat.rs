//! `metrics/tat`: percentiles of the turnaround time, over the tests themselves.

use super::filter::{MetricFilter, answers};
use crate::api::problem::NoAnswer;
use crate::api::question::{
    ASSAY_PARAMETER, AnswerTold, Asked, FROM_PARAMETER, LAB_PARAMETER, Payload, RouteQuestion,
    RouteTold, TO_PARAMETER,
};
use crate::api::reading::Reading;
use crate::api::span::FiledDays;
use crate::api::told::{Described, answer};

/// The tests that are asked: a percentile over several rows is never one of averages.
const TABLE: &str = "completions";
/// p95 is told from so many tests on.
const N_OF_P95: u64 = 20;
/// p99 is told from so many tests on.
const N_OF_P99: u64 = 100;

answer! {
    /// How long tests took from receipt to verification.
    pub struct TatAnswer {
        /// Median in minutes, by linear interpolation (type 7) as all percentiles; null where n = 0.
        pub p50: Option<f64>,
        /// 90th percentile in minutes; null where n = 0.
        pub p90: Option<f64>,
        /// 95th percentile in minutes; null below 20 tests.
        pub p95: Option<f64>,
        /// 99th percentile in minutes; null below 100 tests.
        pub p99: Option<f64>,
        /// The assay that was asked for; null where none or several were.
        pub assay: Option<String>,
        /// Completed tests whose time is known and not negative: those of the percentiles.
        pub total_specimens: u64,
        /// Completed tests, those among them whose time is not known.
        pub completed: u64,
    }
}

/// The question.
pub struct TatQuestion(MetricFilter);

impl RouteQuestion for TatQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/metrics/tat",
            is_open: Self::IS_OPEN,
            summary: "Percentiles of receipt to verification, in minutes, of tests completed within \
                      the period.",
            parameters: vec![ASSAY_PARAMETER, LAB_PARAMETER, FROM_PARAMETER, TO_PARAMETER],
            answer: AnswerTold::Object(TatAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<TatQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let filter = MetricFilter::take(&mut parameters, true)?;
        parameters.end()?;
        filter.check(reading, TABLE).await?;
        Ok(TatQuestion(filter))
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.0.decided_by(&[TABLE])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let filter = self.0;
        let conditions = filter.conditions("completed_at");
        let sql = format!(
            "SELECT count(*) AS completed, count(tat_minutes) AS n, \
             percentile_cont(0.5) WITHIN GROUP (ORDER BY tat_minutes) AS p50, \
             percentile_cont(0.9) WITHIN GROUP (ORDER BY tat_minutes) AS p90, \
             percentile_cont(0.95) WITHIN GROUP (ORDER BY tat_minutes) AS p95, \
             percentile_cont(0.99) WITHIN GROUP (ORDER BY tat_minutes) AS p99 \
             FROM {TABLE} {}",
            conditions.clause()
        );
        let rows = answers(reading, conditions.ask(sql)).await?;
        let row = rows.first().cloned().unwrap_or_default();
        let n = row.count("n");
        let from = |least: u64, column: &str| if n >= least { row.number(column) } else { None };
        Payload::object(&TatAnswer {
            p50: from(1, "p50"),
            p90: from(1, "p90"),
            p95: from(N_OF_P95, "p95"),
            p99: from(N_OF_P99, "p99"),
            assay: filter.assays.first().filter(|_| filter.assays.len() == 1).cloned(),
            total_specimens: n,
            completed: row.count("completed"),
        })
    }
}
