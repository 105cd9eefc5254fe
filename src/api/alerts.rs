//! `alerts`: breaches of rules, those that are open and those that are over, and who sees to them.
//!
//! A breach is the rows of the section `alerts` of one rule, table, group and beginning. It is over where
//! one of them says so.

use std::collections::BTreeMap;

use super::ask::{Conditions, name};
use super::kept::{is_kept, last_days};
use super::metrics::filter::answers;
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::question::{
    ALERT_STATES, ALERTS_LIMIT_PARAMETER, AnswerTold, Asked, FROM_PARAMETER, LAB_PARAMETER,
    MOST_TESTS, Payload, RouteQuestion, RouteTold, STATE_PARAMETER, TO_PARAMETER,
};
use super::reading::Reading;
use super::span::{Between, FiledDays};
use super::told::{Described, answer};
use crate::access::acknowledge::Acknowledgement;
use crate::flow::Timestamp;
use crate::flow::lake_key::Section;
use crate::lake::read::row::AnswerRow;
use crate::lake::read::scope::LAB;

/// Days that are looked at where nobody says: what goes on has a reminder in each of them.
const DAYS: u64 = 31;
/// Breaches of an answer where nothing is said.
const ALERTS: u64 = 100;

answer! {
    /// Breaches of rules.
    pub struct AlertsAnswer {
        /// The breaches: open ones first, the gravest and newest of them first.
        pub alerts: Vec<AlertTold>,
    }
}

answer! {
    /// A breach of a rule.
    pub struct AlertTold {
        /// Its id, to acknowledge it by; null where it began before the days that were looked at.
        pub id: Option<String>,
        /// The id of the last card that told of it.
        pub card_id: Option<String>,
        /// The rule.
        pub rule: Option<String>,
        /// low, medium or high.
        pub severity: Option<String>,
        /// The table.
        pub table: Option<String>,
        /// The laboratory; null where the rule is about none.
        pub lab_id: Option<String>,
        /// What else of the table it is about, as `assay=K, priority=S`.
        pub group: Option<String>,
        /// The column that the rule is about.
        pub figure: Option<String>,
        /// Its value when it was told of last.
        pub figure_value: Option<f64>,
        /// The target beside it.
        pub target: Option<f64>,
        /// Of how many.
        pub n: Option<u64>,
        /// Since when the condition has held (RFC 3339).
        pub since: Option<String>,
        /// When it became a breach.
        pub begun_at: Option<String>,
        /// When it was told of last.
        pub last_at: Option<String>,
        /// When it was over; null while it is open.
        pub ended_at: Option<String>,
        /// How often it was reminded of.
        pub reminders: u64,
        /// What became of the last card: posted, dry_run, quiet_hours, too_old, unannounced, unrouted or
        /// acknowledged.
        pub disposition: Option<String>,
        /// Who looks after it.
        pub owner: Option<String>,
        /// What to do.
        pub runbook: Option<String>,
        /// Whether somebody sees to it.
        pub acknowledged: bool,
        /// Who.
        pub acknowledged_by: Option<String>,
        /// When (RFC 3339).
        pub acknowledged_at: Option<String>,
        /// What they say to it.
        pub note: Option<String>,
    }
}

/// Which breaches are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Open,
    Past,
    All,
}

/// The question.
pub struct AlertsQuestion {
    labs: Vec<String>,
    wanted: Wanted,
    between: Between,
    days: FiledDays,
    limit: u64,
}

impl RouteQuestion for AlertsQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/alerts",
            is_open: Self::IS_OPEN,
            summary: "Breaches of rules, those that are open where nothing is said; of the last 31 days \
                      where no period is named.",
            parameters: vec![
                STATE_PARAMETER,
                LAB_PARAMETER,
                FROM_PARAMETER,
                TO_PARAMETER,
                ALERTS_LIMIT_PARAMETER,
            ],
            answer: AnswerTold::Object(AlertsAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<AlertsQuestion, NoAnswer> {
        let mut parameters = asked.parameters;
        let table = Section::Alerts.as_str();
        let between = Between::take(&mut parameters)?;
        let days = if between == Between::default() {
            last_days(reading, &[table], DAYS)
        } else {
            between.days()
        };
        let question = AlertsQuestion {
            labs: parameters.all("lab"),
            wanted: wanted(&mut parameters)?,
            between,
            days,
            limit: parameters.limit(ALERTS, MOST_TESTS)?,
        };
        parameters.end()?;
        if is_kept(reading, table) {
            reading.know_labs(table, &question.labs).await?;
        }
        Ok(question)
    }

    /// Acknowledgements are no rows.
    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        None
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let rows = self.rows(reading).await?;
        let known = reading.acknowledged(rows.iter().filter_map(|row| row.text("id"))).await?;
        let alerts = rows.iter().map(|row| told(row, &known)).collect();
        Payload::object(&AlertsAnswer { alerts })
    }
}

impl AlertsQuestion {
    async fn rows(&self, reading: &Reading) -> Result<Vec<AnswerRow>, NoAnswer> {
        let table = Section::Alerts.as_str();
        if !is_kept(reading, table) {
            return Ok(Vec::new());
        }
        let mut conditions = Conditions::default();
        conditions.one_of(LAB, &self.labs);
        conditions.between("window_end", self.between);
        conditions.days(self.days);
        let state = match self.wanted {
            Wanted::Open => "WHERE ended_at IS NULL",
            Wanted::Past => "WHERE ended_at IS NOT NULL",
            Wanted::All => "",
        };
        let sql = format!(
            "SELECT * FROM (SELECT rule, \"table\", lab_id, \"group\", {LASTS}, \
             CAST(begun_at AS BIGINT) AS begun_at, CAST(min(since) AS BIGINT) AS since, \
             CAST(max(window_end) AS BIGINT) AS last_at, \
             CAST(max(window_end) FILTER (WHERE kind = 'end') AS BIGINT) AS ended_at, \
             max(notice_id) FILTER (WHERE kind = 'begin') AS id, \
             count(*) FILTER (WHERE kind = 'reminder') AS reminders \
             FROM {} {} GROUP BY rule, \"table\", lab_id, \"group\", begun_at) {state} \
             ORDER BY (ended_at IS NOT NULL), CASE severity WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END, \
             last_at DESC, begun_at DESC, rule, \"table\", lab_id, \"group\" LIMIT {}",
            name(table),
            conditions.clause(),
            self.limit
        );
        answers(reading, conditions.ask(sql)).await
    }
}

/// What the last row of a breach says.
const LASTS: &str = "last_value(severity ORDER BY window_end, kind) AS severity, \
                     last_value(card_id ORDER BY window_end, kind) AS card_id, \
                     last_value(figure ORDER BY window_end, kind) AS figure, \
                     last_value(figure_value ORDER BY window_end, kind) AS figure_value, \
                     last_value(target ORDER BY window_end, kind) AS target, \
                     last_value(n ORDER BY window_end, kind) AS n, \
                     last_value(disposition ORDER BY window_end, kind) AS disposition, \
                     last_value(owner ORDER BY window_end, kind) AS owner, \
                     last_value(runbook ORDER BY window_end, kind) AS runbook";

fn told(row: &AnswerRow, known: &BTreeMap<String, Acknowledgement>) -> AlertTold {
    let text = |column: &str| row.text(column).map(str::to_owned);
    let at = |column: &str| row.time(column).map(Timestamp::to_rfc3339);
    let seen_to = row.text("id").and_then(|id| known.get(id));
    AlertTold {
        id: text("id"),
        card_id: text("card_id"),
        rule: text("rule"),
        severity: text("severity"),
        table: text("table"),
        lab_id: text("lab_id"),
        group: text("group"),
        figure: text("figure"),
        figure_value: row.number("figure_value"),
        target: row.number("target"),
        n: row.number("n").map(|n| n as u64),
        since: at("since"),
        begun_at: at("begun_at"),
        last_at: at("last_at"),
        ended_at: at("ended_at"),
        reminders: row.count("reminders"),
        disposition: text("disposition"),
        owner: text("owner"),
        runbook: text("runbook"),
        acknowledged: seen_to.is_some(),
        acknowledged_by: seen_to.map(|one| one.by.clone()),
        acknowledged_at: seen_to.map(|one| one.at.clone()),
        note: seen_to.and_then(|one| one.note.clone()),
    }
}

fn wanted(parameters: &mut Parameters) -> Result<Wanted, NoAnswer> {
    match parameters.one("state")?.as_deref() {
        None | Some("open") => Ok(Wanted::Open),
        Some("past") => Ok(Wanted::Past),
        Some("all") => Ok(Wanted::All),
        Some(other) => {
            let text = format!("`state` is {}; write open, past or all", quoted(other));
            Err(ProblemDetails::new(ProblemKind::Value, text).of("state").allowing(ALERT_STATES))
        }
    }
}
