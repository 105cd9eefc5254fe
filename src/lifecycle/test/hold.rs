//! How long a specimen may wait for its analysis: from collection until the test is in process
//! (`max_hold_minutes` of its assay). A specimen that is about to expire is at risk, and then breached, as
//! a test that is late; such rows of `deadlines` are of a kind of their own.

use super::change::{ChangeHead, Changes, DeadlineKind, DeadlineRow, DeadlineStage};
use super::record::{Mark, Time};
use super::{Made, Tests};

/// When a specimen is at risk, and when it has waited too long.
#[derive(Clone, Copy, Debug, Default)]
struct HoldTimes {
    risk: Time,
    expires: Time,
    /// How long it may wait, in microseconds.
    most: Time,
}

impl Tests {
    /// Of a test whose assay has a limit and whose collection is known; none of any other.
    fn hold_times(&mut self, at: u32) -> HoldTimes {
        let test = &self.keeper.tests[at];
        let (collected, assay) = (test.collected, test.assay);
        let found = self.targets.hold(assay).zip(collected.get());
        found.map_or_else(HoldTimes::default, |((most, risk), collected)| HoldTimes {
            risk: Time::at(collected.saturating_add(risk)),
            expires: Time::at(collected.saturating_add(most)),
            most: Time::at(most),
        })
    }

    /// Whether its analysis has not begun and may begin yet.
    fn is_held(&self, at: u32) -> bool {
        let (rules, test) = (&self.rules, &self.keeper.tests[at]);
        let place = rules.machine.on_line(test.state);
        place.is_some() && place < rules.machine.on_line(rules.in_process)
    }

    /// When the next of it is to be told; none where nothing is, or nobody asks.
    pub(super) fn next_hold(&mut self, at: u32) -> Time {
        if !self.wanted.deadlines || !self.targets.has_holds() || !self.is_held(at) {
            return Time::NONE;
        }
        let HoldTimes { risk, expires, .. } = self.hold_times(at);
        let marks = self.keeper.tests[at].marks;
        if marks.has(Mark::HoldSaid) {
            Time::NONE
        } else if marks.has(Mark::HoldRiskSaid) {
            expires
        } else {
            risk
        }
    }

    /// Tells what has come to its time.
    pub(super) fn say_hold(&mut self, at: u32, time: i64, made: &mut Made<'_>) {
        while self.next_hold(at).get() == Some(time) {
            let times = self.hold_times(at);
            let is_risk = !self.keeper.tests[at].marks.has(Mark::HoldRiskSaid);
            // The event that told of it may have come later.
            let head = self.timed_head(at, time.max(self.last_at), made);
            let marks = &mut self.keeper.tests[at].marks;
            marks.set(if is_risk { Mark::HoldRiskSaid } else { Mark::HoldSaid });
            marks.set(Mark::HoldTold);
            let stage = if is_risk { DeadlineStage::AtRisk } else { DeadlineStage::Breached };
            self.hold_row(at, (stage, times), head, made.changes);
        }
    }

    /// Whoever was told that a specimen is about to expire is told once that it waits no longer.
    pub(super) fn end_hold(
        &mut self,
        at: u32,
        head: impl FnOnce() -> ChangeHead,
        changes: &mut Changes,
    ) {
        if self.is_held(at) || !self.keeper.tests[at].marks.has(Mark::HoldTold) {
            return;
        }
        self.keeper.tests[at].marks.clear(Mark::HoldTold);
        let times = self.hold_times(at);
        self.hold_row(at, (DeadlineStage::Ended, times), head(), changes);
    }

    fn hold_row(
        &self,
        at: u32,
        (stage, times): (DeadlineStage, HoldTimes),
        head: ChangeHead,
        changes: &mut Changes,
    ) {
        let test = &self.keeper.tests[at];
        changes.deadlines.push(DeadlineRow {
            head,
            kind: DeadlineKind::Hold,
            stage,
            due_at: times.expires,
            target: times.most,
            state: test.state,
            machine: test.machine,
        });
    }
}
