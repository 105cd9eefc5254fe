//! The order of work of one partition: steps and timers in the order of event time, once the watermark
//! has passed them, whatever it is that they move.

use super::cut::{BatchRises, Brought, RowCut, RowCuts};
use super::waiting::{Timed, Waiting};
use super::wheel::{Wheel, WheelTimer};

/// Where the order of work of a partition stands.
#[derive(Debug)]
pub struct WorkOrder<S> {
    pub(super) wheel: Wheel,
    waiting: Waiting<S>,
    /// The watermark up to which steps and timers have been released.
    reached: i64,
    /// Timers earlier than this have gone off.
    pub(super) passed: i64,
    /// What made the rows of the last step.
    last: Brought,
    /// The offset of the last record.
    last_offset: i64,
}

impl<S> Default for WorkOrder<S> {
    fn default() -> WorkOrder<S> {
        WorkOrder {
            wheel: Wheel::default(),
            waiting: Waiting::default(),
            reached: i64::MIN,
            passed: i64::MIN,
            last: Brought { by: -1, cut: RowCut { offset: 0, watermark: i64::MIN } },
            last_offset: -1,
        }
    }
}

impl<S: Timed> WorkOrder<S> {
    /// Bytes of memory that are held.
    pub(super) fn bytes(&self) -> usize {
        self.wheel.bytes() + self.waiting.bytes()
    }

    fn no_records(&self, watermark: i64) -> RowCuts {
        RowCuts::of(&BatchRises::default(), self.last_offset, self.reached, watermark)
    }
}

/// What follows entities of one partition: it says what a step and a timer do, and gets them in order.
pub trait Follows {
    /// An event of an entity.
    type Step: Timed;
    /// What steps and timers make.
    type Changes: Default;

    /// Where its order of work stands.
    fn order(&mut self) -> &mut WorkOrder<Self::Step>;

    /// Applies a step; `in_hand` says whether it came in the batch in hand.
    fn apply_step(
        &mut self,
        step: &Self::Step,
        brought: Brought,
        in_hand: bool,
        changes: &mut Self::Changes,
    );

    /// The next timer before `until`, taken from the wheel.
    fn next_timer(&mut self, until: i64) -> Option<WheelTimer>;

    /// Does what a timer does, if it is still set.
    fn went_off(&mut self, timer: WheelTimer, brought: Brought, changes: &mut Self::Changes);

    /// Forgets what was over long enough before `now`.
    fn forget(&mut self, now: i64);

    /// Bytes of memory that are held, about.
    fn bytes(&self) -> usize;

    /// Takes in a batch's steps, in which the watermark rose so, and does what is due by `watermark`.
    fn batch(
        &mut self,
        steps: Vec<Self::Step>,
        rises: &BatchRises,
        watermark: i64,
    ) -> Self::Changes {
        let first = steps.first().map_or(i64::MAX, Timed::offset);
        let order = self.order();
        let cuts = RowCuts::of(rises, order.last_offset, order.reached, watermark);
        order.last_offset = rises.last().unwrap_or(order.last_offset);
        order.waiting.add(steps);
        release(self, watermark, (first, watermark), &cuts)
    }

    /// Does what is due by a watermark that moved without a record.
    fn advance(&mut self, watermark: i64) -> Self::Changes {
        let cuts = self.order().no_records(watermark);
        release(self, watermark, (i64::MAX, watermark), &cuts)
    }

    /// The input has ended: what waits is applied, and timers go off up to `end`.
    fn finish(&mut self, end: i64) -> Self::Changes {
        let order = self.order();
        let until = end.saturating_add(1).max(order.reached);
        let last = order.waiting.last().map_or(until, |last| last.saturating_add(1).max(until));
        let cuts = order.no_records(until);
        release(self, last, (i64::MAX, until), &cuts)
    }

    /// No record comes any more: what waits is applied, and timers go off up to the last of it.
    fn end(&mut self) -> Self::Changes {
        let order = self.order();
        let last = order.waiting.last().unwrap_or(order.reached);
        self.finish(last)
    }
}

/// Steps before `watermark` and timers before `timers_until` in their order; steps from offset `first` on
/// are of the batch in hand.
fn release<F: Follows + ?Sized>(
    followed: &mut F,
    watermark: i64,
    (first, timers_until): (i64, i64),
    cuts: &RowCuts,
) -> F::Changes {
    let mut changes = F::Changes::default();
    let released = followed.order().waiting.release(watermark);
    for (turn, step) in released.iter() {
        let_timers_go_off(followed, turn.min(timers_until), cuts, &mut changes);
        followed.forget(turn);
        let stood = (step.offset(), step.watermark_before());
        let brought = cuts.of_step(turn, stood, step.at());
        followed.order().last = brought;
        followed.apply_step(step, brought, step.offset() >= first, &mut changes);
    }
    let_timers_go_off(followed, timers_until, cuts, &mut changes);
    let order = followed.order();
    order.reached = order.reached.max(watermark);
    let reached = order.reached;
    followed.forget(reached);
    changes
}

/// Timers before `until`.
fn let_timers_go_off<F: Follows + ?Sized>(
    followed: &mut F,
    until: i64,
    cuts: &RowCuts,
    changes: &mut F::Changes,
) {
    while let Some(timer) = followed.next_timer(until) {
        let order = followed.order();
        // What a late step has begun in the past is its own doing.
        let is_of_step = timer.at < order.passed;
        let brought = if is_of_step { order.last } else { cuts.of_time(timer.at) };
        followed.went_off(timer, brought, changes);
    }
    let order = followed.order();
    order.passed = order.passed.max(until);
}
