//! A critical result: its flag, who is called, who acknowledges.

use super::figures::{
    ACKNOWLEDGE_MEDIAN_MIN, ACKNOWLEDGE_SIGMA, Assay, CALLED_WEIGHTS, ELECTRONIC_SHARE,
    MISSED_SHARE, READ_BACK_SHARE, UNREACHABLE_SHARE,
};
use super::lab::Lab;
use super::tube::{StepKind, Test, Tube};

/// Whoever is not reached is called again after at least so long.
const AGAIN_AFTER_S: i64 = 60;

/// Adds the steps of a critical result that is seen when it is there, at `resulted`, and released
/// when it is verified, at `released`.
pub(super) fn plan_critical(
    lab: &mut Lab,
    tube: &mut Tube,
    index: usize,
    (assay, test): (&Assay, &mut Test),
    (resulted, released): (i64, i64),
) {
    let dice = &mut lab.dice;
    test.high = assay.critical_low == 0.0 || dice.chance(0.5);
    let value = if test.high {
        assay.critical_high * dice.between(1.0, 1.25)
    } else {
        assay.critical_low * dice.between(0.75, 1.0)
    };
    test.value_tenths = (value * 10.0).round() as i32;
    test.read_back = dice.chance(READ_BACK_SHARE);
    let told_s = dice.between(1.0, 15.0) as i64;
    let seen = resulted + told_s;
    let handled_s = dice.log_normal(ACKNOWLEDGE_MEDIAN_MIN, ACKNOWLEDGE_SIGMA) * 60.0;
    let called_s = ((handled_s * dice.between(0.3, 0.8)) as i64).max(1);
    let called = seen + called_s;
    let missed = dice.chance(MISSED_SHARE);
    let mut flagged = seen;
    if let Some(beyond) = &mut lab.beyond {
        test.called = Some(beyond.dice.pick(&CALLED_WEIGHTS) as u8);
        // A system tells nothing that has not been flagged.
        test.electronic = !beyond.calls_first && beyond.dice.chance(ELECTRONIC_SHARE);
        let unreachable = beyond.dice.chance(UNREACHABLE_SHARE);
        if unreachable && !test.electronic && called_s >= AGAIN_AFTER_S {
            let first = (called_s as f64 * beyond.dice.between(0.1, 0.5)) as i64;
            tube.push(seen + first, StepKind::Unreachable, index);
        }
        if beyond.calls_first {
            // The call has been made when the result goes out with its flag.
            flagged = released.max(called) + told_s;
        }
    }
    tube.push(flagged, StepKind::Critical, index);
    tube.push(called, StepKind::Notified, index);
    if !missed {
        tube.push(seen + (handled_s as i64).max(2), StepKind::Acknowledged, index);
    }
}
