//! The tests of a partition: events and timers in their order in, changes out.
//!
//! Comes in: steps (`step`), by the order of their offsets, and watermarks. Goes out: changes
//! (`change`). It keeps tubes and their tests (`record`, `keeper`), timers, and steps that wait for the
//! watermark. Read `apply` for what an event does, `deadline` and `hold` for what time does.

mod apply;
pub mod change;
mod deadline;
mod hold;
mod keeper;
pub(in crate::lifecycle) mod record;
mod row_alone;
pub(in crate::lifecycle) mod rules;
pub(in crate::lifecycle) mod step;
mod take;
pub(in crate::lifecycle) mod tally;
pub(in crate::lifecycle) mod target;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use change::{Cause, Changes, ReleasedStep};
use keeper::TubeKeeper;
use record::{Mark, TestRecord};
use rules::{Rules, TestSettings};
use step::TestStep;
use tally::{TestCounts, WantedRows};
use target::TargetFinder;

use super::cut::{BatchRises, Brought, RowCut, RowCuts};
use super::texts::RunTexts;
use super::waiting::{Released, Waiting};
use super::wheel::Wheel;
use crate::flow::Timestamp;
use crate::reference::Target;

/// The tests of one partition.
#[derive(Debug)]
pub(super) struct Tests {
    rules: Arc<Rules>,
    targets: TargetFinder,
    wanted: WantedRows,
    keeper: TubeKeeper,
    wheel: Wheel,
    waiting: Waiting<TestStep>,
    counts: TestCounts,
    /// The watermark up to which steps and timers have been released.
    reached: i64,
    /// Timers earlier than this have gone off.
    passed: i64,
    /// What made the rows of the last step, and when it happened.
    last: Brought,
    last_at: i64,
    /// The offset of the last record.
    last_offset: i64,
    /// Every test is held whole at first.
    #[cfg(test)]
    holds_all: bool,
}

/// Where rows go while steps are applied.
struct Made<'a> {
    changes: &'a mut Changes,
    brought: Brought,
    /// The cause in hand, among those of the changes.
    cause: u32,
    /// Whether the step in hand came in the batch in hand.
    in_hand: bool,
}

impl<'a> Made<'a> {
    fn of_step(changes: &'a mut Changes, brought: Brought, in_hand: bool) -> Made<'a> {
        Made { changes, brought, cause: 0, in_hand }
    }

    /// Timers that one record brings about are one cause.
    fn of_timer(changes: &'a mut Changes, brought: Brought) -> Made<'a> {
        let is_it = |last: &Cause| last.step.is_none() && last.brought == brought;
        let known = changes.causes.last().is_some_and(is_it);
        let mut made = Made { changes, brought, cause: 0, in_hand: false };
        if known {
            made.cause = made.changes.causes.len() as u32 - 1;
        } else {
            made.causes();
        }
        made
    }

    /// Notes a new cause of the rows to come.
    fn causes(&mut self) {
        self.cause = self.changes.causes.len() as u32;
        self.changes.causes.push(Cause { brought: self.brought, step: None });
    }

    /// Notes what became of the step that is the cause in hand.
    fn became(&mut self, step: ReleasedStep) {
        self.changes.causes[self.cause as usize].step = Some(step);
    }
}

impl Tests {
    pub(super) fn new(
        rules: Arc<Rules>,
        settings: &TestSettings,
        texts: Arc<RunTexts>,
        wanted: WantedRows,
    ) -> Tests {
        let reference = Arc::clone(&settings.reference);
        Tests {
            rules,
            targets: TargetFinder::new(reference, texts, settings.at_risk_share),
            wanted,
            keeper: TubeKeeper::default(),
            wheel: Wheel::default(),
            waiting: Waiting::default(),
            counts: TestCounts::default(),
            reached: i64::MIN,
            passed: i64::MIN,
            last_at: i64::MIN,
            last: Brought { by: -1, cut: RowCut { offset: 0, watermark: i64::MIN } },
            last_offset: -1,
            #[cfg(test)]
            holds_all: false,
        }
    }

    /// Takes in a batch's steps, in the order of their offsets, and does what is due by `watermark`.
    pub(super) fn batch(
        &mut self,
        steps: Vec<TestStep>,
        rises: &BatchRises,
        watermark: i64,
    ) -> Changes {
        let first = steps.first().map_or(i64::MAX, |step| step.offset);
        let cuts = RowCuts::of(rises, self.last_offset, self.reached, watermark);
        self.last_offset = rises.last().unwrap_or(self.last_offset);
        self.waiting.add(steps);
        self.release(watermark, first, &cuts)
    }

    /// A centre of the partition has published targets for tests received from then on.
    pub(super) fn publish(&mut self, lab_id: &str, rows: &[Target], valid_from: Timestamp) {
        self.targets.publish(lab_id, rows, valid_from);
    }

    /// Does what is due by a watermark that moved without a record.
    pub(super) fn advance(&mut self, watermark: i64) -> Changes {
        let cuts = self.no_records(watermark);
        self.release(watermark, i64::MAX, &cuts)
    }

    /// The input has ended: what waits is applied, and timers go off up to `end`.
    pub(super) fn finish(&mut self, end: i64) -> Changes {
        let until = end.saturating_add(1).max(self.reached);
        let last = self.waiting.last().map_or(until, |last| last.saturating_add(1).max(until));
        let cuts = self.no_records(until);
        let mut changes = Changes::default();
        self.release_into(last, (i64::MAX, until), &cuts, &mut changes);
        changes
    }

    /// No record comes any more: what waits is applied, and timers go off up to the last of it.
    pub(super) fn end(&mut self) -> Changes {
        let last = self.waiting.last().unwrap_or(self.reached);
        self.finish(last)
    }

    fn no_records(&self, watermark: i64) -> RowCuts {
        RowCuts::of(&BatchRises::default(), self.last_offset, self.reached, watermark)
    }

    fn release(&mut self, watermark: i64, first: i64, cuts: &RowCuts) -> Changes {
        let mut changes = Changes::default();
        self.release_into(watermark, (first, watermark), cuts, &mut changes);
        let (rules, wanted) = (&self.rules, self.wanted);
        let until = self.passed.saturating_sub(rules.keep_finished);
        self.keeper.forget(until, |test| waits(rules, wanted, test));
        changes
    }

    /// Steps before `watermark` and timers before `timers_until` in their order; steps from offset
    /// `first` on are of the batch in hand.
    fn release_into(
        &mut self,
        watermark: i64,
        (first, timers_until): (i64, i64),
        cuts: &RowCuts,
        changes: &mut Changes,
    ) {
        let released = self.waiting.release(watermark);
        changes.causes.reserve(released.len());
        if self.wanted.completions {
            changes.completions.reserve(released.len());
        }
        for (place, (turn, step)) in released.iter().enumerate() {
            self.soon(&released, place);
            self.timers(turn.min(timers_until), cuts, changes);
            // A late step is applied before whatever comes at its turn.
            let is_late = step.at < step.watermark_before;
            self.targets.work_at(turn.saturating_sub(i64::from(is_late)));
            let brought = cuts.of_step(turn, (step.offset, step.watermark_before), step.at);
            (self.last, self.last_at) = (brought, step.at);
            let mut made = Made::of_step(changes, brought, step.offset >= first);
            self.apply(step, &mut made);
        }
        self.timers(timers_until, cuts, changes);
        self.reached = self.reached.max(watermark);
        changes.origins = self.targets.origins().to_vec();
    }

    /// Asks for the memory of steps to come, so that none waits for it.
    #[inline]
    fn soon(&self, released: &Released<TestStep>, place: usize) {
        if let Some(step) = released.get(place + 24) {
            self.keeper.soon(step.tube);
        }
        if let Some(step) = released.get(place + 16) {
            self.keeper.soon_tube(step.tube);
        }
        if let Some(step) = released.get(place + 8) {
            self.keeper.soon_test(step.tube);
        }
    }

    /// Timers before `until`.
    fn timers(&mut self, until: i64, cuts: &RowCuts, changes: &mut Changes) {
        while self.wheel.may_be_due(until) {
            let tests = &self.keeper.tests;
            let time_of = |at: u32| {
                let test = &tests[at];
                Some((test.timer.get()?, test.born))
            };
            let Some(timer) = self.wheel.next(until, time_of) else { break };
            // What a step has begun in the past is its own doing.
            let brought = if timer.at < self.passed { self.last } else { cuts.of_time(timer.at) };
            self.went_off(timer, &mut Made::of_timer(changes, brought));
        }
        self.passed = self.passed.max(until);
    }

    /// Puts a tube down when nothing is waited for.
    fn settle(&mut self, tube: u32) {
        let (rules, wanted) = (&self.rules, self.wanted);
        self.keeper.put_down(tube, |test| waits(rules, wanted, test));
    }

    /// How many came to what.
    pub(super) fn counts(&self) -> TestCounts {
        self.counts
    }

    /// Tests that are held whole, and those that are put down.
    pub(super) fn held(&self) -> (usize, usize) {
        self.keeper.held()
    }

    /// Bytes of memory that are held.
    pub(super) fn bytes(&self) -> usize {
        self.keeper.bytes() + self.wheel.bytes() + self.waiting.bytes()
    }
}

/// Whether something is still to come of a test.
fn waits(rules: &Rules, wanted: WantedRows, test: &TestRecord) -> bool {
    let is_over = rules.machine.is_finished(test.state) || test.marks.has(Mark::RowError);
    let waits_for_due = test.due.is_some() && !test.marks.has(Mark::DueSaid);
    !is_over
        || (wanted.due || wanted.deadlines) && waits_for_due
        || rules.may_complete(test) && !test.marks.has(Mark::Left)
}
