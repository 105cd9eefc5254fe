//! What is known of laboratories and their instruments: zones, opening hours, and how long silence is
//! normal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono_tz::Tz;

use crate::flow::Span;

use super::hours::Hours;
use super::timetable::Timetable;

/// One row of `labs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabRow {
    /// The laboratory.
    pub lab_id: String,
    /// Its zone, `None` for UTC.
    pub zone: Option<Tz>,
    /// Its calendar, `None` for always open.
    pub calendar: Option<String>,
    /// How much of its opening hours may pass without an event; `None` for any.
    pub max_silence: Option<Span>,
}

/// One row of `instruments`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstrumentRow {
    /// The laboratory.
    pub lab_id: String,
    /// The instrument.
    pub machine_id: String,
    /// How often it says that it is there; `None` where it does not.
    pub heartbeat: Option<Span>,
    /// When it is to be in service, by its lab's clock; `None` for always.
    pub calendar: Option<String>,
}

/// A laboratory.
#[derive(Clone, Debug)]
pub struct KnownLab {
    /// Its zone.
    pub zone: Tz,
    /// Its opening hours.
    pub hours: Arc<Hours>,
    /// How much of its opening hours may pass without an event; `None` for any.
    pub max_silence: Option<Span>,
}

/// An instrument.
#[derive(Clone, Debug)]
pub struct KnownInstrument {
    /// How often it says that it is there; `None` where it does not.
    pub heartbeat: Option<Span>,
    /// When it is to be in service.
    pub hours: Arc<Hours>,
}

/// All laboratories.
#[derive(Clone, Debug)]
pub struct Labs {
    listed: HashMap<String, KnownLab>,
    other: KnownLab,
}

/// All instruments.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// By lab and machine.
    listed: HashMap<String, HashMap<String, KnownInstrument>>,
    other: KnownInstrument,
}

/// Hours by calendar and zone, each made once.
#[derive(Debug)]
pub(super) struct CalendarHours<'c> {
    calendars: &'c BTreeMap<String, Arc<Timetable>>,
    always: Arc<Hours>,
    made: HashMap<(String, Tz), Arc<Hours>>,
}

impl<'c> CalendarHours<'c> {
    pub(super) fn new(calendars: &'c BTreeMap<String, Arc<Timetable>>) -> CalendarHours<'c> {
        CalendarHours { calendars, always: Arc::new(Hours::always()), made: HashMap::new() }
    }

    /// The hours of a calendar in a zone; of one that does not exist, or none, always.
    fn hours(&mut self, calendar: Option<&str>, zone: Tz) -> Arc<Hours> {
        let timetable = calendar.and_then(|name| Some((name, self.calendars.get(name)?)));
        let Some((name, timetable)) = timetable else { return Arc::clone(&self.always) };
        let made = self.made.entry((name.to_owned(), zone));
        Arc::clone(made.or_insert_with(|| Arc::new(Hours::new(Arc::clone(timetable), zone))))
    }
}

impl Labs {
    pub(super) fn new(rows: &[LabRow], calendars: &mut CalendarHours<'_>) -> Labs {
        let lab = |row: &LabRow| {
            let zone = row.zone.unwrap_or(Tz::UTC);
            let hours = calendars.hours(row.calendar.as_deref(), zone);
            (row.lab_id.clone(), KnownLab { zone, hours, max_silence: row.max_silence })
        };
        let listed = rows.iter().map(lab).collect();
        let hours = Arc::clone(&calendars.always);
        Labs { listed, other: KnownLab { zone: Tz::UTC, hours, max_silence: None } }
    }

    /// A laboratory; one that is not listed is in UTC, always open, and may be silent.
    pub fn of(&self, lab_id: &str) -> &KnownLab {
        self.listed.get(lab_id).unwrap_or(&self.other)
    }
}

impl Instruments {
    pub(super) fn new(
        rows: &[InstrumentRow],
        labs: &Labs,
        calendars: &mut CalendarHours<'_>,
    ) -> Instruments {
        let mut listed: HashMap<String, HashMap<String, KnownInstrument>> = HashMap::new();
        for row in rows {
            let hours = calendars.hours(row.calendar.as_deref(), labs.of(&row.lab_id).zone);
            let instrument = KnownInstrument { heartbeat: row.heartbeat, hours };
            let of_lab = listed.entry(row.lab_id.clone()).or_default();
            of_lab.insert(row.machine_id.clone(), instrument);
        }
        let hours = Arc::clone(&calendars.always);
        Instruments { listed, other: KnownInstrument { heartbeat: None, hours } }
    }

    /// An instrument; one that is not listed has no heartbeat and is always to be in service.
    pub fn of(&self, lab_id: &str, machine_id: &str) -> &KnownInstrument {
        let of_lab = self.listed.get(lab_id);
        of_lab.and_then(|machines| machines.get(machine_id)).unwrap_or(&self.other)
    }
}
