//! `targets.csv` and `critical_targets.csv`.

use crate::config::fault::quoted;
use crate::reference::{CriticalStart, CriticalTarget, LabRow, Target, TargetClock, TargetStart};

use super::sheet::{Sheet, SheetFaults, SheetRow};

/// The targets of tests.
pub(super) fn targets(sheet: &Sheet, labs: &[LabRow], said: &mut SheetFaults) -> Vec<Target> {
    let names = ["lab_id", "assay", "priority", "patient_class", "valid_from"];
    let columns = [&names[..], &["target_minutes", "clock", "from"]].concat();
    sheet.knows(&columns, said);
    if !sheet.needs(&["target_minutes"], said) {
        return Vec::new();
    }
    let clocks = TargetClock::ALL.map(|clock| (clock.as_str(), clock));
    let starts = TargetStart::ALL.map(|start| (start.as_str(), start));
    let target = |row: SheetRow<'_>| {
        let target = Target {
            lab_id: row.text("lab_id"),
            assay: row.text("assay"),
            priority: row.text("priority"),
            patient_class: row.text("patient_class"),
            target_minutes: row.number("target_minutes", said),
            clock: row.word("clock", &clocks, said),
            from: row.word("from", &starts, said),
            valid_from: row.instant("valid_from", said),
        };
        note_none(&row, "target_minutes", "for SLA_HOURS, remove the row", said);
        note_priority(&row, said);
        note_clock(&row, &target, labs, said);
        target
    };
    sheet.rows().map(target).collect()
}

/// The targets of critical results.
pub(super) fn critical(sheet: &Sheet, said: &mut SheetFaults) -> Vec<CriticalTarget> {
    sheet.knows(&["lab_id", "assay", "patient_class", "minutes", "from", "valid_from"], said);
    if !sheet.needs(&["minutes"], said) {
        return Vec::new();
    }
    let starts = CriticalStart::ALL.map(|start| (start.as_str(), start));
    let target = |row: SheetRow<'_>| {
        note_none(&row, "minutes", "for 30 minutes, remove the row", said);
        CriticalTarget {
            lab_id: row.text("lab_id"),
            assay: row.text("assay"),
            patient_class: row.text("patient_class"),
            minutes: row.number("minutes", said),
            from: row.word("from", &starts, said),
            valid_from: row.instant("valid_from", said),
        }
    };
    sheet.rows().map(target).collect()
}

/// A row without a target hides those that would count without it: which of the two is meant?
fn note_none(row: &SheetRow<'_>, column: &str, otherwise: &str, said: &mut SheetFaults) {
    let Some(cell) = row.cell(column) else { return };
    let number = cell.text.parse::<f64>().ok();
    let shown = match number {
        None if cell.text.is_empty() => "is empty".to_owned(),
        Some(number) if number <= 0.0 => format!("is {}", quoted(&cell.text)),
        Some(_) | None => return,
    };
    let what = format!("`{column}` {shown}: what this row fits has no deadline");
    said.notes.push(cell.at, what, format!("leave it where that is meant; {otherwise}"));
}

/// Priorities are compared as they are stored.
fn note_priority(row: &SheetRow<'_>, said: &mut SheetFaults) {
    let Some(cell) = row.filled("priority") else { return };
    if ["S", "A", "R"].contains(&cell.text.as_str()) {
        return;
    }
    let what = format!("no test has the priority {}", quoted(&cell.text));
    said.notes.push(cell.at, what, "write S for stat, A for asap or R for routine");
}

/// Without a calendar working minutes are all minutes.
fn note_clock(row: &SheetRow<'_>, target: &Target, labs: &[LabRow], said: &mut SheetFaults) {
    let fits = |lab: &&LabRow| target.lab_id.as_ref().is_none_or(|id| *id == lab.lab_id);
    let has_calendar = labs.iter().filter(fits).any(|lab| lab.calendar.is_some());
    if target.clock != TargetClock::Working || has_calendar {
        return;
    }
    let whose = match &target.lab_id {
        Some(lab) => format!("the lab {} has no calendar", quoted(lab)),
        None => "no lab has a calendar".to_owned(),
    };
    let what = format!("working minutes are all minutes here: {whose}");
    said.notes.push(row.at("clock"), what, "name a calendar in labs.csv");
}
