//! The tables of one pipeline: collects partial states, and fires windows as the watermark passes.
//!
//! Firing is a function of what was collected: windows fire in order, each exactly once, with the
//! rows that were on time for it, and once more for every step of lateness in which rows came. A
//! window without rows fires only where a reference table names groups to expect, and then only
//! after a window that held rows, within the bounds that [`Engine::advance`] is given.
//!
//! In come partial states and watermarks, out go result rows; kept is what open windows need, by kind of
//! window in the file that fires it: `fixed` (tumbling and hopping), `calendar`, `session`; `row_level` keeps
//! the rows of tables without windows. What they share: `sliding` counts a window as it slides, `finish`
//! makes results of what fired and `output` a table's rows, `expect` the groups without rows, `origins` where
//! rows came from, `reclaim` forgets groups; `day` keeps what fired until its day settles.

mod calendar;
mod finish;
mod fixed;
mod origins;
mod reclaim;
pub mod row_level;
mod session;
mod session_parts;

use std::sync::Arc;

use arrow::array::ArrayRef;
use chrono::NaiveDate;
use datafusion::common::Result;

use super::collect::collected::{Chunk, Partial, Tally};
use super::collect::family::Family;
use super::collect::join::Joiner;
use super::collect::slice_key::SliceKey;
use super::keys::Keys;
use super::plan::execute::Executor;
use super::plan::query::{Query, Way};
use crate::flow::{OutputBatch, Partition, Span, Timestamp};
use crate::keep::held;
use crate::keep::held::Keeper;
use crate::keep::own::{bytes_of, own};
use crate::window::{Counted, Extent, Weigh};
use calendar::CalendarState;
use expect::Expected;
use fixed::FixedState;
use output::{FiredWindow, OutputShape};
use session::Sessions;
use sliding::Sliding;

/// Result rows after which what has fired is handed on, so that memory stays bounded.
const ROWS_PER_BATCH: usize = 131_072;

/// One pipeline's windows of one family and what is kept for them.
pub struct Engine {
    query: Arc<Query>,
    family: Arc<Family>,
    executor: Executor,
    keys: Keys,
    expected: Option<Expected>,
    tables: Vec<FiredTable>,
    joiner: Joiner,
    keeper: Keeper,
    fixed: FixedState,
    calendar: CalendarState,
    sessions: Option<Sessions>,
    /// How many groups there may be before those that are gone are looked for.
    reclaim_at: usize,
}

/// One table of the family.
struct FiredTable {
    output: OutputShape,
    /// By revision, 0 first: the window as it was last read. Empty where windows are recomputed;
    /// those of revisions are made when first needed.
    cursors: Vec<WindowCursor>,
    tally: Tally,
}

/// A window that slides, as it was last counted.
#[derive(Default)]
struct WindowCursor {
    sliding: Option<Sliding>,
    at: Option<Counted>,
}

/// Rows of windows that fired together in one revision, before what stands above the aggregate.
struct PendingRows {
    revision: u32,
    windows: Vec<FiredWindow>,
    of_row: Vec<u32>,
    groups: Vec<u32>,
}

impl Engine {
    /// The tables of one family of a pipeline. `outputs` are in the family's order.
    pub fn new(
        query: Arc<Query>,
        family: Arc<Family>,
        outputs: Vec<OutputShape>,
        expected: Option<Expected>,
        executor: Executor,
    ) -> Engine {
        let calendars = match family.as_ref() {
            Family::Fixed { .. } | Family::Session(_) => 0,
            Family::Calendar(zones) => zones.calendars().len(),
        };
        let revisions = family.lateness().revisions() as usize;
        let sessions = match family.as_ref() {
            Family::Session(family) => Some(Sessions::new(family)),
            Family::Fixed { .. } | Family::Calendar(_) => None,
        };
        let tables = outputs.into_iter().map(|output| FiredTable {
            output,
            cursors: match &query.way {
                Way::Incremental(_) => (0..=revisions).map(|_| WindowCursor::default()).collect(),
                Way::Recompute(_) | Way::RowLevel(_) => Vec::new(),
            },
            tally: Tally::default(),
        });
        let tables: Vec<FiredTable> = tables.collect();
        Engine {
            fixed: FixedState::new(tables.len(), revisions),
            calendar: CalendarState::new(calendars),
            tables,
            query,
            family,
            executor,
            keys: Keys::default(),
            expected,
            joiner: Joiner::default(),
            keeper: Keeper::new(held::IN_MEMORY),
            sessions,
            reclaim_at: reclaim::AT_FIRST,
        }
    }

    /// The query.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    /// Where rows go in time.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// The names and tallies of the tables.
    pub fn tallies(&self) -> impl Iterator<Item = (&Arc<str>, Tally)> {
        self.tables.iter().map(|table| (&table.output.table, table.tally))
    }

    /// The tables' outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &OutputShape> {
        self.tables.iter().map(|table| &table.output)
    }

    /// Takes in what one batch of a partition's events gave.
    pub fn collect(&mut self, partial: Partial, partition: &Arc<Partition>) -> Result<()> {
        for (table, tally) in self.tables.iter_mut().zip(&partial.tallies) {
            table.tally.counted += tally.counted;
            table.tally.late += tally.late;
            table.tally.other += tally.other;
        }
        if let Some(sessions) = &mut self.sessions {
            return sessions.collect(&self.query, partial, partition);
        }
        self.note_origins(&partial.origins, partition);
        for cells in partial.cells {
            let numbers: Vec<u32> = (0..cells.keys.len() as u32)
                .map(|key| self.keys.intern(cells.keys.get(key)))
                .collect();
            for (slice, range) in cells.slices {
                let state_of = |state: &ArrayRef| own(&state.slice(range.start, range.len()));
                let states = cells.states.iter().map(|slot| slot.iter().map(state_of).collect());
                let chunk = Chunk {
                    groups: cells.groups[range.clone()]
                        .iter()
                        .map(|group| numbers[*group as usize])
                        .collect(),
                    rows: cells.rows[range.clone()].to_vec(),
                    states: states.collect(),
                    kept: Vec::new(),
                };
                self.keep(slice, chunk)?;
            }
        }
        for (slice, relation, rows) in partial.kept {
            let kept = vec![(relation, self.keeper.keep(rows)?)];
            self.keep(slice, Chunk { kept, ..Chunk::default() })?;
        }
        Ok(())
    }

    fn keep(&mut self, slice: SliceKey, chunk: Chunk) -> Result<()> {
        let (joiner, keeper, total) = (&mut self.joiner, &mut self.keeper, self.keys.len());
        let join = |alike: &[Arc<Chunk>]| joiner.join(&self.query, keeper, alike, total);
        match (slice, self.family.as_ref()) {
            (SliceKey::Pane { pane, ready }, family) => {
                let late = match family {
                    Family::Fixed { grid, .. } => ready > grid.ticks(pane + 1),
                    Family::Calendar(_) | Family::Session(_) => false,
                };
                self.fixed.panes.add((pane, ready, late), Arc::new(chunk), join)
            }
            (SliceKey::Period { period, revision }, family) => {
                let due = period.window.end.plus(family.lateness().due_after(revision));
                let place = self.calendar.waiting.entry((due, period, revision)).or_default();
                place.add(Arc::new(chunk), join)
            }
            // Collected by `Sessions`.
            (SliceKey::Session(_), _) => Ok(()),
        }
    }

    /// Fires every window that ends at or before `watermark`, and every revision that is due by
    /// then; windows without rows, where groups are expected, only between the instants that
    /// `extent` says, and for no longer than [`CONNECTED`](crate::window::CONNECTED) after the last one with rows.
    pub fn advance(&mut self, watermark: Timestamp, extent: Extent) -> Result<Vec<OutputBatch>> {
        let family = Arc::clone(&self.family);
        for table in &mut self.tables {
            table.output.complete_from = extent.complete_from;
        }
        let fired = match family.as_ref() {
            Family::Fixed { grid, shapes } => {
                self.advance_fixed(*grid, shapes, watermark, extent)?
            }
            Family::Calendar(zones) => self.advance_calendar(zones, watermark, extent)?,
            Family::Session(sessions) => self.advance_sessions(watermark.minus(sessions.wait))?,
        };
        self.reclaim()?;
        Ok(fired)
    }

    /// Whether groups are expected, so that windows without rows fire.
    pub fn expects(&self) -> bool {
        self.expected.is_some()
    }

    /// The start of the earliest pane, period or session that is held for a window or a revision that
    /// is not due by `reached`. The panes of the last window that has fired stay beyond that, however
    /// long ago it was: they have yet to leave it.
    pub fn first_held(&self, reached: Timestamp) -> Option<Timestamp> {
        match self.family.as_ref() {
            Family::Fixed { grid, .. } => {
                let lateness = grid.lateness();
                let last_due = lateness.due_after(lateness.revisions());
                let done = reached.minus(self.family.longest()).minus(last_due);
                let held = self.fixed.panes.from(grid.pane_of(done.0)).next();
                held.map(|(pane, _)| grid.start_of(pane))
            }
            Family::Calendar(_) => {
                self.calendar.waiting.keys().map(|(_, period, _)| period.window.start).min()
            }
            Family::Session(_) => self.first_open_session(),
        }
    }

    /// The date before which a table's days have settled by a watermark, with so much allowed lateness.
    /// Days are those of the zones' clocks for calendar windows, else of UTC.
    pub fn settled_before(
        &self,
        place: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        let reached = watermark.minus(allowed_lateness);
        match self.family.as_ref() {
            Family::Fixed { grid, shapes } => {
                // The whole day of it is open, wherever in the day windows begin.
                Some(grid.open_from(shapes[place], watermark).date())
            }
            Family::Calendar(zones) => {
                let starts = zones.calendars().iter();
                starts.map(|zone| zone.period_of(reached).local_start.date()).min()
            }
            Family::Session(sessions) => {
                let settled = reached.minus(sessions.gap).minus(sessions.wait).date();
                let open = self.first_open_session().map(Timestamp::date);
                Some(open.map_or(settled, |open| open.min(settled)))
            }
        }
    }

    /// Bytes held for open windows.
    pub fn size(&self) -> usize {
        let cursors = self.tables.iter().flat_map(|table| &table.cursors);
        let sliding: usize =
            cursors.filter_map(|cursor| cursor.sliding.as_ref()).map(Sliding::size).sum();
        let sessions = self.sessions.as_ref().map_or(0, Sessions::size);
        sliding + self.fixed.panes.weight() + self.calendar.weight() + sessions + self.keys.size()
    }

    /// Keeps rows that wait for recompute on disk from now on.
    pub fn spill(&mut self) {
        self.keeper.keep_on_disk();
    }
}

impl PendingRows {
    /// Nothing yet, of one revision.
    fn of(revision: u32) -> PendingRows {
        PendingRows { revision, windows: Vec::new(), of_row: Vec::new(), groups: Vec::new() }
    }

    /// Takes what there is.
    fn take(&mut self) -> PendingRows {
        std::mem::replace(self, PendingRows::of(self.revision))
    }
}

/// What an array takes beside its values.
const BYTES_BESIDE: usize = 192;

impl Weigh for Chunk {
    /// Bytes held. States are slices of arrays that chunks of one batch share, so each counts its
    /// own rows only.
    fn weight(&self) -> usize {
        let kept: usize = self.kept.iter().map(|(_, rows)| rows.size() + BYTES_BESIDE).sum();
        let states = self.states.iter().flatten();
        let state: usize = states.map(|state| bytes_of(state) + BYTES_BESIDE).sum();
        self.groups.len() * 8 + state + kept
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod partition_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod soak_tests;
#[cfg(test)]
mod zone_tests;
pub mod day;
pub mod expect;
pub mod output;
pub mod sliding;
