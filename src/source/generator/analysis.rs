//! From a received tube to the steps of each of its tests: waiting, analysis, verification, and
//! what goes wrong in a laboratory (not on the way of a record: see `faults`).

use super::critical::plan_critical;
use super::figures::{
    ASSAYS, Assay, CORRECTED_SHARE, CRITICAL_SHARE, DELTA_SHARE, ERROR_WEIGHTS, LabBench,
    REPEAT_SHARE, TAIL_FACTOR, TAIL_SHARE,
};
use super::lab::Lab;
use super::tube::{Priority, StepKind, Test, Tube};

/// In-lab turnaround is never shorter.
const SHORTEST_TAT_S: f64 = 180.0;

/// A test before anything has been decided.
pub(super) fn unplanned(assay: u8) -> Test {
    Test {
        assay,
        machine: 0,
        failed_machine: 0,
        operator: 0,
        error_code: 0,
        auto_verified: false,
        delta: false,
        repeated: false,
        failed: false,
        high: false,
        read_back: false,
        called: None,
        electronic: false,
        referred: false,
        added_at: 0,
        value_tenths: 0,
        resulted_at: 0,
    }
}

/// When a test starts, has its result, and is verified.
struct Times {
    start: i64,
    resulted: i64,
    verified: i64,
}

/// Decides everything about one test of a received tube, and adds its steps.
pub(super) fn plan_test(lab: &mut Lab, tube: &mut Tube, index: usize) {
    let Some(mut test) = tube.tests.get(index).copied() else { return };
    let Some(assay) = ASSAYS.get(usize::from(test.assay)) else { return };
    test.delta = lab.dice.chance(DELTA_SHARE);
    test.repeated = lab.dice.chance(REPEAT_SHARE);
    let critical = assay.critical_high > 0.0 && lab.dice.chance(CRITICAL_SHARE);
    let by_itself = lab.dice.chance(assay.auto_share);
    test.auto_verified = by_itself && !test.delta && !test.repeated && !critical;
    let mut times = match assay.section {
        LabBench::Chemistry | LabBench::Haematology | LabBench::Coagulation => {
            plan_analysis(lab, tube, assay, &mut test)
        }
        LabBench::Molecular => plan_run(lab, tube, &mut test),
    };
    test.operator = operator_on_shift(lab, times.start);
    if lab.dice.chance(lab.failing(usize::from(test.machine), times.start)) {
        plan_failure(lab, tube, index, &mut test, &mut times);
    }
    tube.push(times.start, StepKind::InProcess, index);
    if test.repeated {
        let decided = times.resulted + lab.dice.between(30.0, 240.0) as i64;
        let again = decided + lab.dice.between(300.0, 720.0) as i64;
        tube.push(times.resulted, StepKind::FirstResulted, index);
        tube.push(decided, StepKind::Repeat, index);
        times.verified += again - times.resulted;
        times.resulted = again;
    }
    test.resulted_at = times.resulted;
    tube.push(times.resulted, StepKind::Resulted, index);
    if critical {
        let told = (times.resulted, times.verified);
        plan_critical(lab, tube, index, (assay, &mut test), told);
    }
    tube.push(times.verified, StepKind::Verified, index);
    if lab.publishes {
        let published = times.verified + lab.dice.between(1.0, 90.0) as i64;
        tube.push(published, StepKind::Published, index);
        if lab.dice.chance(CORRECTED_SHARE) {
            let later = lab.dice.log_normal(3.0 * 3600.0, 0.8) as i64;
            tube.push(published + later, StepKind::Corrected, index);
        }
    }
    if let Some(place) = tube.tests.get_mut(index) {
        *place = test;
    }
}

/// In-lab turnaround as published, spread over waiting, analysis and verification.
fn plan_analysis(lab: &mut Lab, tube: &Tube, assay: &Assay, test: &mut Test) -> Times {
    // A test that was added later begins with its own order.
    let begun = tube.received_at.max(test.added_at);
    let median = match tube.priority_at(begun) {
        Priority::Stat => assay.stat_median,
        Priority::Asap => (assay.stat_median * assay.routine_median).sqrt(),
        Priority::Routine => assay.routine_median,
    };
    let mut tat_s = lab.dice.log_normal(median * lab.slowness, lab.sigma) * 60.0;
    if lab.dice.chance(TAIL_SHARE) {
        tat_s *= lab.dice.between(TAIL_FACTOR.0, TAIL_FACTOR.1);
    }
    tat_s = tat_s.max(SHORTEST_TAT_S);
    let until_urgent_s = tube.upgraded_at.saturating_sub(begun) as f64;
    if 0.0 < until_urgent_s && until_urgent_s < tat_s {
        tat_s = until_urgent_s + (tat_s - until_urgent_s) * assay.stat_median / median;
    }
    let verify_share = lab.dice.between(0.08, 0.35);
    let verify_s = if test.auto_verified {
        lab.dice.between(2.0, 40.0).min(0.1 * tat_s)
    } else {
        verify_share * tat_s
    };
    let wait_s = (tat_s - verify_s) * lab.dice.between(0.25, 0.75);
    let probe = begun + wait_s as i64;
    let machine = choose_machine(lab, assay.section, probe);
    test.machine = machine as u16;
    let slowed = lab.slowed(machine, begun);
    let start = begun + (wait_s * slowed) as i64;
    let ready = lab.machines.get_mut(machine).map_or(start, |machine| machine.ready_at(start));
    let resulted = ready + ((tat_s - verify_s - wait_s) * slowed) as i64;
    let verified = (resulted + 1).max(resulted + (verify_s * slowed) as i64);
    Times { start: ready, resulted, verified }
}

/// An instrument of the section that stands ready at `at`; else the one that is ready first.
fn choose_machine(lab: &mut Lab, section: LabBench, at: i64) -> usize {
    let first = lab.machines.iter().position(|m| m.section == section).unwrap_or(0);
    let count = lab.machines.iter().filter(|m| m.section == section).count().max(1);
    let turn = lab.dice.below(count as u32) as usize;
    let candidates = (0..count).map(|step| first + (turn + step) % count);
    let mut best = (i64::MAX, first);
    for candidate in candidates {
        let Some(machine) = lab.machines.get_mut(candidate) else { continue };
        let ready = machine.ready_at(at);
        if ready == at {
            return candidate;
        }
        best = best.min((ready, candidate));
    }
    best.1
}

/// PCR waits for the next run with room.
fn plan_run(lab: &mut Lab, tube: &Tube, test: &mut Test) -> Times {
    let machine = lab.machines.iter().position(|m| m.section == LabBench::Molecular).unwrap_or(0);
    test.machine = machine as u16;
    let prepared = tube.received_at + 300;
    let earliest = tube.collected_at - LEAD_S;
    let (start, end) = lab.runs.join(earliest, prepared, &mut lab.dice);
    let resulted = end + lab.dice.between(1.0, 300.0) as i64;
    let verified = resulted + (lab.dice.between(5.0, 40.0) * 60.0) as i64;
    Times { start, resulted, verified }
}

/// A first attempt that fails: everything after it moves.
fn plan_failure(lab: &mut Lab, tube: &mut Tube, index: usize, test: &mut Test, times: &mut Times) {
    let dice = &mut lab.dice;
    test.error_code = dice.pick(&ERROR_WEIGHTS) as u8;
    test.failed_machine = test.machine;
    let ran = (times.resulted - times.start) as f64 * dice.between(0.2, 0.9);
    let failed_at = times.start + (ran as i64).max(1);
    let retry = failed_at + (dice.between(3.0, 15.0) * 60.0) as i64;
    tube.push(times.start, StepKind::Started, index);
    tube.push(failed_at, StepKind::Failed, index);
    if let Some(assay) = ASSAYS.get(usize::from(test.assay)) {
        test.machine = choose_machine(lab, assay.section, retry) as u16;
    }
    let machine = lab.machines.get_mut(usize::from(test.machine));
    let restart = machine.map_or(retry, |machine| machine.ready_at(retry));
    let moved = restart - times.start;
    *times = Times {
        start: restart,
        resulted: times.resulted + moved,
        verified: times.verified + moved,
    };
}

/// Three people by night, eleven by day, six in the evening.
fn operator_on_shift(lab: &mut Lab, at: i64) -> u8 {
    let hour = (at + lab.zone.offset_s(at)).rem_euclid(86_400) / 3600;
    let (first, count) = match hour {
        7..15 => (4, 11),
        15..23 => (15, 6),
        _ => (1, 3),
    };
    first + lab.dice.below(count) as u8
}

/// No order is made longer before collection than this.
pub(super) const LEAD_S: i64 = 2 * 3600;
