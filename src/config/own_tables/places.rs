//! `labs.csv` and `instruments.csv`.

use std::collections::BTreeMap;

use crate::config::fault::quoted;
use crate::flow::Span;
use crate::reference::{InstrumentRow, LabRow};

use super::calendars::{CalendarNames, unknown};
use super::sheet::{Sheet, SheetFaults, SheetRow};

/// The labs. That each has an id of its own and a zone that exists was seen to before.
pub(super) fn labs(
    sheet: &Sheet,
    calendars: &CalendarNames,
    said: &mut SheetFaults,
) -> Vec<LabRow> {
    sheet.knows(&["lab_id", "tz", "calendar", "max_silence_min"], said);
    let rows = sheet.rows().map(|row| {
        Some(LabRow {
            lab_id: row.text("lab_id")?,
            zone: row.filled("tz").and_then(|cell| cell.text.parse().ok()),
            calendar: calendar(&row, calendars, said),
            max_silence: row.minutes("max_silence_min", said),
        })
    });
    rows.flatten().collect()
}

/// The instruments.
pub(super) fn instruments(
    sheet: &Sheet,
    calendars: &CalendarNames,
    said: &mut SheetFaults,
) -> Vec<InstrumentRow> {
    sheet.knows(&["lab_id", "machine_id", "heartbeat_s", "calendar"], said);
    if !sheet.needs(&["lab_id", "machine_id"], said) {
        return Vec::new();
    }
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut instruments = Vec::new();
    for row in sheet.rows() {
        let lab = row.needed("lab_id", "the laboratory", said);
        let machine = row.needed("machine_id", "the instrument", said);
        let (Some(lab), Some(machine)) = (lab, machine) else { continue };
        if let Some(first) = seen.insert((&lab.text, &machine.text), machine.at.line) {
            let what = format!(
                "the instrument {} of {} stands twice, first in line {first}",
                quoted(&machine.text),
                quoted(&lab.text)
            );
            said.faults.push(machine.at, what, "keep one line for each instrument");
            continue;
        }
        let seconds = row.positive("heartbeat_s", said);
        instruments.push(InstrumentRow {
            lab_id: lab.text.clone(),
            machine_id: machine.text.clone(),
            heartbeat: seconds.map(|s| Span((s * Span::SECOND.0 as f64).round() as i64)),
            calendar: calendar(&row, calendars, said),
        });
    }
    instruments
}

fn calendar(
    row: &SheetRow<'_>,
    calendars: &CalendarNames,
    said: &mut SheetFaults,
) -> Option<String> {
    let cell = row.filled("calendar")?;
    if !calendars.contains(&cell.text) {
        unknown(cell, calendars, said);
        return None;
    }
    Some(cell.text.clone())
}
