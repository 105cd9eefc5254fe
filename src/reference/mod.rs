//! Reference data that deadlines need: opening hours, targets, how long a sample may wait, how long
//! silence is normal.
//!
//! Rows come in as `config` has read them ([`DeadlineRows`]); out go tables for look-ups ([`Reference`]). Nothing
//! here knows a clock or keeps state: what a test's deadline is follows from the rows and the test's own
//! times. Read `timetable` and `hours` (working time), `specific` (which row wins), then `targets`,
//! `published`, `resolved`, `critical` and `places`.

mod critical;
mod hours;
mod places;
pub mod published;
mod resolved;
mod specific;
mod targets;
mod timetable;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::flow::Span;

pub use critical::{CriticalLimit, CriticalStart, CriticalTarget, CriticalTargets};
pub use hours::Hours;
use places::CalendarHours;
pub use places::{InstrumentRow, Instruments, KnownInstrument, KnownLab, LabRow, Labs};
pub use resolved::{ResolvedTarget, TargetClock, TargetSource, TargetStart, of_minutes};
pub use specific::property;
pub use targets::{DIMENSIONS, Properties, Target, TargetOf, Targets, deadline};
pub use timetable::{MIDNIGHT, Opening, Timetable, WrongTimetable};

/// What a project's reference tables say, row by row.
#[derive(Clone, Debug, Default)]
pub struct DeadlineRows {
    /// The opening hours by the calendar's name.
    pub calendars: BTreeMap<String, Arc<Timetable>>,
    /// The laboratories.
    pub labs: Vec<LabRow>,
    /// The instruments.
    pub instruments: Vec<InstrumentRow>,
    /// The assays.
    pub assays: Vec<AssayRow>,
    /// The targets in the order of the file.
    pub targets: Vec<Target>,
    /// The targets of critical results in the order of the file.
    pub critical_targets: Vec<CriticalTarget>,
}

/// An assay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssayRow {
    /// Its name in events.
    pub assay: String,
    /// The part of the laboratory that does it.
    pub discipline: Option<String>,
    /// Its LOINC code.
    pub loinc: Option<String>,
    /// How long a sample may wait from collection until it is in process; `None` for any time.
    pub max_hold: Option<Span>,
}

/// All assays.
#[derive(Clone, Debug)]
pub struct Assays {
    by_name: HashMap<String, AssayRow>,
    has_holds: bool,
}

impl Assays {
    /// Assays by their names.
    pub fn new(assays: &[AssayRow]) -> Assays {
        Assays {
            by_name: assays.iter().map(|assay| (assay.assay.clone(), assay.clone())).collect(),
            has_holds: assays.iter().any(|assay| assay.max_hold.is_some()),
        }
    }

    /// What is known of an assay.
    pub fn of(&self, assay: &str) -> Option<&AssayRow> {
        self.by_name.get(assay)
    }

    /// Whether a sample for any of them may not wait for any time.
    pub fn has_holds(&self) -> bool {
        self.has_holds
    }

    /// How long a sample for it may wait from collection until it is in process; `None` for any time.
    pub fn max_hold(&self, assay: &str) -> Option<Span> {
        self.of(assay)?.max_hold
    }
}

/// Everything that deadlines need.
#[derive(Clone, Debug)]
pub struct Reference {
    /// How long tests may take.
    pub targets: Arc<Targets>,
    /// How soon critical results have to be acknowledged.
    pub critical_targets: CriticalTargets,
    /// The assays.
    pub assays: Assays,
    /// The laboratories.
    pub labs: Labs,
    /// The instruments.
    pub instruments: Instruments,
}

impl Reference {
    /// From a project's rows; `sla_hours` is the target of tests that no row fits.
    pub fn new(rows: &DeadlineRows, sla_hours: f64) -> Reference {
        let mut calendars = CalendarHours::new(&rows.calendars);
        let labs = Labs::new(&rows.labs, &mut calendars);
        let instruments = Instruments::new(&rows.instruments, &labs, &mut calendars);
        Reference {
            targets: Arc::new(Targets::new(&rows.targets, sla_hours)),
            critical_targets: CriticalTargets::new(&rows.critical_targets),
            assays: Assays::new(&rows.assays),
            labs,
            instruments,
        }
    }
}

#[cfg(test)]
mod tests;
