//! Calendar windows: each period of each zone fires once with what was on time for it, and once
//! more for every step of lateness in which rows came.
//!
//! Periods of several zones may begin and end at the same instants: they are one window of the table,
//! fire together, and are revised together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveTime;
use datafusion::common::Result;

use super::output::FiredWindow;
use super::sliding::Sliding;
use super::{Engine, PendingRows, ROWS_PER_BATCH};
use crate::flow::{OutputBatch, Timestamp};
use crate::sql::collect::collected::Chunk;
use crate::sql::collect::family::LabCalendars;
use crate::sql::plan::query::Way;
use crate::window::{CONNECTED, Extent, Layers, Origins, Period};

/// What is kept for the calendar windows of a table, beside the cursors.
#[derive(Default)]
pub(crate) struct CalendarState {
    /// What waits for its firing: when that is due, the period, and the revision.
    pub(crate) waiting: BTreeMap<(Timestamp, Period, u32), Layers<Chunk>>,
    /// What has been counted in periods that may be revised yet.
    pub(crate) counted: BTreeMap<(Timestamp, Period), Layers<Chunk>>,
    pub(crate) origins: Origins<Period>,
    /// The next period to expect rows in, by calendar.
    next: Vec<Option<Period>>,
    /// The end of the last period that held rows.
    last: Option<Timestamp>,
}

impl CalendarState {
    /// Of so many calendars.
    pub(crate) fn new(calendars: usize) -> CalendarState {
        CalendarState { next: vec![None; calendars], ..CalendarState::default() }
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layers<Chunk>> {
        self.waiting.values().chain(self.counted.values())
    }

    pub(crate) fn weight(&self) -> usize {
        self.layers().map(Layers::weight).sum()
    }
}

/// A firing of a period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DuePeriod {
    at: Timestamp,
    period: Period,
    revision: u32,
}

impl Engine {
    pub(crate) fn advance_calendar(
        &mut self,
        zones: &LabCalendars,
        watermark: Timestamp,
        extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        let mut pending = PendingRows::of(0);
        let mut out = Vec::new();
        let due = self.due_periods(zones, watermark, extent);
        // Periods of the same instants are one window of the table, so they are not parted.
        let is_alike = |one: &DuePeriod, other: &DuePeriod| {
            one.period.window == other.period.window && one.revision == other.revision
        };
        for alike in due.chunk_by(is_alike) {
            let revision = alike[0].revision;
            if revision != pending.revision && !pending.windows.is_empty() {
                out.extend(self.finish(0, pending.take())?);
            }
            pending.revision = revision;
            let mut chunks = Vec::with_capacity(alike.len());
            for one in alike {
                chunks.push(self.count_period(zones, *one, &mut pending)?);
            }
            if pending.groups.len() >= ROWS_PER_BATCH || self.tables[0].cursors.is_empty() {
                out.extend(self.finish_with(0, pending.take(), &chunks)?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(0, pending)?);
        }
        let open = watermark.minus(zones.lateness().allowed());
        self.calendar.counted.retain(|(end, _), _| *end > open);
        Ok(out)
    }

    /// Fires one period, and keeps what it counts for its revisions; gives what it counts.
    fn count_period(
        &mut self,
        zones: &LabCalendars,
        one: DuePeriod,
        pending: &mut PendingRows,
    ) -> Result<Vec<Arc<Chunk>>> {
        let mut layers = self.layers_of(one);
        let chunks: Vec<Arc<Chunk>> = layers.iter().map(Arc::clone).collect();
        self.fire_period(zones, one.period, &chunks, pending)?;
        if zones.lateness().revisions() > 0 {
            let (joiner, keeper, total) = (&mut self.joiner, &mut self.keeper, self.keys.len());
            layers.fold(|alike| joiner.join(&self.query, keeper, alike, total))?;
            self.calendar.counted.insert((one.period.window.end, one.period), layers);
        }
        Ok(chunks)
    }

    /// What counts in a period: what was counted before, and what has waited for this firing.
    fn layers_of(&mut self, one: DuePeriod) -> Layers<Chunk> {
        let DuePeriod { at, period, revision } = one;
        let before = self.calendar.counted.remove(&(period.window.end, period));
        let mut layers = before.unwrap_or_default();
        layers.append(self.calendar.waiting.remove(&(at, period, revision)).unwrap_or_default());
        layers
    }

    /// The firings that are due, in order: of periods with rows, of those in which groups are
    /// expected, and of those that share a window with one that is revised.
    fn due_periods(
        &mut self,
        zones: &LabCalendars,
        watermark: Timestamp,
        extent: Extent,
    ) -> Vec<DuePeriod> {
        let held = self.calendar.waiting.keys().take_while(|(at, ..)| *at <= watermark);
        let held = held.map(|&(at, period, revision)| DuePeriod { at, period, revision });
        let mut due: BTreeSet<DuePeriod> = held.collect();
        if self.expected.is_some() {
            let on_time = due.iter().filter(|one| one.revision == 0);
            let held: Vec<Period> = on_time.map(|one| one.period).collect();
            due.extend(self.empty_periods(zones, watermark, extent, &held));
        }
        let revised: Vec<DuePeriod> = due.iter().filter(|one| one.revision > 0).copied().collect();
        for one in revised {
            let beside = self.counted_beside(one, &due);
            due.extend(beside.into_iter().map(|period| DuePeriod { period, ..one }));
        }
        due.into_iter().collect()
    }

    /// The other periods of a window that have been counted before it is revised. A window has one
    /// highest revision: it must hold the rows of all its periods.
    fn counted_beside(&self, one: DuePeriod, due: &BTreeSet<DuePeriod>) -> Vec<Period> {
        let Period { window, local_start } = one.period;
        let date = local_start.date();
        let first = Period { window, local_start: date.and_time(NaiveTime::MIN) };
        let counted = self.calendar.counted.range((window.end, first)..);
        let counted = counted
            .map(|((_, period), _)| *period)
            .take_while(|period| period.window == window && period.local_start.date() == date);
        let before = due.range(DuePeriod { at: window.end, period: first, revision: 0 }..one);
        let before = before
            .map(|one| one.period)
            .filter(|period| period.window == window && period.local_start.date() == date);
        counted.chain(before).collect()
    }

    /// The periods in which groups are expected, among and after those that hold rows: each stretch
    /// of these that are no further apart than [`CONNECTED`], and so long after its last one.
    fn empty_periods(
        &mut self,
        zones: &LabCalendars,
        watermark: Timestamp,
        extent: Extent,
        held: &[Period],
    ) -> Vec<DuePeriod> {
        let mut empty = Vec::new();
        let CalendarState { last: last_period, next: next_period, .. } = &mut self.calendar;
        // A period that holds rows and has begun by then is one for every calendar.
        let begun = held.iter().filter(|held| held.window.start <= extent.ends_at);
        let until = begun.map(|held| held.window.end).fold(extent.ends_at, Timestamp::max);
        let until = until.min(watermark);
        for (calendar, next) in zones.calendars().iter().zip(next_period) {
            let mut last = *last_period;
            for stretch in held.iter().map(Some).chain([None]) {
                // Up to the next one with rows, if there is one.
                let until = stretch.map_or(until, |held| held.window.start.min(until));
                let until = last.map_or(Timestamp::MIN, |last| last.plus(CONNECTED).min(until));
                while let Some(period) = next.filter(|period| period.window.end <= until) {
                    empty.push(DuePeriod { at: period.window.end, period, revision: 0 });
                    *next = Some(calendar.next(&period));
                }
                let Some(held) = stretch else { break };
                let from = calendar.period_of(held.window.start.max(extent.begins_at));
                *next = Some(match next.take() {
                    Some(period) if period.window.start >= from.window.start => period,
                    Some(_) | None => from,
                });
                last = last.max(Some(held.window.end));
            }
        }
        *last_period = (*last_period).max(held.iter().map(|held| held.window.end).max());
        empty
    }

    fn fire_period(
        &mut self,
        zones: &LabCalendars,
        period: Period,
        chunks: &[Arc<Chunk>],
        pending: &mut PendingRows,
    ) -> Result<()> {
        let fired = FiredWindow::of_period(period);
        let Way::Incremental(incremental) = &self.query.way else {
            pending.of_row.push(pending.windows.len() as u32);
            pending.groups.push(0);
            pending.windows.push(fired);
            return Ok(());
        };
        let cursor = &mut self.tables[0].cursors[pending.revision as usize];
        let sliding = cursor.sliding.get_or_insert_with(|| Sliding::new(incremental, None));
        for chunk in chunks {
            sliding.enter(chunk, 0, self.keys.len())?;
        }
        let mut groups = sliding.groups(&self.keys).to_vec();
        if let Some(expected) = &mut self.expected {
            let here = |lab: &str| {
                zones.calendars()[zones.of_lab(lab)].period_of(period.window.start) == period
            };
            expected.complete(&mut groups, &mut self.keys, Some(&here))?;
        }
        sliding.read(&groups, self.keys.len(), || chunks.iter().map(Arc::as_ref).collect())?;
        // At once, so that a month's values are not kept until the next month is over.
        sliding.clear();
        pending.of_row.extend(std::iter::repeat_n(pending.windows.len() as u32, groups.len()));
        pending.groups.extend(groups);
        pending.windows.push(fired);
        Ok(())
    }
}
