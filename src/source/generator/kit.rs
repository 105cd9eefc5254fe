//! The starter kit's world in the row form: one specimen, one test, two rows.

use super::analysis::unplanned;
use super::dice::Dice;
use super::figures::{
    ASSAYS, ERROR_WEIGHTS, KIT_ASSAYS, KIT_ERROR_SHARE, LabBench, TAIL_FACTOR, TAIL_SHARE,
};
use super::lab::{Lab, transport_delay_us};
use super::options::GeneratorOptions;
use super::tube::{PatientClass, Priority, StepKind, Tube, Visit};

/// Plans the specimen that is received at `received_at` (seconds).
pub(super) fn plan_row(
    options: &GeneratorOptions,
    (index, lab): (u32, &mut Lab),
    received_at: i64,
) -> Tube {
    lab.tubes += 1;
    lab.visits += 1;
    let kind = lab.dice.below(KIT_ASSAYS.len() as u32) as u8;
    let assay = KIT_ASSAYS.get(usize::from(kind)).map_or(0, |(assay, _)| *assay);
    let mut test = unplanned(assay);
    let section = ASSAYS.get(usize::from(assay)).map_or(LabBench::Chemistry, |a| a.section);
    let first = lab.machines.iter().position(|m| m.section == section).unwrap_or(0);
    let count = lab.machines.iter().filter(|m| m.section == section).count();
    test.machine = (first as u32 + lab.dice.below(count as u32)) as u16;
    test.operator = 1 + lab.dice.below(20) as u8;
    test.failed = lab.dice.chance(KIT_ERROR_SHARE);
    test.error_code = lab.dice.pick(&ERROR_WEIGHTS) as u8;
    let tat_s = match section {
        LabBench::Molecular => {
            let (_, end) = lab.runs.join(received_at, received_at + 300, &mut lab.dice);
            end - received_at + lab.dice.between(60.0, 1800.0) as i64
        }
        LabBench::Chemistry | LabBench::Haematology | LabBench::Coagulation => {
            let median = ASSAYS.get(usize::from(assay)).map_or(60.0, |a| a.routine_median);
            analysis_s(&mut lab.dice, median, lab.sigma)
        }
    };
    let share = lab.dice.between(0.3, 0.9);
    let outcome_s = if test.failed { (tat_s as f64 * share) as i64 } else { tat_s };
    test.resulted_at = received_at + outcome_s.max(60);
    let visit = Visit {
        order: lab.visits,
        patient: 0,
        priority: Priority::Routine,
        class: PatientClass::Outpatient,
        location: 0,
        ordered_at: received_at,
        transport_s: 0,
    };
    let mut tube = Tube {
        lab: index,
        number: lab.tubes,
        recollect_of: None,
        visit,
        kind,
        collected_at: received_at,
        received_at,
        reject_reason: 0,
        was_received: true,
        upgraded_at: i64::MAX,
        referred_from: None,
        stored_at: None,
        delay_us: transport_delay_us(&mut lab.dice, options),
        tests: vec![test],
        steps: Vec::with_capacity(2),
        next: 0,
    };
    tube.push(received_at, StepKind::RowReceived, 0);
    tube.push(test.resulted_at, StepKind::RowOutcome, 0);
    tube
}

fn analysis_s(dice: &mut Dice, median_min: f64, sigma: f64) -> i64 {
    let mut tat_s = dice.log_normal(median_min, sigma) * 60.0;
    if dice.chance(TAIL_SHARE) {
        tat_s *= dice.between(TAIL_FACTOR.0, TAIL_FACTOR.1);
    }
    tat_s as i64
}
