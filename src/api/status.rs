//! `health` and `status`: whether the lake answers, and how old what it holds is.

use super::ask::{Ask, Conditions, day, name};
use super::known::WINDOW_START;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::question::{AnswerTold, Asked, Payload, RouteQuestion, RouteTold};
use super::reading::Reading;
use super::span::FiledDays;
use super::tables::summary;
use super::told::{Described, answer};
use crate::flow::Timestamp;
use crate::flow::lake_key::Section;
use crate::lake::read::row::{AnswerRow, rows_of};

answer! {
    /// Whether the lake answers.
    pub struct HealthAnswer {
        /// `ok`; a lake that is away is a problem with status 503.
        pub status: String,
        /// Now.
        pub timestamp: String,
        /// When the lake was listed last.
        pub listed_at: String,
    }
}

answer! {
    /// How old what the lake holds is.
    pub struct StatusAnswer {
        /// Now.
        pub timestamp: String,
        /// When the lake was listed last.
        pub listed_at: String,
        /// When the newest object was put, of those that count.
        pub newest_object_at: Option<String>,
        /// The time of the newest event in the archive; null where there is none.
        pub newest_event_at: Option<String>,
        /// The greatest end of a window whose result is there: event time has passed it, or the input
        /// has ended.
        pub watermark: Option<String>,
        /// Seconds from the newest event, or the watermark where there is no archive, to now; null where
        /// there is neither.
        pub age_seconds: Option<f64>,
        /// Each table.
        pub tables: Vec<TableStatus>,
    }
}

answer! {
    /// How old a table is.
    pub struct TableStatus {
        /// The table.
        pub name: String,
        /// The last day that will not change any more, with all days before it.
        pub settled_through: Option<String>,
        /// The greatest end of a window, or time of a row, of its newest day.
        pub data_through: Option<String>,
    }
}

/// The question whether the lake answers.
pub struct HealthQuestion;

/// The question how old it is.
pub struct StatusQuestion;

impl RouteQuestion for HealthQuestion {
    const IS_OPEN: bool = true;

    fn told() -> RouteTold {
        RouteTold {
            path: "/health",
            is_open: Self::IS_OPEN,
            summary: "Whether the lake answers; 503 where it does not, with since when.",
            parameters: Vec::new(),
            answer: AnswerTold::Object(HealthAnswer::schema),
        }
    }

    async fn read(_: &Reading, asked: Asked) -> Result<HealthQuestion, NoAnswer> {
        asked.parameters.end()?;
        Ok(HealthQuestion)
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        None
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        Payload::object(&HealthAnswer {
            status: "ok".to_owned(),
            timestamp: reading.now.to_rfc3339(),
            listed_at: reading.listed_at.to_rfc3339(),
        })
    }
}

impl RouteQuestion for StatusQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/status",
            is_open: Self::IS_OPEN,
            summary: "How old the data is, as a whole and by table.",
            parameters: Vec::new(),
            answer: AnswerTold::Object(StatusAnswer::schema),
        }
    }

    async fn read(_: &Reading, asked: Asked) -> Result<StatusQuestion, NoAnswer> {
        asked.parameters.end()?;
        Ok(StatusQuestion)
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        None
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let is_section = |name: &str| Section::ALL.iter().any(|section| section.as_str() == name);
        let (mut tables, mut watermark, mut event) = (Vec::new(), None, None);
        for table in reading.tables() {
            let Through { at, is_window } = through(reading, &table).await?;
            if is_window && !is_section(&table) {
                watermark = watermark.max(at);
            }
            if table == Section::Events.as_str() {
                event = at;
            }
            let known = reading.known().table(&table);
            let settled_through = summary(reading, &table, &known).settled_through;
            let data_through = at.map(Timestamp::to_rfc3339);
            tables.push(TableStatus { name: table, settled_through, data_through });
        }
        let newest = reading.newest_object_at();
        let age = event.or(watermark).map(|at| (reading.now.0.saturating_sub(at.0)).max(0));
        Payload::object(&StatusAnswer {
            timestamp: reading.now.to_rfc3339(),
            listed_at: reading.listed_at.to_rfc3339(),
            newest_object_at: newest.map(Timestamp::to_rfc3339),
            newest_event_at: event.map(Timestamp::to_rfc3339),
            watermark: watermark.map(Timestamp::to_rfc3339),
            age_seconds: age.map(|micros| micros as f64 / 1e6),
            tables,
        })
    }
}

/// How far a table's rows reach.
#[derive(Default)]
struct Through {
    at: Option<Timestamp>,
    /// Whether it is the end of a window, not the time of a row.
    is_window: bool,
}

/// Reads how far the rows of a table's newest day reach.
async fn through(reading: &Reading, table: &str) -> Result<Through, NoAnswer> {
    let objects = reading.objects(table, FiledDays::default());
    let Some(newest) = objects.iter().map(|object| object.key.date()).max() else {
        return Ok(Through::default());
    };
    let schema = reading.columns(table).await?;
    let Some(time) = reading.known().time_of(table, &schema) else { return Ok(Through::default()) };
    let is_window = time == WINDOW_START && schema.column_with_name("window_end").is_some();
    let column = if is_window { "window_end".to_owned() } else { time };
    let mut conditions = Conditions::default();
    if reading.is_dated(table) {
        let place = conditions.value(day(newest));
        conditions.and(format!("\"date\" = {place}"));
    }
    let (column, table) = (name(&column), name(table));
    let sql =
        format!("SELECT CAST(max({column}) AS BIGINT) AS at FROM {table} {}", conditions.clause());
    let at = first(reading, conditions.ask(sql)).await?.and_then(|row| row.time("at"));
    Ok(Through { at, is_window })
}

async fn first(reading: &Reading, ask: Ask) -> Result<Option<AnswerRow>, NoAnswer> {
    let found = reading.rows(ask).await?;
    let rows = found.batches.iter().find(|batch| batch.num_rows() > 0).map(rows_of);
    let rows = rows
        .transpose()
        .map_err(|error| ProblemDetails::new(ProblemKind::Failed, error.to_string()))?;
    Ok(rows.and_then(|rows| rows.into_iter().next()))
}
