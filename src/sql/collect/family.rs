//! Where rows go in time: the panes or calendar periods of a family of windows, and each row's
//! fate in its tables, judged by the watermark that stood before it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::collected::{Partial, Tally};
use super::session_family::SessionFamily;
use super::slice_key::SliceKey;
use crate::flow::{LateEvent, Offset, OffsetRange, Span, Timestamp, Window};
use crate::window::{Calendar, Lateness, PaneGrid, Period, Shape};

/// Where rows go in time.
#[derive(Clone, Debug)]
pub enum Family {
    /// Panes that the fixed windows of a pipeline share.
    Fixed {
        /// The panes.
        grid: PaneGrid,
        /// The windows, in the order of their tables.
        shapes: Vec<Shape>,
    },
    /// Calendar periods, one table.
    Calendar(LabCalendars),
    /// Sessions, one table.
    Session(SessionFamily),
}

/// The calendars of labs.
#[derive(Clone, Debug)]
pub struct LabCalendars {
    calendars: Vec<Calendar>,
    by_lab: HashMap<String, usize>,
    lateness: Lateness,
}

impl LabCalendars {
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

    /// For how long periods are revised.
    pub fn lateness(&self) -> Lateness {
        self.lateness
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

/// A month of 31 days and the longest shift of a zone.
const LONGEST_PERIOD: Span = Span(32 * Span::DAY.0);

impl Family {
    /// For how long its windows are revised.
    pub fn lateness(&self) -> Lateness {
        match self {
            Family::Fixed { grid, .. } => grid.lateness(),
            Family::Calendar(zones) => zones.lateness,
            // A late row could make one of two sessions that have been given out.
            Family::Session(_) => Lateness::NONE,
        }
    }

    /// How long a window without further rows stays open at most, from the row that began it.
    pub fn longest(&self) -> Span {
        match self {
            Family::Fixed { grid, shapes } => {
                let panes = shapes.iter().map(|shape| shape.size).max().unwrap_or(0);
                Span(panes.saturating_mul(grid.width().0))
            }
            Family::Calendar(_) => LONGEST_PERIOD,
            Family::Session(sessions) => Span(sessions.gap.0.saturating_add(sessions.wait.0)),
        }
    }

    /// How long after its end a window can still fire, of a pipeline with so much allowed lateness.
    pub fn closes_after(&self, allowed_lateness: Span) -> Span {
        match self {
            Family::Fixed { .. } | Family::Calendar(_) => allowed_lateness,
            Family::Session(sessions) => sessions.wait,
        }
    }

    /// Whether each window is one key's, so that many end at once.
    pub fn is_keyed(&self) -> bool {
        match self {
            Family::Fixed { .. } | Family::Calendar(_) => false,
            Family::Session(_) => true,
        }
    }

    /// How many tables it has.
    pub fn tables(&self) -> usize {
        match self {
            Family::Fixed { shapes, .. } => shapes.len(),
            Family::Calendar(_) | Family::Session(_) => 1,
        }
    }
}

/// The fate of a batch's events in each table of a family, by event.
pub(crate) struct Fates {
    counted: Vec<Vec<bool>>,
    /// Per table, the events that came too late for some row, with the windows missed.
    late: Vec<BTreeMap<usize, Option<Window>>>,
    /// The slices with the first and the last event in each; those seen last stand at the end.
    spans: Vec<(SliceKey, u32, u32)>,
}

impl Fates {
    /// Of so many events in so many tables, none known yet.
    pub(crate) fn new(tables: usize, events: usize) -> Fates {
        Fates {
            counted: vec![vec![false; events]; tables],
            late: vec![BTreeMap::new(); tables],
            spans: Vec::new(),
        }
    }

    /// Notes the fate of one event in the first table.
    pub(crate) fn note(&mut self, event: usize, counts: bool) {
        match counts {
            true => self.counted[0][event] = true,
            false => self.misses(0, event, None),
        }
    }

    /// Notes that every table counts an event.
    #[inline(always)]
    pub(crate) fn count_in_all(&mut self, events: &[u32]) {
        for counted in &mut self.counted {
            events.iter().for_each(|event| counted[*event as usize] = true);
        }
    }

    /// Notes that an event came too late for these windows of a table.
    fn misses(&mut self, table: usize, event: usize, windows: Option<Window>) {
        self.late[table].insert(event, windows);
    }

    /// Notes that an event is collected under a slice.
    pub(crate) fn contributes(&mut self, slice: SliceKey, event: usize) {
        let event = event as u32;
        if let Some((held, first, last)) = self.spans.last_mut()
            && *held == slice
        {
            (*first, *last) = ((*first).min(event), (*last).max(event));
            return;
        }
        match self.spans.iter().rposition(|(held, ..)| *held == slice) {
            Some(place) => {
                let (_, first, last) = &mut self.spans[place];
                (*first, *last) = ((*first).min(event), (*last).max(event));
                // Neighbours in a feed share a slice, so the next search ends at once.
                let newest = self.spans.len() - 1;
                self.spans.swap(place, newest);
            }
            None => self.spans.push((slice, event, event)),
        }
    }

    /// The fates as tallies, the events that came too late, and where slices came from.
    pub(crate) fn settle(self, offsets: &[i64], out: &mut Partial) {
        let spans = self.spans.iter();
        out.origins = spans
            .map(|(slice, first, last)| {
                (*slice, range_of(offsets, *first as usize, *last as usize))
            })
            .collect();
        out.counted_events = vec![false; self.counted.first().map_or(0, Vec::len)];
        for (counted, late) in self.counted.iter().zip(self.late) {
            for (any, counts) in out.counted_events.iter_mut().zip(counted) {
                *any |= counts;
            }
            let held = counted.iter().filter(|counts| **counts).count();
            let late = late.into_iter().filter(|(event, _)| !counted[*event]);
            let late_events: Vec<LateEvent> =
                late.map(|(event, missed)| LateEvent { event: event as u32, missed }).collect();
            out.tallies.push(Tally {
                counted: held as u64,
                late: late_events.len() as u64,
                other: (counted.len() - held - late_events.len()) as u64,
            });
            out.late_events.push(late_events);
        }
    }
}

/// The offsets from one event of a batch to another, both within.
pub(super) fn range_of(offsets: &[i64], first: usize, last: usize) -> OffsetRange {
    OffsetRange::through(Offset(offsets[first]), Offset(offsets[last]))
}

/// Assigns rows to slices; remembers the last answer, since neighbours in a feed share it.
pub(crate) struct Placer<'a> {
    family: &'a Family,
    pane: i64,
    pane_range: Range<i64>,
    /// When rows of the pane that are on time are ready.
    on_time: i64,
    /// Whether the last row was on time for its pane.
    was_on_time: bool,
    periods: Vec<Option<Period>>,
    lab: String,
    zone: usize,
}

impl<'a> Placer<'a> {
    /// Knows nothing yet.
    pub(crate) fn new(family: &'a Family) -> Placer<'a> {
        let zones = match family {
            Family::Fixed { .. } | Family::Session(_) => 0,
            Family::Calendar(zones) => zones.calendars.len(),
        };
        Placer {
            family,
            pane: 0,
            pane_range: 0..0,
            on_time: 0,
            was_on_time: false,
            periods: vec![None; zones],
            lab: String::new(),
            zone: zones,
        }
    }

    /// Whether a row has the slice of the last one, and is on time for every table as that was.
    #[inline(always)]
    pub(crate) fn is_as_before(&self, time: i64, watermark: i64) -> bool {
        self.was_on_time && self.pane_range.contains(&time) && watermark < self.pane_range.end
    }

    /// The row's slice, or none when it missed every window of every table.
    pub(crate) fn slice(
        &mut self,
        time: i64,
        watermark: i64,
        lab: &str,
        event: usize,
        fates: &mut Fates,
    ) -> Option<SliceKey> {
        match self.family {
            Family::Fixed { grid, shapes } => {
                if !self.pane_range.contains(&time) {
                    self.pane = grid.pane_of(time);
                    self.pane_range = grid.start_of(self.pane).0..grid.start_of(self.pane + 1).0;
                    self.on_time = grid.ticks(self.pane + 1);
                }
                let on_time = watermark < self.pane_range.end;
                self.was_on_time = on_time;
                let ready = if on_time { self.on_time } else { grid.ready(self.pane, watermark) };
                let mut any = false;
                for (table, shape) in shapes.iter().enumerate() {
                    let counts = on_time || grid.counts(*shape, self.pane, ready);
                    if counts {
                        fates.counted[table][event] = true;
                    } else {
                        fates.misses(table, event, Some(grid.holding(*shape, self.pane)));
                    }
                    any |= counts;
                }
                any.then_some(SliceKey::Pane { pane: self.pane, ready })
            }
            Family::Calendar(zones) => {
                let period = self.period(zones, time, lab);
                let revision = zones.lateness.revision_of(period.window.end.0, watermark);
                match revision {
                    Some(_) => fates.counted[0][event] = true,
                    None => fates.misses(0, event, Some(period.window)),
                }
                revision.map(|revision| SliceKey::Period { period, revision })
            }
            // A session is not found row by row: `proto_session` cuts the whole batch.
            Family::Session(_) => None,
        }
    }

    fn period(&mut self, zones: &LabCalendars, time: i64, lab: &str) -> Period {
        if self.zone >= zones.calendars.len() || self.lab != lab {
            self.zone = zones.of_lab(lab);
            self.lab.clear();
            self.lab.push_str(lab);
        }
        match self.periods[self.zone] {
            Some(period) if (period.window.start.0..period.window.end.0).contains(&time) => period,
            Some(_) | None => {
                let period = zones.calendars[self.zone].period_of(Timestamp(time));
                self.periods[self.zone] = Some(period);
                period
            }
        }
    }
}
