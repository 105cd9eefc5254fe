//! The rows that an event at a test makes beside its transition.

use super::apply::Became;
use super::change::{
    ChangeHead, CompletionRow, DueOutcome, ErrorRow, RefusalReason, RefusedRow, RejectionRow,
    Restated, RestatementRow,
};
use super::deadline::clock_start;
use super::record::{Mark, TestRecord, Time};
use super::step::{TestStep, ToldBy};
use super::{Made, Tests};
use crate::lifecycle::machine::MachineState;

impl Tests {
    pub(super) fn failed(&self, at: u32, step: &TestStep, made: &mut Made<'_>) {
        made.changes.errors.push(ErrorRow {
            head: self.head(at, step, step.at, made),
            machine: step.machine,
            operator: step.operator,
            error: step.error,
            received: self.keeper.tests[at].received,
        });
    }

    /// The first time that a test reaches VERIFIED or beyond it is complete.
    pub(super) fn complete(&mut self, at: u32, step: &TestStep, made: &mut Made<'_>) {
        let test = &mut self.keeper.tests[at];
        if test.marks.has(Mark::Completed) || !self.rules.completes(test.state) {
            return;
        }
        test.marks.set(Mark::Completed);
        test.completed = Time::at(step.at);
        if step.form == ToldBy::Event {
            test.resulted = test.resulted.or(step.processed);
        }
        let overturns = test.marks.has(Mark::Breached) && test.completed <= test.due;
        if self.wanted.completions {
            let test = self.keeper.tests[at].clone();
            let row = self.completion(&test, step, made);
            made.changes.completions.push(row);
        }
        if overturns {
            self.keeper.tests[at].marks.clear(Mark::Breached);
            let (was, is) = (DueOutcome::Breached.text(), DueOutcome::OnTime.text());
            self.restated(at, Restated::DueOverturned, [was.to_owned(), is.to_owned()], step, made);
        }
    }

    /// What changes a test that was finished.
    pub(super) fn restate(
        &mut self,
        at: u32,
        from: MachineState,
        step: &TestStep,
        made: &mut Made<'_>,
    ) {
        let rules = &self.rules;
        let to = self.keeper.tests[at].state;
        let kind = if from == MachineState::NONE {
            return;
        } else if to == rules.invalidated {
            Restated::Invalidated
        } else if from == rules.invalidated && to == rules.in_process {
            Restated::Reissued
        } else if to == from {
            Restated::Corrected
        } else {
            return;
        };
        let name = |state| rules.machine.name(state).unwrap_or_default().to_owned();
        let names = [name(from), name(to)];
        self.restated(at, kind, names, step, made);
    }

    pub(super) fn restated(
        &self,
        at: u32,
        kind: Restated,
        [was, is]: [String; 2],
        step: &TestStep,
        made: &mut Made<'_>,
    ) {
        let head = self.head(at, step, step.at, made);
        made.changes.restatements.push(RestatementRow { head, kind, was, is });
    }

    pub(super) fn completion(
        &mut self,
        test: &TestRecord,
        step: &TestStep,
        made: &Made<'_>,
    ) -> CompletionRow {
        CompletionRow {
            head: made.head(test, step, step.at),
            ordered: test.ordered,
            collected: test.collected,
            received: test.received,
            resulted: test.resulted,
            clock_start: clock_start(test),
            working: self.targets.working(step.lab, clock_start(test), Time::at(step.at)),
            due: test.due,
            target: test.target,
            origin: test.origin,
            machine: test.machine,
            operator: test.operator,
            repeats: test.repeats,
            auto_verified: step.auto_verified,
            delta_flag: step.delta_flag,
        }
    }

    /// One row for the tests that a step has rejected.
    pub(super) fn rejected(&self, became: &[(u32, Became)], step: &TestStep, made: &mut Made<'_>) {
        let is_rejected = |test: u32| self.keeper.tests[test].state == self.rules.rejected;
        let rejected = became.iter().filter_map(|(test, became)| match became {
            Became::Moved { from } if is_rejected(*test) => Some((*test, *from)),
            _ => None,
        });
        let rejected: Vec<(u32, MachineState)> = rejected.collect();
        let priority = |test: u32| self.keeper.tests[test].priority;
        let Some(priority) = rejected.iter().map(|(test, _)| priority(*test)).max() else { return };
        let analytical = [self.rules.in_process, self.rules.error];
        let head = self.head(rejected[0].0, step, step.at, made);
        made.changes.rejections.push(RejectionRow {
            head: ChangeHead { assay: step.assay, priority, ..head },
            reason: step.reason,
            machine: step.machine,
            is_analytical: rejected.iter().any(|(_, from)| analytical.contains(from)),
            tests: rejected.len() as u32,
        });
    }

    pub(super) fn refuse(
        &mut self,
        at: u32,
        step: &TestStep,
        reason: RefusalReason,
        made: &mut Made<'_>,
    ) -> Became {
        self.counts.refused += 1;
        let noticed = step.at.max(step.watermark_before);
        let head = self.head(at, step, noticed, made);
        let test = &self.keeper.tests[at];
        let (state, is_final) = (test.state, test.marks.has(Mark::RowError));
        let word = step.word;
        made.changes.refused.push(RefusedRow { head, reason, state, word, is_final });
        Became::Refused
    }

    pub(super) fn head(&self, at: u32, step: &TestStep, time: i64, made: &Made<'_>) -> ChangeHead {
        made.head(&self.keeper.tests[at], step, time)
    }

    /// The head of a row that a timer makes.
    pub(super) fn timed_head(&self, at: u32, time: i64, made: &Made<'_>) -> ChangeHead {
        let test = &self.keeper.tests[at];
        let tube = &self.keeper.tubes[test.tube];
        ChangeHead {
            at: time,
            // What time brings about is on time, unless a late event let it begin in the past.
            watermark_before: time.max(self.passed),
            cause: made.cause,
            specimen: tube.specimen.clone(),
            lab: tube.lab,
            assay: test.assay,
            class: test.class,
            location: test.location,
            priority: test.priority,
        }
    }
}

impl Made<'_> {
    /// The head of a row about a test that the step in hand makes.
    pub(super) fn head(&self, test: &TestRecord, step: &TestStep, time: i64) -> ChangeHead {
        ChangeHead {
            at: time,
            watermark_before: step.watermark_before,
            cause: self.cause,
            specimen: step.specimen.clone(),
            lab: step.lab,
            assay: test.assay,
            class: test.class,
            location: test.location,
            priority: test.priority,
        }
    }
}
