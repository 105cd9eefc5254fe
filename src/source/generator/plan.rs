//! From an instant of collection to tubes with all their steps, in the transition form.
//!
//! A plan is made once, when the tube's first step is at most [`LEAD_S`] away, and then only
//! told. It may look ahead at instruments' outages and PCR runs, since both are known ahead.

use super::analysis::{LEAD_S, plan_test, unplanned};
use super::arrivals::Stream;
use super::dice::{Dice, normal_quantile};
use super::figures::{
    ASAP_SHARE, BURST_WEIGHTS, CANCELLED_SHARE, EMERGENCY_SHARE, OUTPATIENT_SHARE,
    RECOLLECTED_SHARE, REJECT_WEIGHTS, REJECTED_UNRECEIVED_SHARE, TRANSPORT_MAX_HOURS,
    TRANSPORT_MU, TRANSPORT_SIGMA, TUBE_KINDS,
};
use super::lab::{Lab, OrderForm, transport_delay_us};
use super::options::GeneratorOptions;
use super::seldom;
use super::tube::{PatientClass, Priority, StepKind, Tube, Visit};

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
        upgraded_at: i64::MAX,
        referred_from: None,
        stored_at: None,
        delay_us: transport_delay_us(&mut lab.dice, options),
        tests: assays.iter().map(|assay| unplanned(*assay)).collect(),
        steps: Vec::with_capacity(6 + 5 * assays.len()),
        next: 0,
    };
    let recollect = plan_journey(lab, &mut tube);
    seldom::befall(lab, &mut tube);
    tube.steps.sort_by_key(|step| step.at);
    PlannedTube { tube, recollect }
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
    seldom::upgrade(lab, tube);
    for test in 0..tube.tests.len() {
        let first = tube.steps.len();
        plan_test(lab, tube, test);
        seldom::refer(lab, tube, test, first);
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
