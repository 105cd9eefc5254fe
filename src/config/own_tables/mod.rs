//! The reference tables that Turnaround itself reads, row by row: calendars, holidays, labs,
//! instruments, assays, targets and those of critical results.
//!
//! Turns tables that could be read into [`DeadlineRows`]; what is wrong with a cell, or with what one table says
//! of another, is a fault, what may be meant otherwise a note. Columns that are not known are left to
//! SQL. `sheet` reads cells; each other file reads some tables.

mod calendars;
mod places;
mod sheet;
mod targets;

use std::collections::BTreeMap;

use crate::reference::{AssayRow, DeadlineRows};

use super::fault::{Fault, quoted};
use super::reference::ReferenceTable;
use sheet::{Sheet, SheetFaults};

/// What the tables say, and what is wrong or odd about them.
#[derive(Debug, Default)]
pub(super) struct OwnTables {
    pub(super) rows: DeadlineRows,
    pub(super) faults: Vec<Fault>,
    pub(super) notes: Vec<Fault>,
}

impl OwnTables {
    fn add(&mut self, said: SheetFaults) {
        self.faults.extend(said.faults.into_vec());
        self.notes.extend(said.notes.into_vec());
    }
}

/// Reads those of a project's tables that have a meaning of their own.
pub(super) fn read(tables: &[ReferenceTable]) -> OwnTables {
    let mut own = OwnTables::default();
    let sheet = |name: &str| tables.iter().find(|table| table.name == name).and_then(Sheet::of);
    let read = calendars::read(sheet("calendars"), sheet("holidays"));
    read.said.into_iter().for_each(|said| own.add(said));
    own.rows.calendars = read.timetables;
    let calendars = read.names;
    if let Some((sheet, mut said)) = sheet("labs") {
        own.rows.labs = places::labs(&sheet, &calendars, &mut said);
        own.add(said);
    }
    if let Some((sheet, mut said)) = sheet("instruments") {
        own.rows.instruments = places::instruments(&sheet, &calendars, &mut said);
        own.add(said);
    }
    if let Some((sheet, mut said)) = sheet("assays") {
        own.rows.assays = assays(&sheet, &mut said);
        own.add(said);
    }
    if let Some((sheet, mut said)) = sheet("targets") {
        own.rows.targets = targets::targets(&sheet, &own.rows.labs, &mut said);
        own.add(said);
    }
    if let Some((sheet, mut said)) = sheet("critical_targets") {
        own.rows.critical_targets = targets::critical(&sheet, &mut said);
        own.add(said);
    }
    own
}

fn assays(sheet: &Sheet, said: &mut SheetFaults) -> Vec<AssayRow> {
    sheet.knows(&["assay", "discipline", "loinc", "max_hold_minutes"], said);
    if !sheet.needs(&["assay"], said) {
        return Vec::new();
    }
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut assays = Vec::new();
    for row in sheet.rows() {
        let Some(name) = row.needed("assay", "the assay's name", said) else { continue };
        if let Some(first) = seen.insert(&name.text, name.at.line) {
            let what =
                format!("the assay {} stands twice, first in line {first}", quoted(&name.text));
            said.faults.push(name.at, what, "keep one line for each assay");
            continue;
        }
        assays.push(AssayRow {
            assay: name.text.clone(),
            discipline: row.text("discipline"),
            loinc: row.text("loinc"),
            max_hold: row.minutes("max_hold_minutes", said),
        });
    }
    assays
}

#[cfg(test)]
mod tests;
