//! Judges the alert rules of a table over what has fired, and counts what came of it.
//!
//! A rule that cannot be evaluated is a fault of that rule: counted, logged once an hour and told in
//! the summary; the row begins no breach and ends none, and everything else goes on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use datafusion::common::Result;

use super::AlertSink;
use super::delivery::DeliveryReport;
use super::observation::Observation;
use super::reading::WindowRows;
use super::rule::AlertRule;
use crate::clock::Clock;
use crate::flow::output::by_window;
use crate::flow::{OutputBatch, Span, Timestamp, Window};
use crate::metrics as names;
use crate::sql::plan::predicate::{Failed, Predicate};

/// Cards that the summary names.
const CARDS_NAMED: usize = 50;
/// Clock time between two lines about the faults of one rule.
const BETWEEN_LINES: Span = Span::HOUR;

/// A rule over one table.
#[derive(Clone)]
pub struct Rule {
    /// As declared.
    pub rule: Arc<AlertRule>,
    /// The columns that name a group.
    pub grain: Arc<[String]>,
    /// The columns that `when` names.
    pub figures: Vec<String>,
    /// Units of the columns.
    pub units: BTreeMap<String, String>,
    /// As declared, compiled.
    pub when: Predicate,
    /// As declared, compiled; without it a breach ends where `when` does not hold.
    pub until: Option<Predicate>,
}

/// A rule's predicates over rows.
pub struct Judgement {
    /// `when`; null is false.
    pub when: BooleanArray,
    /// `until`; null is false.
    pub until: Option<BooleanArray>,
    /// The rows on which one of them could not be evaluated.
    pub failed: Option<Failed>,
}

impl Rule {
    /// Evaluates the predicates.
    pub fn judge(&self, rows: &RecordBatch) -> Judgement {
        let when = self.when.evaluate(rows);
        let until = self.until.as_ref().map(|until| until.evaluate(rows));
        let mut failed = when.failed;
        let until = until.map(|until| {
            failed = match (failed.take(), until.failed) {
                (Some(one), Some(other)) => {
                    Some(Failed { rows: &one.rows | &other.rows, reason: one.reason })
                }
                (one, other) => one.or(other),
            };
            until.holds
        });
        Judgement { when: when.holds, until, failed }
    }
}

/// The alert rules of a run.
pub struct Breaches {
    alerts: AlertSink,
    clock: Arc<dyn Clock>,
    /// Cards made, also those that were not posted.
    pub cards: u64,
    /// The last cards made: title and what became of each.
    pub last_cards: Vec<(String, String)>,
    /// Rules that could not be evaluated on some rows, by name.
    pub faults: BTreeMap<String, RuleFault>,
    logged_at: BTreeMap<String, Timestamp>,
}

/// An alert rule that could not be evaluated on some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFault {
    /// How many rows.
    pub rows: u64,
    /// Why, of the last of them.
    pub reason: String,
}

/// What is the same for all windows of a firing.
#[derive(Clone, Copy)]
pub struct JudgedFiring<'a> {
    /// What fired.
    pub fired: &'a OutputBatch,
    /// Whether its windows overlap their neighbours.
    pub overlapping: bool,
    /// Whether each window is one key's.
    pub keyed: bool,
}

impl Breaches {
    /// Rules that have judged nothing.
    pub fn new(alerts: AlertSink, clock: &Arc<dyn Clock>) -> Breaches {
        Breaches {
            alerts,
            clock: Arc::clone(clock),
            cards: 0,
            last_cards: Vec::new(),
            faults: BTreeMap::new(),
            logged_at: BTreeMap::new(),
        }
    }

    /// Judges what fired, window by window; gives the rows of `alerts/` for each window that has
    /// some.
    pub fn judge(
        &mut self,
        rules: &[Rule],
        firing: JudgedFiring<'_>,
    ) -> Result<Vec<(Window, Vec<RecordBatch>)>> {
        let fired = firing.fired;
        if rules.is_empty() || fired.revision > 0 {
            return Ok(Vec::new());
        }
        let judged: Vec<(&Rule, Judgement)> =
            rules.iter().map(|rule| (rule, rule.judge(&fired.rows))).collect();
        for (rule, judgement) in &judged {
            if let Some(failed) = &judgement.failed {
                self.fault(&rule.rule.name, failed.rows.count_set_bits(), &failed.reason);
            }
        }
        let mut logged = Vec::new();
        for (window, range) in by_window(fired)? {
            let alerts = self.judge_window(firing, &judged, window, range);
            if !alerts.is_empty() {
                logged.push((window, alerts));
            }
        }
        self.name_the_last();
        Ok(logged)
    }

    /// Keeps the last cards alone.
    pub(super) fn name_the_last(&mut self) {
        let excess = self.last_cards.len().saturating_sub(CARDS_NAMED);
        self.last_cards.drain(..excess);
    }

    /// Whether a rule has a breach of a table that is not over.
    pub(super) fn has_open(&self, rule: &str, table: &str) -> bool {
        self.alerts.has_open(rule, table)
    }

    /// Judges one window, whose rows stand there in the firing, by each rule.
    pub(super) fn judge_window(
        &mut self,
        firing: JudgedFiring<'_>,
        judged: &[(&Rule, Judgement)],
        window: Window,
        range: Range<usize>,
    ) -> Vec<RecordBatch> {
        let (start, length) = (range.start, range.len());
        let mut alerts = Vec::new();
        for (rule, judgement) in judged {
            let rows = match WindowRows::new(firing.fired.rows.slice(start, length), &rule.grain) {
                Ok(rows) => rows,
                Err(column) => {
                    let reason = format!("its table has no column {column}");
                    self.fault(&rule.rule.name, length, &reason);
                    continue;
                }
            };
            let until = judgement.until.as_ref().map(|until| until.slice(start, length));
            let failed = judgement.failed.as_ref().map(|failed| failed.rows.slice(start, length));
            let observed = self.alerts.observe(&Observation {
                rule: &rule.rule,
                table: &firing.fired.table,
                rows: &rows,
                when: &judgement.when.slice(start, length),
                until: until.as_ref(),
                failed: failed.as_ref(),
                window,
                overlapping: firing.overlapping,
                keyed: firing.keyed,
                revision: firing.fired.revision,
                figures: &rule.figures,
                units: &rule.units,
            });
            match observed {
                Ok(observed) => {
                    self.cards += observed.cards.len() as u64;
                    self.last_cards.extend(observed.cards.iter().map(|made| {
                        (made.card.summary.clone(), made.disposition.as_str().to_owned())
                    }));
                    if observed.rows.num_rows() > 0 {
                        alerts.push(observed.rows);
                    }
                }
                Err(error) => self.fault(&rule.rule.name, length, &error.to_string()),
            }
        }
        alerts
    }

    /// Counts a fault of a rule on so many rows; a line at most once an hour.
    pub(super) fn fault(&mut self, rule: &str, rows: usize, reason: &str) {
        metrics::counter!(names::RULE_FAULTS, "rule" => rule.to_owned()).increment(rows as u64);
        let fault = self.faults.entry(rule.to_owned()).or_default();
        fault.rows += rows as u64;
        reason.clone_into(&mut fault.reason);
        let now = self.clock.now();
        let quiet = self.logged_at.get(rule).is_some_and(|at| now < at.plus(BETWEEN_LINES));
        if !quiet {
            self.logged_at.insert(rule.to_owned(), now);
            let all = fault.rows;
            tracing::warn!(
                rule,
                rows = all,
                reason,
                "the rule could not be evaluated on some rows"
            );
        }
    }

    /// Timed work: cards that quiet hours have held back.
    pub fn tick(&mut self) {
        self.alerts.tick();
    }

    /// Forgets the breaches of a table that is not computed any more.
    pub fn forget(&mut self, table: &str) {
        self.alerts.forget(table);
    }

    /// Delivers what waits until nothing does or `patience` has passed.
    pub async fn drain(self, patience: Duration) -> DeliveryReport {
        self.alerts.drain(patience).await
    }
}
