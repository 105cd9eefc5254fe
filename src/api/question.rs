//! What a route is: a question that is read from a request, the objects that it reads, its answer, and
//! what the API's description says of it.

use serde::Serialize;
use serde_json::Value;

use super::form::RowForm;
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::reading::{AnswerRows, Reading};
use super::span::FiledDays;
use super::told::Schemas;

/// A request, as far as a question is read from it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The first name in the path; empty where there is none.
    pub name: String,
    /// The second one.
    pub id: String,
    /// The URL's query.
    pub parameters: Parameters,
    /// The header `Accept`.
    pub accept: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Payload {
    /// One JSON object.
    Object(Vec<u8>),
    /// Rows of a table.
    Page {
        /// In which form.
        form: RowForm,
        /// Of which table.
        table: String,
        /// The rows.
        rows: AnswerRows,
        /// Where the next page begins; nothing behind the last one.
        next: Option<String>,
    },
}

impl Payload {
    /// One JSON object.
    ///
    /// # Errors
    /// Where it cannot be written, which is our own fault.
    pub fn object<T: Serialize>(answer: &T) -> Result<Payload, NoAnswer> {
        let bytes = serde_json::to_vec(answer);
        bytes
            .map(Payload::Object)
            .map_err(|error| ProblemDetails::new(ProblemKind::Failed, error.to_string()))
    }
}

/// A route.
pub trait RouteQuestion: Sized + Send + 'static {
    /// Whether it is answered without a token.
    const IS_OPEN: bool = false;

    /// What the API's description says of it.
    fn told() -> RouteTold;

    /// Reads the question from a request.
    fn read(reading: &Reading, asked: Asked)
    -> impl Future<Output = Result<Self, NoAnswer>> + Send;

    /// The tables and days that decide the answer; nothing where it depends on the clock too.
    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>>;

    /// The answer.
    fn answer(self, reading: &Reading) -> impl Future<Output = Result<Payload, NoAnswer>> + Send;
}

/// What the API's description says of a route.
#[derive(Clone, Debug)]
pub struct RouteTold {
    /// The path, with names in braces.
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The parameters.
    pub parameters: Vec<ParameterTold>,
    /// Whether it is answered without a token.
    pub is_open: bool,
    /// What the answer is.
    pub answer: AnswerTold,
}

/// What the API's description says of an answer.
#[derive(Clone, Copy, Debug)]
pub enum AnswerTold {
    /// One JSON object, with its schema.
    Object(fn(&mut Schemas) -> Value),
    /// Rows of a table.
    Rows,
    /// Server-sent events.
    Events,
}

/// What the API's description says of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct ParameterTold {
    /// The name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it may stand more than once.
    pub many: bool,
    /// What it may say.
    pub kind: ParameterKind,
}

/// What a parameter may say.
#[derive(Clone, Copy, Debug)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// An instant or a day.
    Time,
    /// A whole number from 1 to so many.
    UpTo(u64),
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// Rows of a page at most.
pub const MOST_ROWS: u64 = 100_000;
/// Tests of an answer at most.
pub const MOST_TESTS: u64 = 1000;
/// Stages of a deadline that has not ended.
pub const STAGES: [&str; 2] = ["at_risk", "breached"];
/// How long a point may be.
pub const GRAINS: [&str; 2] = ["hour", "day"];

impl ParameterTold {
    const fn one(
        name: &'static str,
        kind: ParameterKind,
        description: &'static str,
    ) -> ParameterTold {
        ParameterTold { name, description, many: false, kind }
    }

    const fn many(name: &'static str, description: &'static str) -> ParameterTold {
        ParameterTold { name, description, many: true, kind: ParameterKind::Text }
    }
}

/// The laboratories.
pub const LAB_PARAMETER: ParameterTold =
    ParameterTold::many("lab", "only rows of this laboratory; may stand more than once");
/// The assays.
pub const ASSAY_PARAMETER: ParameterTold =
    ParameterTold::many("assay", "only rows of this assay; may stand more than once");
/// The tables of a stream.
pub const STREAM_TABLE_PARAMETER: ParameterTold =
    ParameterTold::many("table", "only rows of this table, `alerts` too; may stand more than once");
/// The laboratories of a stream.
pub const STREAM_LAB_PARAMETER: ParameterTold = LAB_PARAMETER;
/// The assays of a stream.
pub const STREAM_ASSAY_PARAMETER: ParameterTold =
    ParameterTold::many("assay", "only rows of this assay; of a table without assays none");
/// The beginning.
pub const FROM_PARAMETER: ParameterTold = ParameterTold::one(
    "from",
    ParameterKind::Time,
    "the first instant (RFC 3339) or UTC day within the period",
);
/// The end.
pub const TO_PARAMETER: ParameterTold = ParameterTold::one(
    "to",
    ParameterKind::Time,
    "the first instant (RFC 3339) or UTC day behind the period",
);
/// The columns.
pub const COLUMNS_PARAMETER: ParameterTold = ParameterTold::one(
    "columns",
    ParameterKind::Text,
    "the columns to give, with commas between; without it, all",
);
/// The limit.
pub const LIMIT_PARAMETER: ParameterTold = ParameterTold::one(
    "limit",
    ParameterKind::UpTo(MOST_ROWS),
    "how many rows at most, 1 to 100000; without it, 1000",
);
/// The limit of open tests.
pub const OPEN_LIMIT_PARAMETER: ParameterTold = ParameterTold::one(
    "limit",
    ParameterKind::UpTo(MOST_TESTS),
    "how many tests at most, 1 to 1000; without it, 100",
);
/// The stage of a deadline.
pub const STAGE_PARAMETER: ParameterTold = ParameterTold {
    name: "stage",
    description: "only tests at this stage; may stand more than once",
    many: true,
    kind: ParameterKind::OneOf(&STAGES),
};
/// How a breach may stand.
pub const ALERT_STATES: [&str; 3] = ["open", "past", "all"];
/// How a breach stands.
pub const STATE_PARAMETER: ParameterTold = ParameterTold::one(
    "state",
    ParameterKind::OneOf(&ALERT_STATES),
    "which breaches; without it, those that are open",
);
/// The limit of breaches.
pub const ALERTS_LIMIT_PARAMETER: ParameterTold = ParameterTold::one(
    "limit",
    ParameterKind::UpTo(MOST_TESTS),
    "how many breaches at most, 1 to 1000; without it, 100",
);
/// What someone says to what they do.
pub const NOTE_PARAMETER: ParameterTold = ParameterTold::one(
    "note",
    ParameterKind::Text,
    "what is to be said of it, 200 characters at most",
);
/// What else is wanted of a specimen.
pub const WITH_PARAMETER: ParameterTold = ParameterTold::one(
    "with",
    ParameterKind::OneOf(&["events"]),
    "`events` gives the events of the archive too, with their places in the input",
);
/// The question in SQL.
pub const SQL_PARAMETER: ParameterTold = ParameterTold::one(
    "sql",
    ParameterKind::Text,
    "one SELECT over the tables of `tables` and over `ref.<name>`",
);
/// The cursor.
pub const CURSOR_PARAMETER: ParameterTold = ParameterTold::one(
    "cursor",
    ParameterKind::Text,
    "where the next page begins, as the last answer said in `next` or `Link`",
);
/// The grain.
pub const GRAIN_PARAMETER: ParameterTold = ParameterTold::one(
    "grain",
    ParameterKind::OneOf(&GRAINS),
    "whether a point is an hour (UTC) or a day of the laboratory's calendar",
);
