//! A tube that one row tells of from receipt to result: by far the most of what a system that reports
//! finished tests alone sends.
//!
//! Nothing is known of the tube, the row says its outcome and when it was received, and nobody waits for
//! its due time: so the test is put down at once, and never held whole. What comes of it is what `apply`
//! would have made of it.

use super::change::{BackdatedRow, TransitionRow};
use super::record::{FinishedTest, Mark, TestRecord, Time, TubeRecord};
use super::step::{TestStep, ToldBy};
use super::{Made, Tests};
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::texts::NO_TEXT;

/// What the row leads to.
struct Alone {
    to: MachineState,
    received: Time,
    /// States of the line that are passed over.
    skipped: u64,
}

impl Tests {
    /// Applies a step to a tube that is not known, where it completes its test by itself. Where it does not,
    /// nothing has been done.
    pub(super) fn row_alone(&mut self, step: &TestStep, made: &mut Made<'_>) -> bool {
        let Some(Alone { to, received, skipped }) = self.alone(step) else { return false };
        let mut test = told_by(step, received);
        test.clock_start = received.max(test.ordered.or(test.mentioned));
        if let Some(found) = self.targets.of(&test, step.lab) {
            test.take_target(found);
        }
        (test.state, test.since, test.completed) = (to, Time::at(step.at), Time::at(step.at));
        test.marks.set(Mark::Completed);
        if test.due.is_some() && test.due < test.completed {
            test.marks.set(Mark::DueSaid);
            test.marks.set(Mark::Breached);
        }
        let tube = TubeRecord { key: step.tube, ..TubeRecord::default() };
        let Some(finished) = FinishedTest::of(&tube, &test) else { return false };
        self.keeper.put_down_at_once(finished);
        self.counts.addressed += 1;
        self.counts.transitions += 1;
        self.counts.implied += 1;
        self.counts.skipped += skipped;
        self.tell_alone(&test, step, made);
        true
    }

    /// Whether the step stands alone, and what it leads to.
    fn alone(&self, step: &TestStep) -> Option<Alone> {
        #[cfg(test)]
        if self.holds_all {
            return None;
        }
        let rules = &self.rules;
        let is_waited_for = self.wanted.due || self.wanted.deadlines;
        let tells_all = step.form == ToldBy::Row
            && step.word != rules.received_word
            && step.assay != NO_TEXT
            && step.received.is_some();
        if is_waited_for || !tells_all || self.keeper.knows(step.tube) {
            return None;
        }
        let way = rules.machine.way(rules.received, step.word, step.guards)?;
        let receipt = rules.machine.way(MachineState::NONE, rules.received_word, step.guards);
        let skips = |is_skipping: bool| u64::from(is_skipping);
        let skipped = skips(way.skips > 0) + skips(receipt.is_some_and(|way| way.skips > 0));
        let to = way.to;
        rules.completes(to).then_some(Alone { to, received: step.received, skipped })
    }

    fn tell_alone(&mut self, test: &TestRecord, step: &TestStep, made: &mut Made<'_>) {
        let received = test.received.get().unwrap_or(step.at);
        if received < step.watermark_before && self.wanted.backdated {
            let head = made.head(test, step, step.at.max(step.watermark_before));
            let row = BackdatedRow { head, happened: received, to: self.rules.received };
            made.changes.backdated.push(row);
        }
        if self.wanted.transitions {
            let head = made.head(test, step, received);
            let ways = (MachineState::NONE, self.rules.received);
            made.changes.transitions.push(TransitionRow::untold(head, ways, None, true));
            let head = made.head(test, step, step.at);
            let stayed = test.since.since(test.received);
            let ways = (self.rules.received, test.state);
            made.changes.transitions.push(TransitionRow::told(head, ways, stayed, step));
        }
        if self.wanted.completions {
            let row = self.completion(test, step, made);
            made.changes.completions.push(row);
        }
    }
}

/// A test as its first step tells of it.
fn told_by(step: &TestStep, received: Time) -> TestRecord {
    TestRecord {
        ordered: step.ordered,
        collected: step.collected,
        received,
        mentioned: received,
        profile: step.profile,
        born: step.offset,
        assay: step.assay,
        class: step.class,
        location: step.location,
        machine: step.machine,
        operator: step.operator,
        repeats: step.repeat_no,
        priority: step.priority,
        ..TestRecord::default()
    }
}
