//! `metrics/errors`: errors of machines as a part of their own tests, and by code.

use super::filter::{MetricFilter, answers, rate};
use crate::api::known::WINDOW_START;
use crate::api::problem::NoAnswer;
use crate::api::question::{
    AnswerTold, Asked, FROM_PARAMETER, LAB_PARAMETER, Payload, RouteQuestion, RouteTold,
    TO_PARAMETER,
};
use crate::api::reading::Reading;
use crate::api::span::FiledDays;
use crate::api::told::{Described, answer};

const RATES: &str = "error_rates_day";
const CODES: &str = "error_codes_day";

answer! {
    /// Tests that ended in an error.
    pub struct ErrorsAnswer {
        /// Every machine that is named, those without errors too; its rate is of its own tests.
        pub by_machine: Vec<CategoryErrors>,
        /// Every code that is named; its rate is of all tests that ended.
        pub by_error_code: Vec<CategoryErrors>,
        /// Tests that ended in an error, those of machines and codes without a name too.
        pub total_errors: u64,
        /// Tests that ended: completed or in an error.
        pub total_specimens: u64,
        /// total_errors ÷ total_specimens; null where no test ended.
        pub overall_error_rate: Option<f64>,
    }
}

answer! {
    /// The errors of one machine, or of one code.
    pub struct CategoryErrors {
        /// `machine_id` or `error_code`.
        pub category: String,
        /// The machine or the code.
        pub value: String,
        /// The machine's laboratory; null for codes, which are counted over all that were asked for.
        pub lab_id: Option<String>,
        /// Errors.
        pub count: u64,
        /// What they are a part of.
        pub total: u64,
        /// count ÷ total; null where there is nothing to be a part of.
        pub rate: Option<f64>,
    }
}

/// The question.
pub struct ErrorsQuestion(MetricFilter);

impl RouteQuestion for ErrorsQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/metrics/errors",
            is_open: Self::IS_OPEN,
            summary: "Tests that ended in an error, by machine and by code, of the days that begin \
                      within the period.",
            parameters: vec![LAB_PARAMETER, FROM_PARAMETER, TO_PARAMETER],
            answer: AnswerTold::Object(ErrorsAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<ErrorsQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let filter = MetricFilter::take(&mut parameters, false)?;
        parameters.end()?;
        filter.check(reading, RATES).await?;
        Ok(ErrorsQuestion(filter))
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.0.decided_by(&[RATES, CODES])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let conditions = self.0.conditions(WINDOW_START);
        let sql = format!(
            "SELECT lab_id, machine_id, sum(errors) AS errors, sum(tests) AS tests FROM {RATES} {} \
             GROUP BY lab_id, machine_id ORDER BY lab_id, machine_id",
            conditions.clause()
        );
        let machines = answers(reading, conditions.ask(sql)).await?;
        let conditions = self.0.conditions(WINDOW_START);
        let sql = format!(
            "SELECT error_code, sum(errors) AS errors FROM {CODES} {} \
             GROUP BY error_code ORDER BY error_code",
            conditions.clause()
        );
        let codes = answers(reading, conditions.ask(sql)).await?;
        let sum = |column: &str| machines.iter().map(|row| row.count(column)).sum::<u64>();
        let (errors, tests) = (sum("errors"), sum("tests"));
        let by_machine = machines.iter().filter_map(|row| {
            let (count, total) = (row.count("errors"), row.count("tests"));
            let lab_id = row.text("lab_id").map(str::to_owned);
            Some(category(("machine_id", row.text("machine_id")?), lab_id, (count, total)))
        });
        let by_error_code = codes.iter().filter_map(|row| {
            let count = row.count("errors");
            Some(category(("error_code", row.text("error_code")?), None, (count, tests)))
        });
        Payload::object(&ErrorsAnswer {
            by_machine: by_machine.collect(),
            by_error_code: by_error_code.collect(),
            total_errors: errors,
            total_specimens: tests,
            overall_error_rate: rate(errors, tests),
        })
    }
}

fn category(
    (category, value): (&str, &str),
    lab_id: Option<String>,
    (count, total): (u64, u64),
) -> CategoryErrors {
    let (category, value) = (category.to_owned(), value.to_owned());
    CategoryErrors { category, value, lab_id, count, total, rate: rate(count, total) }
}
