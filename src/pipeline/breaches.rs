//! Judges the alert rules of a table over what has fired, and counts what came of it.
//!
//! A rule that cannot be evaluated is a fault of that rule: counted, logged once an hour and told in
//! the summary; the row begins no breach and ends none, and everything else goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::progress::{Progress, RuleFault};
use crate::alert::AlertSink;
use crate::alert::delivery::DeliveryReport;
use crate::alert::observation::Observation;
use crate::alert::reading::WindowRows;
use crate::clock::Clock;
use crate::flow::{OutputBatch, Span, Timestamp, Window};
use crate::metrics as names;
use crate::plan::planned::PipelinePlan;
use crate::plan::rules::{Judgement, Rule};
use crate::sql::collect::family::Family;
use crate::sql::fire::day::by_window;

/// Cards that the summary names.
const CARDS_NAMED: usize = 50;
/// Clock time between two lines about the faults of one rule.
const BETWEEN_LINES: Span = Span::HOUR;

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

/// What is the same for all windows of a firing.
#[derive(Clone, Copy)]
struct Table<'a> {
    fired: &'a OutputBatch,
    overlapping: bool,
    keyed: bool,
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
        pipeline: &PipelinePlan,
        fired: &OutputBatch,
    ) -> Result<Vec<(Window, Vec<RecordBatch>)>> {
        let rules = pipeline.rules.get(&*fired.table).map_or(&[][..], Vec::as_slice);
        let Some(first) = rules.first().filter(|_| fired.revision == 0) else {
            return Ok(Vec::new());
        };
        let table = Table::of(pipeline, fired);
        let judged: Vec<(&Rule, Judgement)> =
            rules.iter().map(|rule| (rule, rule.judge(&fired.rows))).collect();
        for (rule, judgement) in &judged {
            if let Some(failed) = &judgement.failed {
                self.fault(&rule.rule.name, failed.rows.count_set_bits(), &failed.reason);
            }
        }
        let mut logged = Vec::new();
        for (window, range) in by_window(fired)? {
            let (start, length) = (range.start, range.len());
            let rows = fired.rows.slice(start, length);
            let alerts = match WindowRows::new(rows, &first.grain) {
                Ok(rows) => self.judge_window(table, &judged, (window, &rows), start),
                Err(column) => {
                    let reason = format!("its table has no column {column}");
                    rules.iter().for_each(|rule| self.fault(&rule.rule.name, length, &reason));
                    Vec::new()
                }
            };
            if !alerts.is_empty() {
                logged.push((window, alerts));
            }
        }
        let excess = self.last_cards.len().saturating_sub(CARDS_NAMED);
        self.last_cards.drain(..excess);
        Ok(logged)
    }

    /// Judges one window, whose rows begin at `start` in the firing, by each rule.
    fn judge_window(
        &mut self,
        table: Table<'_>,
        judged: &[(&Rule, Judgement)],
        (window, rows): (Window, &WindowRows),
        start: usize,
    ) -> Vec<RecordBatch> {
        let length = rows.rows().num_rows();
        let mut alerts = Vec::new();
        for (rule, judgement) in judged {
            let until = judgement.until.as_ref().map(|until| until.slice(start, length));
            let failed = judgement.failed.as_ref().map(|failed| failed.rows.slice(start, length));
            let observed = self.alerts.observe(&Observation {
                rule: &rule.rule,
                table: &table.fired.table,
                rows,
                when: &judgement.when.slice(start, length),
                until: until.as_ref(),
                failed: failed.as_ref(),
                window,
                overlapping: table.overlapping,
                keyed: table.keyed,
                revision: table.fired.revision,
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
    fn fault(&mut self, rule: &str, rows: usize, reason: &str) {
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

    /// Timed work: cards that quiet hours have held back; what a watcher is told.
    pub fn tick(&mut self, progress: &Progress) {
        self.alerts.tick();
        if !self.faults.is_empty() {
            progress.faulty_rules(&self.faults);
        }
    }

    /// Forgets the breaches of a pipeline that is stopped.
    pub fn forget(&mut self, pipeline: &PipelinePlan) {
        pipeline.spec.tables().for_each(|table| self.alerts.forget(&table));
    }

    /// Delivers what waits until nothing does or `patience` has passed.
    pub async fn drain(self, patience: Duration) -> DeliveryReport {
        self.alerts.drain(patience).await
    }
}

impl<'a> Table<'a> {
    fn of(pipeline: &PipelinePlan, fired: &'a OutputBatch) -> Table<'a> {
        let mut table = Table { fired, overlapping: false, keyed: false };
        for family in &pipeline.families {
            let mine = family.outputs.iter().find(|output| output.table == fired.table);
            if let Some(output) = mine {
                table.overlapping = !output.is_tile;
                table.keyed = matches!(family.family.as_ref(), Family::Session(_));
            }
        }
        table
    }
}
