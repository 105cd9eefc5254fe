//! What the columns of an event tell of a test beside its word.

use super::Tests;
use super::record::{Mark, Time};
use super::step::{TestStep, ToldBy};
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::texts::NO_TEXT;

impl Tests {
    pub(super) fn order_told(&self, step: &TestStep) -> Time {
        let is_order = step.word == self.rules.ordered_word;
        step.ordered.or(if is_order { Time::at(step.at) } else { Time::NONE })
    }

    pub(super) fn collection_told(&self, step: &TestStep) -> Time {
        let is_collection = step.word == self.rules.collected_word;
        step.collected.or(if is_collection { Time::at(step.at) } else { Time::NONE })
    }

    /// An event of the receipt happened when it did; others, and rows, may have a time for it.
    pub(super) fn receipt_told(&self, step: &TestStep) -> Time {
        match (step.word == self.rules.received_word, step.form) {
            (true, ToldBy::Event) => Time::at(step.at),
            (true, ToldBy::Row) => step.received.or(Time::at(step.at)),
            (false, ToldBy::Row | ToldBy::Event) => step.received,
        }
    }

    /// What the columns of an event tell of the test; of a time the first that tells counts.
    pub(super) fn take(&mut self, at: u32, step: &TestStep, implies: bool) {
        let told = [self.order_told(step), self.collection_told(step), self.receipt_told(step)];
        let rules = &self.rules;
        let test = &mut self.keeper.tests[at];
        let clock_runs = test.state != MachineState::NONE && test.received.is_some();
        let known = [&mut test.ordered, &mut test.collected, &mut test.received];
        known.into_iter().zip(told).for_each(|(known, told)| *known = known.or(told));
        if test.state == MachineState::NONE {
            let receipt = if step.form == ToldBy::Row { step.received } else { Time::NONE };
            test.mentioned = receipt.or(Time::at(step.at));
            if rules.tells_of_verification(step.word) && !implies {
                test.marks.set(Mark::Completed);
            }
        }
        test.profile = test.profile.or(step.profile);
        test.repeats = test.repeats.max(step.repeat_no);
        for (known, told) in [
            (&mut test.class, step.class),
            (&mut test.location, step.location),
            (&mut test.machine, step.machine),
            (&mut test.operator, step.operator),
        ] {
            if told != NO_TEXT {
                *known = told;
            }
        }
        if step.priority <= test.priority {
            return;
        }
        test.priority = step.priority;
        let counts = !test.marks.has(Mark::Completed) && !test.marks.has(Mark::DueSaid);
        if clock_runs && counts {
            test.risen = Time::at(step.at);
            if test.clock_start.is_some() {
                self.set_target(at);
            }
        }
    }
}
