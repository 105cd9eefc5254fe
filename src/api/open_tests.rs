//! `open`: tests that are not done, those that are at risk or late soonest first.
//!
//! Deadlines as they run are those of a table `deadlines`, where the lake keeps one; else the open tests
//! are those that `transitions` tells of, which waited longest first, without deadlines. The answer says
//! which of both it is, and what is missing.

use super::ask::{Conditions, name};
use super::kept::{WantedColumn, is_kept, last_days, selected};
use super::metrics::filter::answers;
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::question::{
    ASSAY_PARAMETER, AnswerTold, Asked, LAB_PARAMETER, MOST_TESTS, OPEN_LIMIT_PARAMETER, Payload,
    RouteQuestion, RouteTold, STAGE_PARAMETER, STAGES,
};
use super::reading::Reading;
use super::span::FiledDays;
use super::specimens::TRANSITIONS;
use super::told::{Described, answer};
use crate::flow::Timestamp;
use crate::lake::read::row::AnswerRow;
use crate::lake::read::scope::LAB;

const DEADLINES: &str = "deadlines";
/// A test that nothing was heard of for a week is abandoned; one day more for calendars.
const DAYS: u64 = 8;
/// Tests of an answer where nothing is said.
const TESTS: u64 = 100;
/// States in which a test waits for nobody.
const FINISHED: &str = "('VERIFIED', 'PUBLISHED', 'STORED', 'DISPOSED', 'REJECTED', 'CANCELLED', \
                        'LOST', 'ABANDONED')";

use WantedColumn::{Instant, Plain};

answer! {
    /// Tests that are not done.
    pub struct OpenAnswer {
        /// The tests.
        pub tests: Vec<OpenTest>,
        /// The table that they are of: `deadlines` or `transitions`; null where the lake keeps neither.
        pub source: Option<String>,
        /// What is missing, and why; null where nothing is.
        pub detail: Option<String>,
    }
}

answer! {
    /// A test that is not done.
    pub struct OpenTest {
        /// The laboratory.
        pub lab_id: Option<String>,
        /// The tube.
        pub specimen_id: Option<String>,
        /// The test; null while none is known.
        pub assay: Option<String>,
        /// S stat, A asap, R routine.
        pub priority: Option<String>,
        /// The state that it stands in.
        pub state: Option<String>,
        /// Since when it stands at this stage, or in this state where no stage is known (RFC 3339).
        pub since: Option<String>,
        /// `at_risk` or `breached`; null where the lake keeps no deadlines.
        pub stage: Option<String>,
        /// When it is to be done; null where the lake keeps no deadlines.
        pub due_at: Option<String>,
        /// Allowable time.
        pub target_minutes: Option<f64>,
        /// The instrument.
        pub machine_id: Option<String>,
        /// `test`, or `hold` of a specimen that waits for its analysis; null where the lake does not tell.
        pub kind: Option<String>,
    }
}

/// The question.
pub struct OpenQuestion {
    labs: Vec<String>,
    assays: Vec<String>,
    stages: Vec<String>,
    limit: u64,
    days: FiledDays,
}

impl RouteQuestion for OpenQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/open",
            is_open: Self::IS_OPEN,
            summary: "Tests that are not done: at risk and late soonest first, where the lake keeps \
                      deadlines; else those that waited longest.",
            parameters: vec![LAB_PARAMETER, ASSAY_PARAMETER, STAGE_PARAMETER, OPEN_LIMIT_PARAMETER],
            answer: AnswerTold::Object(OpenAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<OpenQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let question = OpenQuestion {
            labs: parameters.all("lab"),
            assays: parameters.all("assay"),
            stages: stages(&mut parameters)?,
            limit: parameters.limit(TESTS, MOST_TESTS)?,
            days: last_days(reading, &[DEADLINES, TRANSITIONS], DAYS),
        };
        parameters.end()?;
        let table = [DEADLINES, TRANSITIONS, "completions"].into_iter();
        let mut table = table.filter(|table| is_kept(reading, table));
        if let Some(table) = table.next() {
            reading.know_labs(table, &question.labs).await?;
        }
        Ok(question)
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        let tables = [DEADLINES, TRANSITIONS, "completions"];
        Some(tables.iter().map(|table| ((*table).to_owned(), self.days)).collect())
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        if is_kept(reading, DEADLINES) {
            return self.with_deadlines(reading).await;
        }
        if is_kept(reading, TRANSITIONS) {
            return self.with_states(reading).await;
        }
        let detail = format!(
            "the lake keeps neither a table `{DEADLINES}` nor `{TRANSITIONS}`, so it is not known \
             which tests are open"
        );
        Payload::object(&OpenAnswer { tests: Vec::new(), source: None, detail: Some(detail) })
    }
}

impl OpenQuestion {
    /// Those whose deadline has come close or has passed.
    async fn with_deadlines(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let wanted = [
            Plain("lab_id"),
            Plain("specimen_id"),
            Plain("assay"),
            Plain("priority"),
            Plain("state"),
            Instant("at"),
            Plain("stage"),
            Instant("due_at"),
            Plain("target_minutes"),
            Plain("machine_id"),
            Plain("kind"),
        ];
        // Stages are ours, not the caller's text.
        let stages = STAGES.iter().filter(|stage| {
            self.stages.is_empty() || self.stages.iter().any(|wanted| wanted == *stage)
        });
        let stages: Vec<String> = stages.map(|stage| format!("'{stage}'")).collect();
        let holds = format!("last.stage IN ({})", stages.join(", "));
        let rows = self.last_rows(reading, (DEADLINES, &wanted), &holds, "due_at").await?;
        let tests = rows.iter().map(open_test).collect();
        let source = Some(DEADLINES.to_owned());
        Payload::object(&OpenAnswer { tests, source, detail: None })
    }

    /// Those that are in no final state.
    async fn with_states(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let wanted = [
            Plain("lab_id"),
            Plain("specimen_id"),
            Plain("assay"),
            Plain("priority"),
            Plain("to_state"),
            Instant("at"),
            Plain("machine_id"),
        ];
        let open = format!("last.to_state NOT IN {FINISHED}");
        let rows = self.last_rows(reading, (TRANSITIONS, &wanted), &open, "\"at\"").await?;
        let tests: Vec<OpenTest> =
            if self.stages.is_empty() { rows.iter().map(open_test).collect() } else { Vec::new() };
        let detail = format!(
            "the lake keeps no table `{DEADLINES}`, so deadlines and stages are not known: these are \
             the tests that are not done"
        );
        let source = Some(TRANSITIONS.to_owned());
        Payload::object(&OpenAnswer { tests, source, detail: Some(detail) })
    }

    /// The last row of each test, of those for which something holds.
    async fn last_rows(
        &self,
        reading: &Reading,
        (table, wanted): (&str, &[WantedColumn]),
        holds: &str,
        order: &str,
    ) -> Result<Vec<AnswerRow>, NoAnswer> {
        let Some(columns) = selected(reading, table, wanted).await? else { return Ok(Vec::new()) };
        let mut conditions = Conditions::default();
        conditions.one_of(LAB, &self.labs);
        conditions.one_of("assay", &self.assays);
        conditions.days(self.days);
        // A specimen that waits for its analysis is told of beside its test.
        let by_kind = if columns.contains("kind") { ", kind" } else { "" };
        let sql = format!(
            "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY lab_id, specimen_id, \
             assay{by_kind} ORDER BY \"at\" DESC) AS place FROM {} {}) AS last \
             WHERE last.place = 1 AND {holds} ORDER BY {order}, lab_id, specimen_id, assay LIMIT {}",
            name(table),
            conditions.clause(),
            self.limit
        );
        answers(reading, conditions.ask(sql)).await
    }
}

fn open_test(row: &AnswerRow) -> OpenTest {
    let text = |column: &str| row.text(column).map(str::to_owned);
    let at = |column: &str| row.time(column).map(Timestamp::to_rfc3339);
    OpenTest {
        lab_id: text("lab_id"),
        specimen_id: text("specimen_id"),
        assay: text("assay"),
        priority: text("priority"),
        state: text("state").or_else(|| text("to_state")),
        since: at("at"),
        stage: text("stage"),
        due_at: at("due_at"),
        target_minutes: row.number("target_minutes"),
        machine_id: text("machine_id"),
        kind: text("kind"),
    }
}

fn stages(parameters: &mut Parameters) -> Result<Vec<String>, NoAnswer> {
    let stages = parameters.all("stage");
    match stages.iter().find(|stage| !STAGES.contains(&stage.as_str())) {
        None => Ok(stages),
        Some(other) => {
            let text = format!("`stage` is {}; write at_risk or breached", quoted(other));
            Err(ProblemDetails::new(ProblemKind::Value, text).of("stage").allowing(STAGES))
        }
    }
}
