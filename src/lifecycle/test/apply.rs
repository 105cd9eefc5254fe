//! One event at one test: what becomes of it, by the first line that fits.

use super::change::{BackdatedRow, Fate, RefusalReason, ReleasedStep, TransitionRow};
use super::keeper::TubeWanted;
use super::record::{Mark, TestRecord, Time};
use super::step::{TestStep, ToldBy};
use super::{Made, Tests, waits};
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::slab::NIL;
use crate::lifecycle::texts::NO_TEXT;

/// What became of an event at one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    Moved { from: MachineState },
    Repeated,
    Refused,
}

/// What is to become of it.
enum Verdict {
    Move { to: MachineState, skips: bool },
    Repeat,
    Refuse(RefusalReason),
}

impl Tests {
    /// Applies a step to all tests that it addresses.
    pub(super) fn apply(&mut self, step: &TestStep, made: &mut Made<'_>) {
        made.causes();
        let fate = match self.row_alone(step, made) {
            true => Fate::Moved,
            false => self.apply_to_known(step, made),
        };
        let row = made.in_hand.then_some(step.row);
        made.became(ReleasedStep { row, is_counted: step.is_counted, fate });
    }

    fn apply_to_known(&mut self, step: &TestStep, made: &mut Made<'_>) -> Fate {
        let turn = step.at.max(step.watermark_before);
        let wanted = TubeWanted {
            key: step.tube,
            specimen: &step.specimen,
            lab: step.lab,
            left_before: turn.saturating_sub(self.rules.keep_finished),
        };
        let (rules, rows) = (&self.rules, self.wanted);
        let tube = self.keeper.tube(&wanted, |test| waits(rules, rows, test));
        let outcome = if step.assay == NO_TEXT {
            self.apply_to_tube(tube, step, made)
        } else {
            let test = self.test_of(tube, step);
            let outcome = self.apply_to(test, step, made);
            self.rejected(&[(test, outcome)], step, made);
            outcome
        };
        self.settle(tube);
        match outcome {
            Became::Moved { .. } => Fate::Moved,
            Became::Repeated => Fate::Repeated,
            Became::Refused => Fate::Refused,
        }
    }

    /// All tests of the tube; a provisional one where it has none.
    fn apply_to_tube(&mut self, tube: u32, step: &TestStep, made: &mut Made<'_>) -> Became {
        let mut tests = self.keeper.tests_of(tube);
        if tests.is_empty() {
            tests.push(self.new_test(tube, step));
        }
        let became = |test: u32| (test, self.apply_to(test, step, made));
        let became: Vec<(u32, Became)> = tests.into_iter().map(became).collect();
        self.rejected(&became, step, made);
        let moved = became.iter().find(|(_, one)| matches!(one, Became::Moved { .. }));
        let repeated = became.iter().find(|(_, one)| matches!(one, Became::Repeated));
        let Some((_, outcome)) = moved.or(repeated) else { return Became::Refused };
        // What the tube has been through counts for tests that are added later.
        let (collected, received) = (self.collection_told(step), self.receipt_told(step));
        let tube = &mut self.keeper.tubes[tube];
        tube.collected = tube.collected.or(collected);
        tube.received = tube.received.or(received);
        *outcome
    }

    /// The test of the step's assay: the one there is, the provisional one, or a new one.
    fn test_of(&mut self, tube: u32, step: &TestStep) -> u32 {
        if let Some(test) = self.keeper.test_of(tube, step.assay) {
            return test;
        }
        if let Some(test) = self.keeper.test_of(tube, NO_TEXT) {
            self.keeper.tests[test].assay = step.assay;
            return test;
        }
        self.new_test(tube, step)
    }

    fn new_test(&mut self, tube: u32, step: &TestStep) -> u32 {
        let (collected, received) = {
            let tube = &self.keeper.tubes[tube];
            (tube.collected, tube.received)
        };
        self.keeper.add(TestRecord {
            collected,
            received,
            born: step.offset,
            tube,
            next: NIL,
            assay: step.assay,
            ..TestRecord::default()
        })
    }

    fn apply_to(&mut self, at: u32, step: &TestStep, made: &mut Made<'_>) -> Became {
        self.counts.addressed += 1;
        let implies = self.implies_receipt(at, step);
        let verdict = self.verdict(at, step, implies);
        if !matches!(verdict, Verdict::Refuse(_)) {
            self.take(at, step, implies);
        }
        // Also where the step is refused: it may be the one that named the test.
        let news = self.resolve(at);
        let became = match verdict {
            Verdict::Move { to, skips } => {
                if implies {
                    self.imply_receipt(at, step, made);
                }
                self.counts.skipped += u64::from(skips);
                self.moved(at, to, step, made)
            }
            Verdict::Repeat => {
                self.counts.repeated += 1;
                Became::Repeated
            }
            Verdict::Refuse(reason) => self.refuse(at, step, reason, made),
        };
        if news {
            self.judge_due(at, step, made);
        }
        self.wind(at);
        became
    }

    /// The first line that fits.
    fn verdict(&self, at: u32, step: &TestStep, implies: bool) -> Verdict {
        let test = &self.keeper.tests[at];
        if test.since.get().is_some_and(|since| step.at < since) {
            return Verdict::Refuse(RefusalReason::Overtaken);
        }
        let rules = &self.rules;
        let from = if implies { rules.received } else { test.state };
        let is_final = test.marks.has(Mark::RowError) && !implies;
        let way = rules.machine.way(from, step.word, step.guards).filter(|_| !is_final);
        if let Some(way) = way {
            return Verdict::Move { to: way.to, skips: way.skips > 0 };
        }
        if test.state == MachineState::NONE {
            return Verdict::Move { to: rules.first_state(step.word), skips: false };
        }
        let is_told = rules.machine.state_of_word(step.word) == Some(test.state);
        let is_receipt_told =
            step.form == ToldBy::Row && step.word == rules.received_word && test.received.is_some();
        // An order that is told late tells of a time, and asks for nothing.
        let is_order =
            step.word == rules.ordered_word && rules.machine.on_line(test.state).is_some();
        if is_told || is_receipt_told || is_order {
            return Verdict::Repeat;
        }
        Verdict::Refuse(RefusalReason::NotAllowed)
    }

    /// Whether a row tells of a receipt beside its outcome.
    fn implies_receipt(&self, at: u32, step: &TestStep) -> bool {
        step.form == ToldBy::Row
            && step.word != self.rules.received_word
            && step.received.is_some()
            && self.rules.before_receipt(self.keeper.tests[at].state)
    }

    /// A row that tells of the outcome tells of the receipt too.
    fn imply_receipt(&mut self, at: u32, step: &TestStep, made: &mut Made<'_>) {
        let Some(received) = step.received.get() else { return };
        self.counts.implied += 1;
        let to = self.rules.received;
        let from = self.keeper.tests[at].state;
        let way = self.rules.machine.way(from, self.rules.received_word, step.guards);
        self.counts.skipped += u64::from(way.is_some_and(|way| way.skips > 0));
        let test = &mut self.keeper.tests[at];
        let stayed = Time::at(received).since(test.since).filter(|_| from != MachineState::NONE);
        (test.state, test.since) = (to, Time::at(received));
        if received < step.watermark_before && self.wanted.backdated {
            let head = self.head(at, step, step.at.max(step.watermark_before), made);
            made.changes.backdated.push(BackdatedRow { head, happened: received, to });
        }
        if self.wanted.transitions {
            let head = self.head(at, step, received, made);
            let row = TransitionRow::untold(head, (from, to), stayed, true);
            made.changes.transitions.push(row);
        }
    }

    fn moved(&mut self, at: u32, to: MachineState, step: &TestStep, made: &mut Made<'_>) -> Became {
        self.counts.transitions += 1;
        let now = Time::at(step.at);
        let test = &mut self.keeper.tests[at];
        let before = test.state;
        let stayed = now.since(test.since).filter(|_| before != MachineState::NONE);
        (test.state, test.since) = (to, now);
        test.marks.clear(Mark::Left);
        if to == self.rules.resulted {
            test.resulted = now;
        }
        if to == self.rules.in_process && before == self.rules.resulted && step.repeat_no == 0 {
            test.repeats = test.repeats.saturating_add(1);
        }
        if to == self.rules.error && step.form == ToldBy::Row {
            test.marks.set(Mark::RowError);
        }
        if self.wanted.transitions {
            let head = self.head(at, step, step.at, made);
            let row = TransitionRow::told(head, (before, to), stayed, step);
            made.changes.transitions.push(row);
        }
        if to == self.rules.error {
            self.failed(at, step, made);
        }
        self.complete(at, step, made);
        self.restate(at, before, step, made);
        if self.keeper.tests[at].marks.has(Mark::Told) {
            let head = self.head(at, step, step.at, made);
            self.end_deadline(at, || head, made.changes);
        }
        if self.keeper.tests[at].marks.has(Mark::HoldTold) {
            let head = self.head(at, step, step.at, made);
            self.end_hold(at, || head, made.changes);
        }
        Became::Moved { from: before }
    }
}
