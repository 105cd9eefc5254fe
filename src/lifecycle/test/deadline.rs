//! The test's clock: when it starts, what the target is, and what comes when it has run.

use super::change::{
    ChangeHead, Changes, DeadlineKind, DeadlineRow, DeadlineStage, DueOutcome, DueRow,
    OverrunPhase, TransitionRow,
};
use super::record::{Mark, TestRecord, Time};
use super::step::TestStep;
use super::{Made, Tests};
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::texts::NO_TEXT;
use crate::lifecycle::wheel::WheelTimer;

impl Tests {
    /// Fixes clock start and target once receipt and assay are known; whether it did, with a deadline.
    pub(super) fn resolve(&mut self, at: u32) -> bool {
        let test = &self.keeper.tests[at];
        let may = !test.clock_start.is_some() && test.received.is_some() && test.assay != NO_TEXT;
        // A test that is over, or was verified once, gets no clock any more.
        let is_over = self.rules.machine.is_finished(test.state) || test.marks.has(Mark::RowError);
        if !may || test.marks.has(Mark::Completed) || is_over && !self.rules.may_complete(test) {
            return false;
        }
        self.keeper.tests[at].clock_start = clock_start(&self.keeper.tests[at]);
        self.set_target(at);
        self.keeper.tests[at].due.is_some()
    }

    /// From the clock start, or from a later rise of the priority.
    pub(super) fn set_target(&mut self, at: u32) {
        let test = &mut self.keeper.tests[at];
        let lab = self.keeper.tubes[test.tube].lab;
        let Some(found) = self.targets.of(test, lab) else { return };
        test.take_target(found);
    }

    /// Judges a due time that had passed when the step told of it. After the step has been applied.
    pub(super) fn judge_due(&mut self, at: u32, step: &TestStep, made: &mut Made<'_>) {
        let Some(due) = self.keeper.tests[at].due.get() else { return };
        // One that the watermark alone has passed comes in the order of timers.
        if due >= step.at {
            return;
        }
        let head = self.head(at, step, step.at, made);
        self.say_due(at, due, head, made);
    }

    /// Says once whether a test was done in time, where it was to be done at all.
    fn say_due(&mut self, at: u32, due: i64, head: ChangeHead, made: &mut Made<'_>) {
        let rules = &self.rules;
        let test = &mut self.keeper.tests[at];
        test.marks.set(Mark::DueSaid);
        let done = test.completed.get().is_some_and(|completed| completed <= due);
        let state = test.state;
        let is_void = state == rules.cancelled || state == rules.rejected;
        if !done && (is_void || test.marks.has(Mark::RowError)) {
            return;
        }
        let outcome = if done { DueOutcome::OnTime } else { DueOutcome::Breached };
        let phase = if done { None } else { phase(self, at) };
        let is_open = self.is_open(at);
        let test = &mut self.keeper.tests[at];
        let (target, machine) = (test.target, test.machine);
        let origin = test.origin;
        if outcome == DueOutcome::Breached {
            test.marks.set(Mark::Breached);
            // Nobody waits any more for one that is over.
            if self.wanted.deadlines && is_open {
                test.marks.set(Mark::Told);
                let (head, due_at) = (head.clone(), Time::at(due));
                let stage = DeadlineStage::Breached;
                made.changes.deadlines.push(DeadlineRow {
                    head,
                    kind: DeadlineKind::Test,
                    stage,
                    due_at,
                    target,
                    state,
                    machine,
                });
            }
        }
        if self.wanted.due {
            made.changes.due.push(DueRow {
                head,
                due_at: due,
                target,
                origin,
                outcome,
                state,
                phase,
            });
        }
    }

    /// Whether it is not finished.
    fn is_open(&self, at: u32) -> bool {
        let test = &self.keeper.tests[at];
        !self.rules.machine.is_finished(test.state) && !test.marks.has(Mark::RowError)
    }

    /// Whoever was told that a test is at risk or late is told once that it no longer is.
    pub(super) fn end_deadline(
        &mut self,
        at: u32,
        head: impl FnOnce() -> ChangeHead,
        changes: &mut Changes,
    ) {
        if self.is_open(at) || !self.keeper.tests[at].marks.has(Mark::Told) {
            return;
        }
        let test = &mut self.keeper.tests[at];
        test.marks.clear(Mark::Told);
        changes.deadlines.push(DeadlineRow {
            head: head(),
            kind: DeadlineKind::Test,
            stage: DeadlineStage::Ended,
            due_at: test.due,
            target: test.target,
            state: test.state,
            machine: test.machine,
        });
    }

    /// Sets the test's timer for what comes next.
    pub(super) fn wind(&mut self, at: u32) {
        let next = self.next_timer(at);
        let test = &mut self.keeper.tests[at];
        if next == test.timer {
            return;
        }
        // A later time is found when the earlier timer goes off, so nothing is set for it.
        let is_earlier = next.is_some() && (!test.timer.is_some() || next < test.timer);
        let born = test.born;
        if is_earlier {
            test.timer = next;
            if let Some(time) = next.get() {
                self.wheel.set(WheelTimer { at: time, born, entity: at });
            }
        }
    }

    /// When something happens to a test if no event comes.
    fn next_timer(&mut self, at: u32) -> Time {
        let hold = self.next_hold(at);
        let test = &self.keeper.tests[at];
        let is_open = self.is_open(at);
        let wants_due =
            (self.wanted.due || self.wanted.deadlines) && !test.marks.has(Mark::DueSaid);
        let due = if wants_due { test.due } else { Time::NONE };
        let wants_risk = is_open && self.wanted.deadlines && !test.marks.has(Mark::RiskSaid);
        let risk = if wants_risk && due.is_some() { test.risk } else { Time::NONE };
        let abandoned = self.abandoned_at(test);
        let all = [due, risk, hold, abandoned, self.leaves_at(test)].into_iter();
        all.filter(|time| time.is_some()).min().unwrap_or(Time::NONE)
    }

    fn abandoned_at(&self, test: &TestRecord) -> Time {
        if test.marks.has(Mark::RowError) {
            return Time::NONE;
        }
        let after = self.rules.machine.after(test.state);
        let at = after.and_then(|(after, _)| Some(test.since.get()?.saturating_add(after.0)));
        at.map_or(Time::NONE, Time::at)
    }

    /// When a finished test that is kept whole is put down.
    fn leaves_at(&self, test: &TestRecord) -> Time {
        if !self.rules.may_complete(test) || test.marks.has(Mark::Left) {
            return Time::NONE;
        }
        let keep = self.rules.keep_finished;
        test.since.get().map_or(Time::NONE, |since| Time::at(since.saturating_add(keep)))
    }

    /// A timer went off: what is due happens, and the next one is set.
    pub(super) fn went_off(&mut self, timer: WheelTimer, made: &mut Made<'_>) {
        let at = timer.entity;
        if self.keeper.tests[at].timer != Time::at(timer.at)
            || self.keeper.tests[at].born != timer.born
        {
            return;
        }
        self.keeper.tests[at].timer = Time::NONE;
        let (time, test) = (timer.at, &self.keeper.tests[at]);
        if self.is_open(at) && test.risk.get() == Some(time) && !test.marks.has(Mark::RiskSaid) {
            self.say_risk(at, time, made);
        }
        let test = &self.keeper.tests[at];
        if test.due.get() == Some(time) && !test.marks.has(Mark::DueSaid) {
            let head = self.timed_head(at, time, made);
            self.say_due(at, time, head, made);
        }
        self.say_hold(at, time, made);
        if self.abandoned_at(&self.keeper.tests[at]).get() == Some(time) {
            self.abandon(at, time, made);
        }
        if self.leaves_at(&self.keeper.tests[at]).get() == Some(time) {
            self.keeper.tests[at].marks.set(Mark::Left);
        }
        self.wind(at);
        let tube = self.keeper.tests[at].tube;
        self.settle(tube);
    }

    fn say_risk(&mut self, at: u32, time: i64, made: &mut Made<'_>) {
        // The event that told of it may have come later.
        let head = self.timed_head(at, time.max(self.last_at), made);
        let test = &mut self.keeper.tests[at];
        test.marks.set(Mark::RiskSaid);
        test.marks.set(Mark::Told);
        let TestRecord { due, target, state, machine, .. } = *test;
        let stage = DeadlineStage::AtRisk;
        made.changes.deadlines.push(DeadlineRow {
            head,
            kind: DeadlineKind::Test,
            stage,
            due_at: due,
            target,
            state,
            machine,
        });
    }

    /// Nothing was heard of it for long.
    fn abandon(&mut self, at: u32, time: i64, made: &mut Made<'_>) {
        let test = &self.keeper.tests[at];
        let Some((_, to)) = self.rules.machine.after(test.state) else { return };
        self.counts.timed += 1;
        let (from, stayed) = (test.state, Time::at(time).since(test.since));
        let head = self.timed_head(at, time, made);
        let test = &mut self.keeper.tests[at];
        (test.state, test.since) = (to, Time::at(time));
        self.end_deadline(at, || head.clone(), made.changes);
        self.end_hold(at, || head.clone(), made.changes);
        if self.wanted.transitions {
            let row = TransitionRow::untold(head, (from, to), stayed, false);
            made.changes.transitions.push(row);
        }
    }
}

/// What a test that is not done in time was waiting for; none for one that was done late by a row.
fn phase(tests: &Tests, at: u32) -> Option<OverrunPhase> {
    let (rules, state) = (&tests.rules, tests.keeper.tests[at].state);
    if state == rules.lost {
        return Some(OverrunPhase::Lost);
    }
    if state == rules.error || rules.machine.name(state) == Some("REFERRED") {
        return Some(OverrunPhase::Analytical);
    }
    let place = |state: MachineState| rules.machine.on_line(state);
    let on_line = place(state)?;
    if rules.completes(state) {
        return None;
    }
    if Some(on_line) >= place(rules.resulted) {
        Some(OverrunPhase::Verification)
    } else if Some(on_line) >= place(rules.in_process) {
        Some(OverrunPhase::Analytical)
    } else {
        Some(OverrunPhase::Waiting)
    }
}

/// The later of the receipt and the test's own order, or where none is known its first event.
pub(super) fn clock_start(test: &TestRecord) -> Time {
    if test.clock_start.is_some() || !test.received.is_some() {
        return test.clock_start;
    }
    test.received.max(test.ordered.or(test.mentioned))
}
