//! Tumbling and hopping windows: each fires when the watermark reaches its end, and once more for
//! every step of lateness in which rows came.
//!
//! A window is read from a cursor that slides: panes leave, what has become countable enters. Each
//! revision has a cursor of its own, that trails behind and moves only when a row calls for it, so
//! a feed without late rows pays nothing for being revised.

use std::collections::BTreeSet;

use datafusion::common::Result;

use super::output::FiredWindow;
use super::sliding::Sliding;
use super::{Engine, PendingRows, ROWS_PER_BATCH, WindowCursor};
use crate::flow::{OutputBatch, Timestamp, Window};
use crate::sql::collect::collected::Chunk;
use crate::sql::plan::query::Way;
use crate::window::{CONNECTED, Counted, Extent, Layers, Origins, PaneBook, PaneGrid, Shape};

/// Parts of a pane that weigh less than this on average are joined, though the pane is read once.
const SMALL_BYTES: usize = 64 << 10;

/// What is kept for the fixed windows of a family, beside the cursors.
#[derive(Default)]
pub(crate) struct FixedState {
    pub(crate) panes: PaneBook<Chunk>,
    pub(crate) origins: Origins<i64>,
    tables: Vec<FixedTable>,
}

/// How far one table has come.
struct FixedTable {
    /// The last window end that has fired or was passed, in panes.
    passed: i64,
    /// By revision, 1 first: the last window end whose revision was looked at, in panes.
    revised: Vec<i64>,
    /// The last window end that held rows, in panes.
    last_held: Option<i64>,
}

impl FixedState {
    /// Of so many tables, each with so many revisions.
    pub(crate) fn new(tables: usize, revisions: usize) -> FixedState {
        let table =
            || FixedTable { passed: i64::MIN, revised: vec![i64::MIN; revisions], last_held: None };
        FixedState { tables: (0..tables).map(|_| table()).collect(), ..FixedState::default() }
    }
}

/// How far windows may fire, as pane ends.
struct FiringLimits {
    reached: i64,
    /// Windows without rows: those that end later than the first, no later than the second, and so
    /// many panes after one with rows.
    empty: (i64, i64),
    connected: i64,
}

impl Engine {
    /// Fires what is due in every table.
    pub(crate) fn advance_fixed(
        &mut self,
        grid: PaneGrid,
        shapes: &[Shape],
        watermark: Timestamp,
        extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        let until = grid.reached(extent.ends_at.min(watermark));
        let limits = FiringLimits {
            reached: grid.reached(watermark),
            empty: (grid.pane_of(extent.begins_at.0), until),
            connected: CONNECTED.0 / grid.width().0,
        };
        let mut out = Vec::new();
        for (table, shape) in shapes.iter().enumerate() {
            out.extend(self.fire_on_time(table, grid, *shape, &limits)?);
            for revision in 1..=grid.lateness().revisions() {
                let due = self.due_revisions(table, grid, *shape, revision, watermark);
                out.extend(self.revise(table, grid, *shape, revision, due)?);
            }
        }
        self.forget(grid, shapes, watermark);
        Ok(out)
    }

    fn fire_on_time(
        &mut self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        limits: &FiringLimits,
    ) -> Result<Vec<OutputBatch>> {
        let mut out = Vec::new();
        let mut pending = PendingRows::of(0);
        while let Some((end, held)) = self.next_end(index, grid, shape, limits) {
            let table = &mut self.fixed.tables[index];
            table.passed = end;
            if held {
                table.last_held = Some(end);
            }
            self.fire(index, grid, shape, end, &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH {
                out.extend(self.finish(index, pending.take())?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(index, pending)?);
        }
        Ok(out)
    }

    /// The next window end to fire, if the limits allow one, and whether that window holds rows.
    fn next_end(
        &self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        limits: &FiringLimits,
    ) -> Option<(i64, bool)> {
        let table = &self.fixed.tables[index];
        let with_rows = self.next_with_rows(table, grid, shape);
        let with_rows = with_rows.filter(|end| *end <= limits.reached);
        let empty = self.next_empty(table, shape, limits);
        match (with_rows, empty) {
            (Some(end), Some(empty)) if empty < end => Some((empty, false)),
            (Some(end), _) => Some((end, true)),
            (None, empty) => empty.map(|end| (end, false)),
        }
    }

    /// The next window end that may fire without rows.
    fn next_empty(&self, table: &FixedTable, shape: Shape, limits: &FiringLimits) -> Option<i64> {
        self.expected.as_ref()?;
        let last_held = table.last_held?;
        let (after, until) = limits.empty;
        let first = shape.align_up(after.saturating_add(1));
        let end = table.passed.saturating_add(shape.slide).max(first);
        (end <= until && end <= last_held.saturating_add(limits.connected)).then_some(end)
    }

    /// The next window end whose window holds rows.
    fn next_with_rows(&self, table: &FixedTable, grid: PaneGrid, shape: Shape) -> Option<i64> {
        let following = table.passed.saturating_add(shape.slide);
        let mut soonest: Option<i64> = None;
        for (pane, ready) in self.fixed.panes.from(following.saturating_sub(shape.size)) {
            if soonest.is_some_and(|end| end <= following || end <= pane) {
                break;
            }
            let end = shape.align_up(grid.pane_at(ready)).max(following);
            if end <= shape.last_end(pane) {
                soonest = Some(soonest.map_or(end, |held| held.min(end)));
            }
        }
        soonest
    }

    /// The windows whose revision is due and in which rows are new.
    fn due_revisions(
        &mut self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        revision: u32,
        watermark: Timestamp,
    ) -> BTreeSet<i64> {
        let looked_at = &mut self.fixed.tables[index].revised[revision as usize - 1];
        let (floor, ceiling) = (*looked_at, grid.last_due(shape, watermark, revision));
        if ceiling <= floor {
            return BTreeSet::new();
        }
        *looked_at = ceiling;
        let (after, until) = (grid.bound(floor, revision - 1), grid.bound(ceiling, revision));
        self.fixed
            .panes
            .late(after, until)
            .flat_map(|place| grid.revised_ends(shape, place, revision))
            .filter(|end| floor < *end && *end <= ceiling)
            .collect()
    }

    fn revise(
        &mut self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        revision: u32,
        due: BTreeSet<i64>,
    ) -> Result<Vec<OutputBatch>> {
        let mut out = Vec::new();
        let mut pending = PendingRows::of(revision);
        for end in due {
            self.fire(index, grid, shape, end, &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH {
                out.extend(self.finish(index, pending.take())?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(index, pending)?);
        }
        Ok(out)
    }

    /// Moves the cursor of the pending revision to the window that ends at `end`, and reads it.
    fn fire(
        &mut self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        end: i64,
        pending: &mut PendingRows,
    ) -> Result<()> {
        let start = end - shape.size;
        let several = self.tables.len() > 1;
        let window = Counted { panes: start..end, bound: grid.bound(end, pending.revision) };
        let number = pending.windows.len() as u32;
        let instants = Window { start: grid.start_of(start), end: grid.start_of(end) };
        pending.windows.push(FiredWindow::of_instants(instants));
        let Way::Incremental(incremental) = &self.query.way else {
            pending.of_row.push(number);
            pending.groups.push(0);
            return Ok(());
        };
        let cursor = &mut self.tables[index].cursors[pending.revision as usize];
        let sliding =
            cursor.sliding.get_or_insert_with(|| Sliding::new(incremental, shape.shared_panes()));
        let before = cursor.at.take().filter(|before| {
            start < before.panes.end && before.panes.start <= start && before.bound <= window.bound
        });
        let fresh = before.as_ref().map_or(start, |before| before.panes.end.max(start));
        let (joiner, keeper, total) = (&mut self.joiner, &mut self.keeper, self.keys.len());
        // A pane that is read once is not worth joining, but for small parts that wait with it.
        let is_read_again = shape.shared_panes().is_some() || several;
        let worth =
            |layers: &Layers<Chunk>| is_read_again || layers.weight() < layers.len() * SMALL_BYTES;
        self.fixed.panes.join(fresh..end, window.bound, worth, |alike| {
            joiner.join(&self.query, keeper, alike, total)
        })?;
        match &before {
            Some(before) => {
                for (pane, chunk) in self.fixed.panes.leaving(before, start) {
                    sliding.leave(chunk, pane)?;
                }
            }
            None => sliding.clear(),
        }
        for (pane, chunk) in self.fixed.panes.entering(&window, before.as_ref()) {
            sliding.enter(chunk, pane, self.keys.len())?;
        }
        let mut groups = sliding.groups(&self.keys).to_vec();
        if let Some(expected) = &mut self.expected {
            expected.complete(&mut groups, &mut self.keys, None)?;
        }
        let book = &self.fixed.panes;
        sliding.read(&groups, self.keys.len(), || {
            book.within(&window).map(|(_, chunk)| chunk.as_ref()).collect()
        })?;
        cursor.at = Some(window);
        pending.of_row.extend(std::iter::repeat_n(number, groups.len()));
        pending.groups.extend(groups);
        Ok(())
    }

    /// Drops the panes that no window will count again, and the cursors that stood on them.
    fn forget(&mut self, grid: PaneGrid, shapes: &[Shape], watermark: Timestamp) {
        let last = grid.lateness().revisions();
        let needed = self.fixed.tables.iter().zip(shapes).map(|(table, shape)| {
            let revisable = grid.last_due(*shape, watermark, last).saturating_add(shape.slide);
            // The panes of the last window stay: they have yet to leave it.
            table.passed.min(revisable).saturating_sub(shape.size)
        });
        let Some(first) = needed.min() else { return };
        self.fixed.panes.forget_before(first);
        for cursor in self.tables.iter_mut().flat_map(|table| &mut table.cursors) {
            if cursor.at.as_ref().is_some_and(|at| at.panes.start < first) {
                *cursor = WindowCursor::default();
            }
        }
    }
}
