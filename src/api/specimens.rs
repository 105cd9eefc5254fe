//! `specimens/{lab}/{id}`: what is known of one tube and its tests.
//!
//! The history is that of `transitions`, where the lake keeps it; else the answer says that it does not.

use super::ask::Conditions;
use super::kept::{WantedColumn, is_kept, last_days, rows};
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::question::{
    AnswerTold, Asked, FROM_PARAMETER, Payload, RouteQuestion, RouteTold, TO_PARAMETER,
    WITH_PARAMETER,
};
use super::reading::Reading;
use super::span::{Between, FiledDays};
use super::told::{Described, answer};
use crate::flow::Timestamp;
use crate::lake::read::row::AnswerRow;
use crate::lake::read::scope::LAB;

/// The table of changes of state.
pub const TRANSITIONS: &str = "transitions";
const COMPLETIONS: &str = "completions";
const EVENTS: &str = "events";
/// Days that are looked at where nobody says.
const DAYS: u64 = 31;
/// Rows of each kind that one answer holds.
const MOST: &str = "LIMIT 1000";

use WantedColumn::{Instant, Plain};

const STEP_COLUMNS: [WantedColumn; 9] = [
    Plain("assay"),
    Plain("from_state"),
    Plain("to_state"),
    Instant("at"),
    Plain("seconds_in_state"),
    Plain("machine_id"),
    Plain("error_code"),
    Plain("reject_reason"),
    Plain("implied"),
];
const COMPLETION_COLUMNS: [WantedColumn; 8] = [
    Plain("assay"),
    Instant("received_at"),
    Instant("completed_at"),
    Plain("tat_minutes"),
    Plain("target_minutes"),
    Instant("due_at"),
    Plain("within_target"),
    Plain("target_source"),
];
const EVENT_COLUMNS: [WantedColumn; 9] = [
    Instant("event_time"),
    Plain("event_type"),
    Plain("to_state"),
    Plain("assay"),
    Plain("machine_id"),
    Plain("disposition"),
    Plain("topic"),
    Plain("partition"),
    Plain("offset"),
];

answer! {
    /// What is known of a tube.
    pub struct SpecimenAnswer {
        /// The laboratory.
        pub lab_id: String,
        /// The tube.
        pub specimen_id: String,
        /// Each of its tests, as it stands.
        pub tests: Vec<SpecimenTest>,
        /// Every change of state, in the order of time.
        pub history: Vec<SpecimenStep>,
        /// The events that told of it, in the order of time; only where `with=events` asks for them.
        pub events: Vec<SpecimenEvent>,
        /// The table that the history is of; null where the lake keeps none.
        pub history_source: Option<String>,
        /// What is missing, and why; null where nothing is.
        pub detail: Option<String>,
    }
}

answer! {
    /// A test.
    pub struct SpecimenTest {
        /// The test; null while none is known.
        pub assay: Option<String>,
        /// The state that it stands in; null where the lake keeps no history.
        pub state: Option<String>,
        /// Since when (RFC 3339).
        pub since: Option<String>,
        /// Receipt in the laboratory.
        pub received_at: Option<String>,
        /// First verification; null where it was not completed.
        pub completed_at: Option<String>,
        /// Clock start to verification.
        pub tat_minutes: Option<f64>,
        /// Allowable time; null without a deadline.
        pub target_minutes: Option<f64>,
        /// When it is to be done; known of completed tests.
        pub due_at: Option<String>,
        /// Whether it was completed in time.
        pub within_target: Option<bool>,
        /// What told the target: profile, centre, reference or default.
        pub target_source: Option<String>,
    }
}

answer! {
    /// A change of state.
    pub struct SpecimenStep {
        /// The test; null while none is known.
        pub assay: Option<String>,
        /// The state before; null of a new test.
        pub from_state: Option<String>,
        /// The state after.
        pub to_state: Option<String>,
        /// When (RFC 3339).
        pub at: Option<String>,
        /// Time in the state before.
        pub seconds_in_state: Option<f64>,
        /// The instrument.
        pub machine_id: Option<String>,
        /// Its error code.
        pub error_code: Option<String>,
        /// Why it was rejected.
        pub reject_reason: Option<String>,
        /// Whether a row form told of it together with what came after.
        pub implied: Option<bool>,
    }
}

answer! {
    /// An event of the archive.
    pub struct SpecimenEvent {
        /// When (RFC 3339).
        pub event_time: Option<String>,
        /// What it was.
        pub event_type: Option<String>,
        /// The state that it told of.
        pub to_state: Option<String>,
        /// The test.
        pub assay: Option<String>,
        /// The instrument.
        pub machine_id: Option<String>,
        /// What became of it.
        pub disposition: Option<String>,
        /// Where in the input it stood: the topic or file.
        pub topic: Option<String>,
        /// The partition.
        pub partition: Option<u64>,
        /// The offset.
        pub offset: Option<u64>,
    }
}

/// The question.
pub struct SpecimenQuestion {
    lab: String,
    id: String,
    between: Between,
    days: FiledDays,
    with_events: bool,
}

impl RouteQuestion for SpecimenQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/specimens/{lab}/{id}",
            is_open: Self::IS_OPEN,
            summary: "One tube: its tests as they stand, and their history; of the last 31 days where \
                      no period is named.",
            parameters: vec![FROM_PARAMETER, TO_PARAMETER, WITH_PARAMETER],
            answer: AnswerTold::Object(SpecimenAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<SpecimenQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let between = Between::take(&mut parameters)?;
        let with = parameters.one("with")?;
        parameters.end()?;
        if let Some(other) = with.as_ref().filter(|with| *with != "events") {
            let text = format!("`with` is {}; write events", quoted(other));
            let problem = ProblemDetails::new(ProblemKind::Value, text);
            return Err(problem.of("with").allowing(["events"]));
        }
        let days = if between == Between::default() {
            last_days(reading, &[TRANSITIONS, COMPLETIONS, EVENTS], DAYS)
        } else {
            between.days()
        };
        let with_events = with.is_some();
        Ok(SpecimenQuestion { lab: asked.name, id: asked.id, between, days, with_events })
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        let tables = [TRANSITIONS, COMPLETIONS, EVENTS];
        Some(tables.iter().map(|table| ((*table).to_owned(), self.days)).collect())
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let steps = (TRANSITIONS, &STEP_COLUMNS[..]);
        let steps = rows(reading, steps, self.of("at"), &format!("ORDER BY \"at\" {MOST}")).await?;
        let done = (COMPLETIONS, &COMPLETION_COLUMNS[..]);
        let done = rows(reading, done, self.of("completed_at"), MOST).await?;
        let events = if self.with_events {
            let order = format!("ORDER BY event_time, \"partition\", \"offset\" {MOST}");
            rows(reading, (EVENTS, &EVENT_COLUMNS), self.of("event_time"), &order).await?
        } else {
            Vec::new()
        };
        let kept = is_kept(reading, TRANSITIONS);
        if steps.is_empty()
            && done.is_empty()
            && events.is_empty()
            && !self.is_known(reading).await?
        {
            let text = format!(
                "nothing is known of specimen {} of laboratory {} in this period",
                quoted(&self.id),
                quoted(&self.lab)
            );
            return Err(ProblemDetails::new(ProblemKind::Specimen, text).of("id"));
        }
        let detail = (!kept).then(|| {
            format!("the lake keeps no table `{TRANSITIONS}`, so the history and the state are not known")
        });
        Payload::object(&SpecimenAnswer {
            tests: tests(&steps, &done),
            history: steps.iter().map(step).collect(),
            events: events.iter().map(event).collect(),
            history_source: kept.then(|| TRANSITIONS.to_owned()),
            detail,
            lab_id: self.lab,
            specimen_id: self.id,
        })
    }
}

impl SpecimenQuestion {
    /// The conditions on a table whose rows' time is in a column.
    fn of(&self, time: &str) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.one_of("specimen_id", std::slice::from_ref(&self.id));
        conditions.one_of(LAB, std::slice::from_ref(&self.lab));
        conditions.between(time, self.between);
        conditions.days(self.days);
        conditions
    }

    /// Whether an event told of it.
    async fn is_known(&self, reading: &Reading) -> Result<bool, NoAnswer> {
        let one = rows(reading, (EVENTS, &EVENT_COLUMNS), self.of("event_time"), "LIMIT 1").await?;
        Ok(!one.is_empty())
    }
}

fn text(row: &AnswerRow, column: &str) -> Option<String> {
    row.text(column).map(str::to_owned)
}

fn at(row: &AnswerRow, column: &str) -> Option<String> {
    row.time(column).map(Timestamp::to_rfc3339)
}

fn truth(row: &AnswerRow, column: &str) -> Option<bool> {
    row.text(column)?.parse().ok()
}

fn whole(row: &AnswerRow, column: &str) -> Option<u64> {
    row.number(column).map(|number| number.max(0.0) as u64)
}

/// Each test with its last state and its completion.
fn tests(steps: &[AnswerRow], done: &[AnswerRow]) -> Vec<SpecimenTest> {
    let mut assays: Vec<Option<&str>> =
        steps.iter().chain(done).map(|row| row.text("assay")).collect();
    assays.sort_unstable();
    assays.dedup();
    let test = |assay: Option<&str>| {
        let last = steps.iter().rfind(|row| row.text("assay") == assay);
        let done = done.iter().find(|row| row.text("assay") == assay).cloned().unwrap_or_default();
        let received = steps
            .iter()
            .find(|row| row.text("assay") == assay && row.text("to_state") == Some("RECEIVED"));
        SpecimenTest {
            assay: assay.map(str::to_owned),
            state: last.and_then(|row| text(row, "to_state")),
            since: last.and_then(|row| at(row, "at")),
            received_at: at(&done, "received_at").or_else(|| at(received?, "at")),
            completed_at: at(&done, "completed_at"),
            tat_minutes: done.number("tat_minutes"),
            target_minutes: done.number("target_minutes"),
            due_at: at(&done, "due_at"),
            within_target: truth(&done, "within_target"),
            target_source: text(&done, "target_source"),
        }
    };
    assays.into_iter().map(test).collect()
}

fn step(row: &AnswerRow) -> SpecimenStep {
    SpecimenStep {
        assay: text(row, "assay"),
        from_state: text(row, "from_state"),
        to_state: text(row, "to_state"),
        at: at(row, "at"),
        seconds_in_state: row.number("seconds_in_state"),
        machine_id: text(row, "machine_id"),
        error_code: text(row, "error_code"),
        reject_reason: text(row, "reject_reason"),
        implied: truth(row, "implied"),
    }
}

fn event(row: &AnswerRow) -> SpecimenEvent {
    SpecimenEvent {
        event_time: at(row, "event_time"),
        event_type: text(row, "event_type"),
        to_state: text(row, "to_state"),
        assay: text(row, "assay"),
        machine_id: text(row, "machine_id"),
        disposition: text(row, "disposition"),
        topic: text(row, "topic"),
        partition: whole(row, "partition"),
        offset: whole(row, "offset"),
    }
}
