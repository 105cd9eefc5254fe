//! Calendar windows: each period of each zone fires once with what was on time for it, and once
//! more for every step of lateness in which rows came.
//!
//! Periods of several zones may begin and end at the same instants: they are one window of the table,
//! fire together, and are revised together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use datafusion::common::Result;

use super::family_state::FamilyState;
use super::kit::{FiringKit, PendingRows, ROWS_PER_BATCH, WindowCursor};
use super::output::FiredWindow;
use super::sliding::Sliding;
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::calendar_family::LabCalendars;
use crate::sql::collect::collected::{Chunk, Partial};
use crate::sql::collect::slice_key::SliceKey;
use crate::sql::collect::window_family::WindowFamily as _;
use crate::sql::plan::query::Way;
use crate::window::{CONNECTED, Extent, Layers, OffsetsByPartition, Origins, Period};

/// What is kept for the calendar windows of a table, beside the cursors.
pub(super) struct CalendarState {
    zones: LabCalendars,
    /// What waits for its firing: when that is due, the period, and the revision.
    waiting: BTreeMap<(Timestamp, Period, u32), Layers<Chunk>>,
    /// What has been counted in periods that may be revised yet.
    counted: BTreeMap<(Timestamp, Period), Layers<Chunk>>,
    origins: Origins<Period>,
    /// The next period to expect rows in, by calendar.
    next: Vec<Option<Period>>,
    /// The end of the last period that held rows.
    last: Option<Timestamp>,
}

/// A firing of a period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DuePeriod {
    at: Timestamp,
    period: Period,
    revision: u32,
}

impl FamilyState for CalendarState {
    fn collect(
        &mut self,
        kit: &mut FiringKit,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()> {
        for (slice, range) in &partial.origins {
            let SliceKey::Period { period, revision } = slice else { continue };
            self.origins.add(*period, i64::from(*revision), partition, *range);
        }
        let lateness = self.zones.lateness();
        for (slice, chunk) in kit.chunks_of(partial)? {
            let SliceKey::Period { period, revision } = slice else { continue };
            let due = period.window.end.plus(lateness.due_after(revision));
            let place = self.waiting.entry((due, period, revision)).or_default();
            place.add(Arc::new(chunk), |alike| kit.join(alike))?;
        }
        Ok(())
    }

    /// Periods without rows fire only between the instants that `extent` says, and for no longer than
    /// [`CONNECTED`] after the last one with rows.
    fn advance(
        &mut self,
        kit: &mut FiringKit,
        watermark: Timestamp,
        extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        let mut pending = PendingRows::of(0);
        let mut out = Vec::new();
        let due = self.due_periods(kit.expected.is_some(), watermark, extent);
        // Periods of the same instants are one window of the table, so they are not parted.
        let is_alike = |one: &DuePeriod, other: &DuePeriod| {
            one.period.window == other.period.window && one.revision == other.revision
        };
        for alike in due.chunk_by(is_alike) {
            let revision = alike[0].revision;
            if revision != pending.revision && !pending.windows.is_empty() {
                out.extend(kit.finish(0, pending.take(), &|_, _| None)?);
            }
            pending.revision = revision;
            let mut chunks = Vec::with_capacity(alike.len());
            for one in alike {
                chunks.push(self.count_period(kit, *one, &mut pending)?);
            }
            // Where periods are recomputed each is at once, while its chunks are at hand.
            if pending.groups.len() >= ROWS_PER_BATCH || kit.tables[0].cursors.is_empty() {
                out.extend(
                    kit.finish(0, pending.take(), &|number, _| chunks.get(number).cloned())?,
                );
            }
        }
        if !pending.windows.is_empty() {
            out.extend(kit.finish(0, pending, &|_, _| None)?);
        }
        let open = watermark.minus(self.zones.lateness().allowed());
        self.counted.retain(|(end, _), _| *end > open);
        Ok(out)
    }

    fn first_held(&self, _reached: Timestamp) -> Option<Timestamp> {
        self.waiting.keys().map(|(_, period, _)| period.window.start).min()
    }

    /// Days are those of the zones' clocks.
    fn settled_before(
        &self,
        _table: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        let reached = watermark.minus(allowed_lateness);
        let zones = self.zones.calendars().iter();
        zones.map(|zone| zone.period_of(reached).local_start.date()).min()
    }

    fn origins_of(&self, window: Window, revision: u32) -> OffsetsByPartition {
        let revision = i64::from(revision);
        let is_of = |period: &Period, since: i64| period.window == window && since <= revision;
        self.origins.over(.., is_of)
    }

    fn origins_of_day(&self, _table: usize, date: NaiveDate) -> OffsetsByPartition {
        self.origins.over(.., |period, _| period.local_start.date() == date)
    }

    fn forget_origins(&mut self, date: NaiveDate) {
        self.origins.retain(|period| period.local_start.date() >= date);
    }

    fn weight(&self) -> usize {
        self.waiting.values().chain(self.counted.values()).map(Layers::weight).sum()
    }

    fn chunks(&self) -> Box<dyn Iterator<Item = &Arc<Chunk>> + '_> {
        let layers = self.waiting.values().chain(self.counted.values());
        Box::new(layers.flat_map(Layers::iter))
    }

    fn chunks_mut(&mut self) -> Box<dyn Iterator<Item = &mut Arc<Chunk>> + '_> {
        let layers = self.waiting.values_mut().chain(self.counted.values_mut());
        Box::new(layers.flat_map(Layers::iter_mut))
    }

    fn renumbered(&mut self, kit: &mut FiringKit) -> Result<()> {
        // Nothing stays in a cursor from one period to the next.
        let cursors = kit.tables.iter_mut().flat_map(|table| &mut table.cursors);
        cursors.for_each(|cursor| *cursor = WindowCursor::default());
        Ok(())
    }
}

impl CalendarState {
    /// None open.
    pub(super) fn new(zones: &LabCalendars) -> CalendarState {
        CalendarState {
            zones: zones.clone(),
            waiting: BTreeMap::new(),
            counted: BTreeMap::new(),
            origins: Origins::default(),
            next: vec![None; zones.calendars().len()],
            last: None,
        }
    }

    /// Fires one period, and keeps what it counts for its revisions; gives what it counts.
    fn count_period(
        &mut self,
        kit: &mut FiringKit,
        one: DuePeriod,
        pending: &mut PendingRows,
    ) -> Result<Vec<Arc<Chunk>>> {
        let mut layers = self.layers_of(one);
        let chunks: Vec<Arc<Chunk>> = layers.iter().map(Arc::clone).collect();
        self.fire_period(kit, one.period, &chunks, pending)?;
        if self.zones.lateness().revisions() > 0 {
            layers.fold(|alike| kit.join(alike))?;
            self.counted.insert((one.period.window.end, one.period), layers);
        }
        Ok(chunks)
    }

    /// What counts in a period: what was counted before, and what has waited for this firing.
    fn layers_of(&mut self, one: DuePeriod) -> Layers<Chunk> {
        let DuePeriod { at, period, revision } = one;
        let before = self.counted.remove(&(period.window.end, period));
        let mut layers = before.unwrap_or_default();
        layers.append(self.waiting.remove(&(at, period, revision)).unwrap_or_default());
        layers
    }

    /// The firings that are due, in order: of periods with rows, of those in which groups are
    /// expected, and of those that share a window with one that is revised.
    fn due_periods(
        &mut self,
        expects: bool,
        watermark: Timestamp,
        extent: Extent,
    ) -> Vec<DuePeriod> {
        let held = self.waiting.keys().take_while(|(at, ..)| *at <= watermark);
        let held = held.map(|&(at, period, revision)| DuePeriod { at, period, revision });
        let mut due: BTreeSet<DuePeriod> = held.collect();
        if expects {
            let on_time = due.iter().filter(|one| one.revision == 0);
            let held: Vec<Period> = on_time.map(|one| one.period).collect();
            due.extend(self.empty_periods(watermark, extent, &held));
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
        let counted = self.counted.range((window.end, first)..);
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
        watermark: Timestamp,
        extent: Extent,
        held: &[Period],
    ) -> Vec<DuePeriod> {
        let mut empty = Vec::new();
        let CalendarState { zones, last: last_period, next: next_period, .. } = self;
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
        &self,
        kit: &mut FiringKit,
        period: Period,
        chunks: &[Arc<Chunk>],
        pending: &mut PendingRows,
    ) -> Result<()> {
        let fired = FiredWindow::of_period(period);
        let FiringKit { query, keys, expected, tables, .. } = kit;
        let Way::Incremental(incremental) = &query.way else {
            pending.of_row.push(pending.windows.len() as u32);
            pending.groups.push(0);
            pending.windows.push(fired);
            return Ok(());
        };
        let cursor = &mut tables[0].cursors[pending.revision as usize];
        let sliding = cursor.sliding.get_or_insert_with(|| Sliding::new(incremental, None));
        for chunk in chunks {
            sliding.enter(chunk, 0, keys.len())?;
        }
        let mut groups = sliding.groups(keys).to_vec();
        if let Some(expected) = expected {
            let zones = &self.zones;
            let here = |lab: &str| {
                zones.calendars()[zones.of_lab(lab)].period_of(period.window.start) == period
            };
            expected.complete(&mut groups, keys, Some(&here))?;
        }
        sliding.read(&groups, keys.len(), || chunks.iter().map(Arc::as_ref).collect())?;
        // At once, so that a month's values are not kept until the next month is over.
        sliding.clear();
        pending.of_row.extend(std::iter::repeat_n(pending.windows.len() as u32, groups.len()));
        pending.groups.extend(groups);
        pending.windows.push(fired);
        Ok(())
    }
}
