//! What the summary and the report show, as numbers.
//!
//! Laboratories are named by their place in [`Figures::labs`]. Durations are minutes.

use chrono_tz::Tz;

use crate::flow::Timestamp;

/// Everything that is shown of the lake.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The laboratories, in the order of their ids.
    pub labs: Vec<LabFigures>,
    /// All completed tests.
    pub overall: Overall,
    /// Turnaround by lab, priority (`S`, `R`) and two hours.
    pub hours: Vec<Hour>,
    /// Completed tests by lab and hour.
    pub throughput: Vec<(usize, Timestamp, u64)>,
    /// Turnaround by lab, instrument and two hours.
    pub analysers: Vec<AnalyserHours>,
    /// Errors by instrument, the highest rate first.
    pub machines: Vec<Machine>,
    /// Rejected tubes by reason, the most frequent first.
    pub reasons: Vec<RejectionReason>,
    /// Breaches by lab and hour: lab, hour, due, breached.
    pub breaches: Vec<(usize, Timestamp, u64, u64)>,
    /// LabFigures, assay and priority, the furthest beyond its target first.
    pub groups: Vec<TestGroup>,
    /// Breaches that would have been told, high severity first, then in the order of time.
    pub alerts: Vec<Alert>,
    /// Cards: beginnings, reminders and ends, those in one card counted once.
    pub cards: usize,
    /// Dead letters by reason.
    pub dead_letters: Vec<(String, u64)>,
    /// Events that missed every window of some table.
    pub late: u64,
}

/// A laboratory and its sums.
#[derive(Clone, Debug)]
pub struct LabFigures {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub tz: Tz,
    /// Completed tests.
    pub completed: u64,
    /// Median turnaround, minutes.
    pub p50: Option<f64>,
    /// 90th percentile of stat tests with an hour's target, minutes.
    pub stat_p90: Option<f64>,
    /// Their target, minutes.
    pub stat_target: Option<f64>,
    /// Tests that were judged by a target.
    pub judged: u64,
    /// Tests that kept it.
    pub within: u64,
    /// Tests that ended in an error.
    pub errors: u64,
    /// Tests that ended on an instrument.
    pub tests: u64,
    /// Rejected tubes.
    pub rejected: u64,
    /// Received tubes.
    pub received: u64,
}

/// All completed tests.
#[derive(Clone, Debug, Default)]
pub struct Overall {
    /// How many.
    pub completed: u64,
    /// Median turnaround, minutes.
    pub p50: Option<f64>,
    /// 90th percentile, minutes.
    pub p90: Option<f64>,
    /// Tests that were judged by a target.
    pub judged: u64,
    /// Tests that kept it.
    pub within: u64,
}

/// Turnaround of one lab and priority in two hours.
#[derive(Clone, Debug)]
pub struct Hour {
    /// The lab's place in [`Figures::labs`].
    pub lab: usize,
    /// `S` or `R`.
    pub priority: String,
    /// The beginning.
    pub at: Timestamp,
    /// Completed tests.
    pub n: u64,
    /// Median, minutes.
    pub p50: f64,
    /// 90th percentile, minutes.
    pub p90: f64,
    /// Target, minutes.
    pub target: f64,
}

/// Turnaround on one instrument in two hours.
#[derive(Clone, Debug)]
pub struct AnalyserHours {
    /// The lab's place.
    pub lab: usize,
    /// The instrument.
    pub machine: String,
    /// The beginning.
    pub at: Timestamp,
    /// Completed tests.
    pub n: u64,
    /// Median, minutes.
    pub p50: f64,
}

/// Errors of one instrument.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The lab's place.
    pub lab: usize,
    /// The instrument.
    pub machine: String,
    /// Tests that ended in an error.
    pub errors: u64,
    /// Tests that ended on it.
    pub tests: u64,
    /// Its worst hour: beginning, errors, tests.
    pub worst: Option<(Timestamp, u64, u64)>,
}

/// Rejected tubes of one reason.
#[derive(Clone, Debug)]
pub struct RejectionReason {
    /// The code.
    pub code: String,
    /// What it means.
    pub description: String,
    /// Tubes by lab, in the order of [`Figures::labs`].
    pub by_lab: Vec<u64>,
}

/// Turnaround of one lab, assay and priority.
#[derive(Clone, Debug)]
pub struct TestGroup {
    /// The lab's place.
    pub lab: usize,
    /// The assay.
    pub assay: String,
    /// `S`, `A` or `R`.
    pub priority: String,
    /// Target, minutes.
    pub target: f64,
    /// Completed tests.
    pub n: u64,
    /// Median, minutes.
    pub p50: f64,
    /// 90th percentile, minutes.
    pub p90: f64,
    /// Tests beyond their target.
    pub breached: u64,
}

/// A breach of one group, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The rule.
    pub rule: String,
    /// `high`, `medium` or `low`.
    pub severity: String,
    /// The lab's place; none where the rule's table has no lab.
    pub lab: Option<usize>,
    /// The rest of the grain, as `assay=K, priority=S`.
    pub group: String,
    /// The judged column.
    pub figure: String,
    /// Its value when the breach began.
    pub value: Option<f64>,
    /// Its target.
    pub target: Option<f64>,
    /// Tests behind the figure.
    pub n: Option<u64>,
    /// Who acts on it.
    pub owner: String,
    /// What to do.
    pub runbook: String,
    /// When the breach began.
    pub begun_at: Timestamp,
    /// When it ended; none while it went on.
    pub ended_at: Option<Timestamp>,
}

impl Figures {
    /// Errors and tests of all instruments.
    pub fn errors(&self) -> (u64, u64) {
        let sum = |of: fn(&LabFigures) -> u64| self.labs.iter().map(of).sum();
        (sum(|lab| lab.errors), sum(|lab| lab.tests))
    }

    /// Rejected and received tubes of all labs.
    pub fn rejections(&self) -> (u64, u64) {
        let sum = |of: fn(&LabFigures) -> u64| self.labs.iter().map(of).sum();
        (sum(|lab| lab.rejected), sum(|lab| lab.received))
    }
}

/// `part ÷ whole`; nothing where there is no whole.
pub fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
