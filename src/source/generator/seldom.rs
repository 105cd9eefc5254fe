//! What seldom happens to a tube, and what becomes of it after its results: told where more than the
//! plain course is.
//!
//! It is decided over a tube that has been planned plainly, and drawn from a stream of its own, so
//! that the plain course of all other tubes stays as it is.

use super::analysis::{plan_test, unplanned};
use super::dice::Dice;
use super::figures::{
    ABANDONED_SHARE, ADDED_MEDIAN_H, ADDED_SHARE, ADDED_SIGMA, INVALIDATED_SHARE,
    LOST_INSIDE_SHARE, LOST_ON_WAY_SHARE, REFERRED_IN_SHARE, REFERRED_MEDIAN_H, REFERRED_SHARE,
    REFERRED_SIGMA, TUBE_KINDS, UNCOLLECTED_SHARE, UPGRADED_AFTER_MIN, UPGRADED_SHARE,
};
use super::lab::{Lab, OrderForm};
use super::tube::{Priority, StepKind, Tube};

/// No tube has more tests.
const MOST_TESTS: usize = 4;
const HOUR_S: f64 = 3600.0;
const MINUTE_S: f64 = 60.0;

/// Whether a received tube becomes urgent, and when: before its tests are planned, since they are
/// faster then.
pub(super) fn upgrade(lab: &mut Lab, tube: &mut Tube) {
    let Some(beyond) = &mut lab.beyond else { return };
    if tube.visit.priority != Priority::Stat && beyond.dice.chance(UPGRADED_SHARE) {
        let (low, high) = UPGRADED_AFTER_MIN;
        tube.upgraded_at = tube.received_at + (beyond.dice.between(low, high) * MINUTE_S) as i64;
    }
}

/// Sends a test to another laboratory instead of what was planned for it: the steps from `first`
/// on.
pub(super) fn refer(lab: &mut Lab, tube: &mut Tube, index: usize, first: usize) {
    let Some(beyond) = &mut lab.beyond else { return };
    let dice = &mut beyond.dice;
    if !dice.chance(REFERRED_SHARE) {
        return;
    }
    let sent = tube.received_at + (dice.between(5.0, 60.0) * MINUTE_S) as i64;
    let resulted = sent + (dice.log_normal(REFERRED_MEDIAN_H, REFERRED_SIGMA) * HOUR_S) as i64;
    let verified = resulted + (dice.between(2.0, 60.0) * MINUTE_S) as i64;
    let published = verified + dice.between(1.0, 90.0) as i64;
    tube.steps.truncate(first);
    tube.push(sent, StepKind::Referred, index);
    tube.push(resulted, StepKind::Resulted, index);
    tube.push(verified, StepKind::Verified, index);
    if lab.publishes {
        tube.push(published, StepKind::Published, index);
    }
    if let Some(test) = tube.tests.get_mut(index) {
        test.referred = true;
        (test.auto_verified, test.delta, test.repeated) = (false, false, false);
        test.resulted_at = resulted;
    }
}

/// Lets happen what happens to a tube whose plain course is planned.
pub(super) fn befall(lab: &mut Lab, tube: &mut Tube) {
    let Some(beyond) = &mut lab.beyond else { return };
    let dice = &mut beyond.dice;
    if tube.visit.class.by_courier() && dice.chance(REFERRED_IN_SHARE) {
        tube.referred_from = Some(1 + dice.below(40) as u8);
    }
    let ended = |kind| matches!(kind, StepKind::Rejected | StepKind::Cancelled);
    if tube.steps.iter().any(|step| ended(step.kind)) || vanishes(dice, tube) {
        return;
    }
    add_test(lab, tube);
    tell_upgrade(lab, tube);
    invalidate(lab, tube);
    store(lab, tube);
}

/// Whether the tube is not collected, lost or forgotten, and then its course ends early.
fn vanishes(dice: &mut Dice, tube: &mut Tube) -> bool {
    let fates =
        [UNCOLLECTED_SHARE, LOST_ON_WAY_SHARE, LOST_INSIDE_SHARE, ABANDONED_SHARE].into_iter();
    let draw = dice.unit();
    let mut beyond = 0.0;
    let fate = fates.map(|share| {
        beyond += share;
        beyond
    });
    let Some(fate) = fate.into_iter().position(|below| draw < below) else { return false };
    let when = dice.unit();
    let missed_s = (dice.between(1.0, 30.0) * HOUR_S) as i64;
    let first_verified = tube.steps.iter().filter(|step| step.kind == StepKind::Verified);
    let first_verified = first_verified.map(|step| step.at).min().unwrap_or(tube.received_at);
    let inside = tube.received_at + 1 + ((first_verified - tube.received_at) as f64 * when) as i64;
    match fate {
        0 => {
            let ordered = |kind| matches!(kind, StepKind::OrderCreated | StepKind::Ordered);
            if !tube.steps.iter().any(|step| ordered(step.kind)) {
                // A feed that tells no orders tells nothing of this one.
                return false;
            }
            tube.steps.retain(|step| ordered(step.kind));
            let until = (tube.collected_at - tube.visit.ordered_at) as f64;
            let at = tube.visit.ordered_at + 1 + ((until - 2.0) * when) as i64;
            tube.push(at, StepKind::Cancelled, 0);
        }
        1 => {
            tube.steps.retain(|step| step.at < tube.received_at);
            tube.was_received = false;
            tube.push(tube.received_at + missed_s, StepKind::Lost, 0);
        }
        2 => {
            tube.steps.retain(|step| step.at < inside);
            tube.push(inside + missed_s, StepKind::Lost, 0);
        }
        _ => tube.steps.retain(|step| step.at < inside),
    }
    true
}

/// A test that is asked for when the tube has long been received.
fn add_test(lab: &mut Lab, tube: &mut Tube) {
    let Some(beyond) = &mut lab.beyond else { return };
    let dice = &mut beyond.dice;
    if !dice.chance(ADDED_SHARE) || tube.tests.len() >= MOST_TESTS {
        return;
    }
    let asked = |assay: u8| tube.tests.iter().any(|test| test.assay == assay);
    let menu = TUBE_KINDS.get(usize::from(tube.kind)).map_or(&[][..], |kind| kind.menu);
    let (assays, weights): (Vec<u8>, Vec<f64>) =
        menu.iter().copied().filter(|(assay, _)| !asked(*assay)).unzip();
    let Some(assay) = assays.get(dice.pick(&weights)) else { return };
    let mut test = unplanned(*assay);
    let after_s = dice.log_normal(ADDED_MEDIAN_H, ADDED_SIGMA) * HOUR_S;
    test.added_at = tube.received_at + after_s as i64;
    let index = tube.tests.len();
    tube.tests.push(test);
    let mut dice = dice.fork();
    std::mem::swap(&mut lab.dice, &mut dice);
    plan_test(lab, tube, index);
    std::mem::swap(&mut lab.dice, &mut dice);
    if lab.orders == OrderForm::Created {
        tube.push(test.added_at, StepKind::Added, index);
    }
}

/// The order of each test that was not yet verified when it became urgent comes once more.
fn tell_upgrade(lab: &Lab, tube: &mut Tube) {
    let at = tube.upgraded_at;
    if at == i64::MAX || lab.orders != OrderForm::Created {
        return;
    }
    let is_open = |tube: &Tube, index| {
        let mut ends = tube.steps.iter().filter(|step| step.kind == StepKind::Verified);
        ends.any(|step| usize::from(step.test) == index && step.at > at)
    };
    for index in 0..tube.tests.len() {
        let known = tube.tests.get(index).is_some_and(|test| test.added_at <= at);
        if known && is_open(tube, index) {
            tube.push(at, StepKind::Upgraded, index);
        }
    }
}

/// Results that turn out wrong are withdrawn, and issued again.
fn invalidate(lab: &mut Lab, tube: &mut Tube) {
    let Some(beyond) = &mut lab.beyond else { return };
    let dice = &mut beyond.dice;
    for index in 0..tube.tests.len() {
        if !dice.chance(INVALIDATED_SHARE) {
            continue;
        }
        let of_test = tube.steps.iter().filter(|step| usize::from(step.test) == index);
        let told = of_test.clone().filter(|step| {
            matches!(step.kind, StepKind::Verified | StepKind::Published | StepKind::Corrected)
        });
        let Some(last) = told.map(|step| step.at).max() else { continue };
        let mut at = last + (dice.log_normal(2.0, 0.7) * HOUR_S) as i64 + 1;
        tube.push(at, StepKind::Invalidated, index);
        let mut then = |kind, low: f64, high: f64| {
            at += (dice.between(low, high) * MINUTE_S) as i64;
            tube.push(at, kind, index);
        };
        then(StepKind::InProcess, 2.0, 15.0);
        then(StepKind::Resulted, 5.0, 20.0);
        then(StepKind::Verified, 1.0, 30.0);
        if lab.publishes {
            then(StepKind::Published, 0.1, 1.5);
        }
    }
}

/// The tube is stored when all is done.
fn store(lab: &mut Lab, tube: &mut Tube) {
    let Some(beyond) = &mut lab.beyond else { return };
    let last = tube.steps.iter().fold(tube.received_at, |last, step| last.max(step.at));
    tube.stored_at = Some(last + (beyond.dice.between(10.0, 240.0) * MINUTE_S) as i64);
}
