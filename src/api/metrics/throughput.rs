//! `metrics/throughput`: completed tests by hour or day.

use serde::Serialize;
use serde_json::{Value, json};

use super::filter::{MetricFilter, answers};
use crate::api::known::WINDOW_START;
use crate::api::parameters::Parameters;
use crate::api::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use crate::api::question::{
    ASSAY_PARAMETER, AnswerTold, Asked, FROM_PARAMETER, GRAIN_PARAMETER, GRAINS, LAB_PARAMETER,
    Payload, RouteQuestion, RouteTold, TO_PARAMETER,
};
use crate::api::reading::Reading;
use crate::api::span::FiledDays;
use crate::api::told::{Described, Schemas, answer};
use crate::lake::read::row::AnswerRow;

/// How long a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PointGrain {
    /// An hour, UTC.
    Hour,
    /// A day of the laboratory's own calendar.
    Day,
}

answer! {
    /// Completed tests in time.
    pub struct ThroughputAnswer {
        /// The points that have rows, in the order of time. One of 0 is a laboratory that was silent.
        pub data: Vec<ThroughputPoint>,
        /// How long a point is.
        pub grain: PointGrain,
    }
}

answer! {
    /// One hour or day.
    pub struct ThroughputPoint {
        /// When it begins: UTC for hours; for days midnight of the laboratory's clock, without a zone.
        pub timestamp: String,
        /// Tests completed.
        pub count: u64,
    }
}

/// The question.
pub struct ThroughputQuestion {
    filter: MetricFilter,
    grain: PointGrain,
}

impl Described for PointGrain {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "string", "enum": GRAINS })
    }
}

impl PointGrain {
    fn take(parameters: &mut Parameters) -> Result<PointGrain, NoAnswer> {
        match parameters.one("grain")?.as_deref() {
            None | Some("hour") => Ok(PointGrain::Hour),
            Some("day") => Ok(PointGrain::Day),
            Some(other) => {
                let text = format!("`grain` is {}; write hour or day", quoted(other));
                Err(ProblemDetails::new(ProblemKind::Value, text).of("grain").allowing(GRAINS))
            }
        }
    }

    fn table(self) -> &'static str {
        match self {
            PointGrain::Hour => "throughput_1h",
            PointGrain::Day => "throughput_day",
        }
    }

    /// The column that begins a point.
    fn column(self) -> &'static str {
        match self {
            PointGrain::Hour => WINDOW_START,
            PointGrain::Day => "date",
        }
    }
}

impl RouteQuestion for ThroughputQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/metrics/throughput",
            is_open: Self::IS_OPEN,
            summary: "Tests completed by hour or day; hours and days that begin within the period.",
            parameters: vec![
                GRAIN_PARAMETER,
                LAB_PARAMETER,
                ASSAY_PARAMETER,
                FROM_PARAMETER,
                TO_PARAMETER,
            ],
            answer: AnswerTold::Object(ThroughputAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<ThroughputQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let grain = PointGrain::take(&mut parameters)?;
        let filter = MetricFilter::take(&mut parameters, true)?;
        parameters.end()?;
        filter.check(reading, grain.table()).await?;
        Ok(ThroughputQuestion { filter, grain })
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.filter.decided_by(&[self.grain.table()])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let ThroughputQuestion { filter, grain } = self;
        let conditions = filter.conditions(WINDOW_START);
        let column = grain.column();
        let sql = format!(
            "SELECT {column} AS at, sum(completed) AS n FROM {} {} GROUP BY {column} ORDER BY {column}",
            grain.table(),
            conditions.clause()
        );
        let rows = answers(reading, conditions.ask(sql)).await?;
        let data = rows.iter().map(|row| point(row, grain)).collect();
        Payload::object(&ThroughputAnswer { data, grain })
    }
}

fn point(row: &AnswerRow, grain: PointGrain) -> ThroughputPoint {
    let at = row.string("at");
    let timestamp = match grain {
        PointGrain::Hour => at,
        PointGrain::Day => format!("{at}T00:00:00"),
    };
    ThroughputPoint { timestamp, count: row.count("n") }
}
