//! From an instant of collection to tubes with all their steps, in the transition form.
//!
//! A plan is made once, when the tube's first step is at most [`LEAD_S`] away, and then only
//! told. It may look ahead at instruments' outages and PCR runs, since both are known ahead.

use super::arrivals::Stream;
use super::dice::{Dice, normal_quantile};
use super::figures::{
    ACKNOWLEDGE_MEDIAN_MIN, ACKNOWLEDGE_SIGMA, ASAP_SHARE, ASSAYS, Assay, BURST_WEIGHTS,
    CANCELLED_SHARE, CORRECTED_SHARE, CRITICAL_SHARE, DELTA_SHARE, EMERGENCY_SHARE, ERROR_WEIGHTS,
    MISSED_SHARE, OUTPATIENT_SHARE, READ_BACK_SHARE, RECOLLECTED_SHARE, REJECT_WEIGHTS,
    REJECTED_UNRECEIVED_SHARE, REPEAT_SHARE, Section, TAIL_FACTOR, TAIL_SHARE, TRANSPORT_MAX_HOURS,
    TRANSPORT_MU, TRANSPORT_SIGMA, TUBE_KINDS,
};
use super::lab::{Lab, OrderForm, transport_delay_us};
use super::options::GeneratorOptions;
use super::tube::{PatientClass, Priority, StepKind, Test, Tube, Visit};

/// No order is made longer before collection than this.
pub(super) const LEAD_S: i64 = 2 * 3600;
/// In-lab turnaround is never shorter.
const SHORTEST_TAT_S: f64 = 180.0;

/// Plans the tubes of one burst, collected at `collected_at` (seconds), and adds them to `out`.
pub(super) fn plan_burst(
    options: &GeneratorOptions,
    (index, lab): (u32, &mut Lab),
    stream: Stream,
    collected_at: i64,
    out: &mut Vec<Tube>,
) {
    let visit = plan_visit(lab, stream, collected_at);
    let mut weights = TUBE_KINDS.each_ref().map(|kind| kind.weight);
    for _ in 0..=lab.dice.pick(&BURST_WEIGHTS) {
        let kind = lab.dice.pick(&weights);
        if let Some(weight) = weights.get_mut(kind) {
            *weight = 0.0;
        }
        let assays = choose_assays(&mut lab.dice, kind);
        let mut made = plan_tube(options, (index, lab), (visit, kind, None), collected_at, &assays);
        // A rejected tube may be collected again, and that one may be rejected, too.
        while let Some(at) = made.recollect {
            let old = Some(made.tube.number);
            out.push(made.tube);
            let visit = Visit { transport_s: transport_s(lab, visit.priority), ..visit };
            made = plan_tube(options, (index, lab), (visit, kind, old), at, &assays);
        }
        out.push(made.tube);
    }
}

/// A tube, and when it is collected again if it is.
struct PlannedTube {
    tube: Tube,
    recollect: Option<i64>,
}

fn plan_visit(lab: &mut Lab, stream: Stream, collected_at: i64) -> Visit {
    let dice = &mut lab.dice;
    let class = match stream {
        Stream::Clinics if dice.chance(0.5) => PatientClass::Practice,
        Stream::Clinics | Stream::Kit => PatientClass::Outpatient,
        Stream::Wards if dice.chance(EMERGENCY_SHARE) => PatientClass::Emergency,
        Stream::Wards => PatientClass::Inpatient,
    };
    // The classes' factors, weighted by their volume, average 1: see the test.
    let stat_share = lab.stat_share * stat_factor(class);
    let priority = match dice.unit() {
        draw if draw < stat_share => Priority::Stat,
        draw if draw < stat_share + ASAP_SHARE => Priority::Asap,
        _ => Priority::Routine,
    };
    let lead_s = dice.log_normal(15.0 * 60.0, 0.8) as i64;
    let location = dice.below(class.locations()) + 1;
    let patient = dice.below(1 << 24);
    lab.visits += 1;
    Visit {
        order: lab.visits,
        patient,
        priority,
        class,
        location,
        ordered_at: collected_at - lead_s.clamp(30, LEAD_S - 2),
        transport_s: transport_s(lab, priority),
    }
}

/// How much more often than on average a class orders urgently (assumed).
fn stat_factor(class: PatientClass) -> f64 {
    const INPATIENT: f64 = 0.9;
    const OUTPATIENT: f64 = 0.13;
    match class {
        PatientClass::Emergency => {
            let inside = 1.0 - OUTPATIENT_SHARE;
            (1.0 - OUTPATIENT_SHARE * OUTPATIENT - inside * (1.0 - EMERGENCY_SHARE) * INPATIENT)
                / (inside * EMERGENCY_SHARE)
        }
        PatientClass::Inpatient => INPATIENT,
        PatientClass::Outpatient | PatientClass::Practice => OUTPATIENT,
    }
}

/// Collection to receipt. Over all tubes the published log-normal; urgent ones mostly take its
/// fast end, the others the rest.
fn transport_s(lab: &mut Lab, priority: Priority) -> i64 {
    let dice = &mut lab.dice;
    let regardless = dice.chance(0.15);
    let rank = dice.unit();
    let rank = match priority {
        Priority::Stat | Priority::Asap | Priority::Routine if regardless => rank,
        Priority::Stat => lab.stat_share * rank,
        Priority::Asap | Priority::Routine => lab.stat_share + (1.0 - lab.stat_share) * rank,
    };
    let hours = (TRANSPORT_MU + TRANSPORT_SIGMA * normal_quantile(rank)).exp();
    ((hours.min(TRANSPORT_MAX_HOURS) * 3600.0) as i64).max(60)
}

/// Different assays of the tube's menu.
fn choose_assays(dice: &mut Dice, kind: usize) -> Vec<u8> {
    let Some(kind) = TUBE_KINDS.get(kind) else { return Vec::new() };
    let mut weights: Vec<f64> = kind.menu.iter().map(|(_, weight)| *weight).collect();
    let mut chosen = Vec::new();
    for _ in 0..=dice.pick(&kind.tests) {
        let index = dice.pick(&weights);
        if let (Some((assay, _)), Some(weight)) = (kind.menu.get(index), weights.get_mut(index)) {
            *weight = 0.0;
            chosen.push(*assay);
        }
    }
    chosen
}

fn plan_tube(
    options: &GeneratorOptions,
    (index, lab): (u32, &mut Lab),
    (visit, kind, recollect_of): (Visit, usize, Option<u64>),
    collected_at: i64,
    assays: &[u8],
) -> PlannedTube {
    lab.tubes += 1;
    let mut tube = Tube {
        lab: index,
        number: lab.tubes,
        recollect_of,
        visit,
        kind: kind as u8,
        collected_at,
        received_at: collected_at + visit.transport_s,
        reject_reason: 0,
        was_received: true,
        delay_us: transport_delay_us(&mut lab.dice, options),
        tests: assays.iter().map(|assay| unplanned(*assay)).collect(),
        steps: Vec::with_capacity(6 + 5 * assays.len()),
        next: 0,
    };
    let recollect = plan_journey(lab, &mut tube);
    tube.steps.sort_by_key(|step| step.at);
    PlannedTube { tube, recollect }
}

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
        value_tenths: 0,
        resulted_at: 0,
    }
}

/// The tube's way to the laboratory, and what becomes of it there. Gives the time at which it is
/// collected again, if it is.
fn plan_journey(lab: &mut Lab, tube: &mut Tube) -> Option<i64> {
    let visit = tube.visit;
    if tube.recollect_of.is_none() {
        match lab.orders {
            OrderForm::Created => {
                for test in 0..tube.tests.len() {
                    tube.push(visit.ordered_at, StepKind::OrderCreated, test);
                }
            }
            OrderForm::Transition => tube.push(visit.ordered_at, StepKind::Ordered, 0),
            OrderForm::Silent => {}
        }
    }
    tube.push(tube.collected_at, StepKind::Collected, 0);
    if visit.class.by_courier() {
        let waits = (visit.transport_s as f64 * lab.dice.between(0.05, 0.4)) as i64;
        tube.push(tube.collected_at + waits, StepKind::InTransit, 0);
    }
    let class_factor = match visit.class {
        PatientClass::Emergency => 2.0,
        PatientClass::Inpatient | PatientClass::Outpatient | PatientClass::Practice => 0.76,
    };
    let rejecting = lab.rejecting(tube.received_at);
    let usual = rejecting <= lab.reject_share;
    if lab.dice.chance(rejecting * if usual { class_factor } else { 1.0 }) {
        return plan_rejection(&mut lab.dice, tube, usual);
    }
    tube.push(tube.received_at, StepKind::Received, 0);
    if lab.dice.chance(CANCELLED_SHARE) {
        let minutes = lab.dice.between(1.0, 10.0);
        tube.push(tube.received_at + (minutes * 60.0) as i64, StepKind::Cancelled, 0);
        return None;
    }
    for test in 0..tube.tests.len() {
        plan_test(lab, tube, test);
    }
    None
}

fn plan_rejection(dice: &mut Dice, tube: &mut Tube, usual: bool) -> Option<i64> {
    // Out of the ordinary is haemolysis, the first reason.
    tube.reject_reason = if usual { dice.pick(&REJECT_WEIGHTS) as u8 } else { 0 };
    tube.was_received = !dice.chance(REJECTED_UNRECEIVED_SHARE);
    let minutes = dice.between(2.0, 15.0);
    let at = if tube.was_received {
        tube.push(tube.received_at, StepKind::Received, 0);
        tube.received_at + (minutes * 60.0) as i64
    } else {
        // At the door of the laboratory, where it would have been received.
        tube.received_at
    };
    tube.push(at, StepKind::Rejected, 0);
    // Published medians of minutes from rejection to the new collection.
    let median = match tube.visit.class {
        PatientClass::Emergency => 43.0,
        PatientClass::Inpatient => 81.0,
        PatientClass::Outpatient | PatientClass::Practice => 57.0,
    };
    let minutes = dice.log_normal(median, 0.5);
    dice.chance(RECOLLECTED_SHARE).then_some(at + (minutes * 60.0) as i64)
}

/// When a test starts, has its result, and is verified.
struct Times {
    start: i64,
    resulted: i64,
    verified: i64,
}

fn plan_test(lab: &mut Lab, tube: &mut Tube, index: usize) {
    let Some(mut test) = tube.tests.get(index).copied() else { return };
    let Some(assay) = ASSAYS.get(usize::from(test.assay)) else { return };
    test.delta = lab.dice.chance(DELTA_SHARE);
    test.repeated = lab.dice.chance(REPEAT_SHARE);
    let critical = assay.critical_high > 0.0 && lab.dice.chance(CRITICAL_SHARE);
    let by_itself = lab.dice.chance(assay.auto_share);
    test.auto_verified = by_itself && !test.delta && !test.repeated && !critical;
    let mut times = match assay.section {
        Section::Chemistry | Section::Haematology | Section::Coagulation => {
            plan_analysis(lab, tube, assay, &mut test)
        }
        Section::Molecular => plan_run(lab, tube, &mut test),
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
        plan_critical(&mut lab.dice, tube, index, (assay, &mut test), times.resulted);
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
    let median = match tube.visit.priority {
        Priority::Stat => assay.stat_median,
        Priority::Asap => (assay.stat_median * assay.routine_median).sqrt(),
        Priority::Routine => assay.routine_median,
    };
    let mut tat_s = lab.dice.log_normal(median * lab.slowness, lab.sigma) * 60.0;
    if lab.dice.chance(TAIL_SHARE) {
        tat_s *= lab.dice.between(TAIL_FACTOR.0, TAIL_FACTOR.1);
    }
    tat_s = tat_s.max(SHORTEST_TAT_S);
    let verify_share = lab.dice.between(0.08, 0.35);
    let verify_s = if test.auto_verified {
        lab.dice.between(2.0, 40.0).min(0.1 * tat_s)
    } else {
        verify_share * tat_s
    };
    let wait_s = (tat_s - verify_s) * lab.dice.between(0.25, 0.75);
    let probe = tube.received_at + wait_s as i64;
    let machine = choose_machine(lab, assay.section, probe);
    test.machine = machine as u16;
    let slowed = lab.slowed(machine, tube.received_at);
    let start = tube.received_at + (wait_s * slowed) as i64;
    let ready = lab.machines.get_mut(machine).map_or(start, |machine| machine.ready_at(start));
    let resulted = ready + ((tat_s - verify_s - wait_s) * slowed) as i64;
    let verified = (resulted + 1).max(resulted + (verify_s * slowed) as i64);
    Times { start: ready, resulted, verified }
}

/// An instrument of the section that stands ready at `at`; else the one that is ready first.
fn choose_machine(lab: &mut Lab, section: Section, at: i64) -> usize {
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
    let machine = lab.machines.iter().position(|m| m.section == Section::Molecular).unwrap_or(0);
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

fn plan_critical(
    dice: &mut Dice,
    tube: &mut Tube,
    index: usize,
    (assay, test): (&Assay, &mut Test),
    resulted: i64,
) {
    test.high = assay.critical_low == 0.0 || dice.chance(0.5);
    let value = if test.high {
        assay.critical_high * dice.between(1.0, 1.25)
    } else {
        assay.critical_low * dice.between(0.75, 1.0)
    };
    test.value_tenths = (value * 10.0).round() as i32;
    test.read_back = dice.chance(READ_BACK_SHARE);
    let flagged = resulted + dice.between(1.0, 15.0) as i64;
    tube.push(flagged, StepKind::Critical, index);
    let handled_s = dice.log_normal(ACKNOWLEDGE_MEDIAN_MIN, ACKNOWLEDGE_SIGMA) * 60.0;
    let notified_s = handled_s * dice.between(0.3, 0.8);
    tube.push(flagged + (notified_s as i64).max(1), StepKind::Notified, index);
    if !dice.chance(MISSED_SHARE) {
        tube.push(flagged + (handled_s as i64).max(2), StepKind::Acknowledged, index);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_orders_average_the_laboratorys_share() {
        let classes = [
            (PatientClass::Emergency, (1.0 - OUTPATIENT_SHARE) * EMERGENCY_SHARE),
            (PatientClass::Inpatient, (1.0 - OUTPATIENT_SHARE) * (1.0 - EMERGENCY_SHARE)),
            (PatientClass::Outpatient, OUTPATIENT_SHARE),
        ];
        let mean: f64 = classes.iter().map(|(class, share)| stat_factor(*class) * share).sum();
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }
}
