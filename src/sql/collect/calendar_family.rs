//! Calendar windows: the calendars of labs, and each row's period.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use datafusion::common::Result;

use super::batch_input::BatchInput;
use super::collected::Partial;
use super::fates::Fates;
use super::partial::{RowInTime, RowPlacer, by_row};
use super::slice_key::SliceKey;
use super::window_family::{FamilyGround, TableForm, WindowFamily};
use crate::flow::{Span, Timestamp};
use crate::window::{Calendar, CalendarUnit, Lateness, Period, Zone};

/// A month of 31 days and the longest shift of a zone.
const LONGEST_PERIOD: Span = Span(32 * Span::DAY.0);

/// The calendars of labs.
#[derive(Clone, Debug)]
pub struct LabCalendars {
    calendars: Vec<Calendar>,
    by_lab: HashMap<String, usize>,
    lateness: Lateness,
}

impl LabCalendars {
    /// The calendars of a declaration.
    pub(super) fn of(unit: &CalendarUnit, zone: &Zone, ground: FamilyGround<'_>) -> LabCalendars {
        let calendars = match zone {
            Zone::Fixed(zone) => LabCalendars::fixed(Calendar::new(unit.clone(), *zone)),
            Zone::Lab => LabCalendars::of_labs(unit, ground.labs),
        };
        calendars.revised(ground.lateness)
    }

    /// Each lab's own zone; UTC comes first, for labs that are not listed.
    fn of_labs(unit: &CalendarUnit, labs: &BTreeMap<String, Tz>) -> LabCalendars {
        let mut zones = vec![Tz::UTC];
        let mut by_lab = HashMap::new();
        for (lab, zone) in labs {
            let place = zones.iter().position(|held| held == zone).unwrap_or_else(|| {
                zones.push(*zone);
                zones.len() - 1
            });
            by_lab.insert(lab.clone(), place);
        }
        let calendars = zones.into_iter().map(|zone| Calendar::new(unit.clone(), zone));
        LabCalendars::by_lab(calendars.collect(), by_lab)
    }

    /// One calendar for every lab.
    pub fn fixed(calendar: Calendar) -> LabCalendars {
        LabCalendars { calendars: vec![calendar], by_lab: HashMap::new(), lateness: Lateness::NONE }
    }

    /// Calendars by lab; those not listed have the first.
    pub fn by_lab(calendars: Vec<Calendar>, by_lab: HashMap<String, usize>) -> LabCalendars {
        LabCalendars { calendars, by_lab, lateness: Lateness::NONE }
    }

    /// The same calendars, whose periods are revised for late rows.
    pub fn revised(self, lateness: Lateness) -> LabCalendars {
        LabCalendars { lateness, ..self }
    }

    /// Every calendar.
    pub fn calendars(&self) -> &[Calendar] {
        &self.calendars
    }

    /// The number of a lab's calendar.
    pub fn of_lab(&self, lab: &str) -> usize {
        self.by_lab.get(lab).copied().unwrap_or(0)
    }
}

impl WindowFamily for LabCalendars {
    fn partial(&self, batch: &BatchInput<'_>) -> Result<Partial> {
        by_row(batch, 1, || PeriodPlacer {
            zones: self,
            periods: vec![None; self.calendars.len()],
            lab: String::new(),
            zone: self.calendars.len(),
        })
    }

    fn longest(&self) -> Span {
        LONGEST_PERIOD
    }

    fn forms(&self) -> Vec<TableForm> {
        vec![TableForm::Periods]
    }

    fn lateness(&self) -> Lateness {
        self.lateness
    }

    fn needs_labs(&self) -> bool {
        self.calendars.len() > 1
    }
}

/// Assigns rows to periods; remembers the last of each calendar.
struct PeriodPlacer<'a> {
    zones: &'a LabCalendars,
    periods: Vec<Option<Period>>,
    lab: String,
    zone: usize,
}

impl PeriodPlacer<'_> {
    fn period(&mut self, time: i64, lab: &str) -> Period {
        if self.zone >= self.zones.calendars.len() || self.lab != lab {
            self.zone = self.zones.of_lab(lab);
            self.lab.clear();
            self.lab.push_str(lab);
        }
        match self.periods[self.zone] {
            Some(period) if (period.window.start.0..period.window.end.0).contains(&time) => period,
            Some(_) | None => {
                let period = self.zones.calendars[self.zone].period_of(Timestamp(time));
                self.periods[self.zone] = Some(period);
                period
            }
        }
    }
}

impl RowPlacer for PeriodPlacer<'_> {
    fn slice(&mut self, row: RowInTime<'_>, fates: &mut Fates) -> Option<SliceKey> {
        let period = self.period(row.time, row.lab);
        let revision = self.zones.lateness.revision_of(period.window.end.0, row.watermark);
        match revision {
            Some(_) => fates.counts(0, row.event),
            None => fates.misses(0, row.event, Some(period.window)),
        }
        revision.map(|revision| SliceKey::Period { period, revision })
    }
}
