//! Tumbling and hopping windows: each fires when the watermark reaches its end, and once more for
//! every step of lateness in which rows came.
//!
//! A window is read from a cursor that slides: panes leave, what has become countable enters. Each
//! revision has a cursor of its own, that trails behind and moves only when a row calls for it, so
//! a feed without late rows pays nothing for being revised.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::family_state::FamilyState;
use super::kit::{FiringKit, PendingRows, ROWS_PER_BATCH, WindowCursor};
use super::output::FiredWindow;
use super::sliding::Sliding;
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::collected::{Chunk, Partial};
use crate::sql::collect::fixed_family::FixedFamily;
use crate::sql::collect::slice_key::SliceKey;
use crate::sql::plan::query::Way;
use crate::window::{
    CONNECTED, Counted, Extent, Layers, OffsetsByPartition, Origins, PaneBook, PaneGrid, Shape,
};

/// Parts of a pane that weigh less than this on average are joined, though the pane is read once.
const SMALL_BYTES: usize = 64 << 10;

/// What is kept for the fixed windows of a family, beside the cursors.
pub(super) struct FixedState {
    grid: PaneGrid,
    panes: PaneBook<Chunk>,
    origins: Origins<i64>,
    tables: Vec<FixedTable>,
}

/// How far one table has come.
struct FixedTable {
    shape: Shape,
    /// The last window end that has fired or was passed, in panes.
    passed: i64,
    /// By revision, 1 first: the last window end whose revision was looked at, in panes.
    revised: Vec<i64>,
    /// The last window end that held rows, in panes.
    last_held: Option<i64>,
}

impl FixedState {
    /// Nothing yet.
    pub(super) fn new(family: &FixedFamily) -> FixedState {
        let grid = family.grid;
        let revised = vec![i64::MIN; grid.lateness().revisions() as usize];
        let table = |shape: &Shape| FixedTable {
            shape: *shape,
            passed: i64::MIN,
            revised: revised.clone(),
            last_held: None,
        };
        FixedState {
            grid,
            panes: PaneBook::default(),
            origins: Origins::default(),
            tables: family.shapes.iter().map(table).collect(),
        }
    }
}

/// How far windows may fire, as pane ends.
struct FiringLimits {
    reached: i64,
    /// Windows without rows, where groups are expected: those that end later than the first, no
    /// later than the second, and so many panes after one with rows.
    empty: Option<(i64, i64)>,
    connected: i64,
}

impl FamilyState for FixedState {
    fn collect(
        &mut self,
        kit: &mut FiringKit,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()> {
        for (slice, range) in &partial.origins {
            let SliceKey::Pane { pane, ready } = slice else { continue };
            self.origins.add(*pane, *ready, partition, *range);
        }
        for (slice, chunk) in kit.chunks_of(partial)? {
            let SliceKey::Pane { pane, ready } = slice else { continue };
            let late = ready > self.grid.ticks(pane + 1);
            self.panes.add((pane, ready, late), Arc::new(chunk), |alike| kit.join(alike))?;
        }
        Ok(())
    }

    /// Windows without rows fire only between the instants that `extent` says, and for no longer than
    /// [`CONNECTED`] after the last one with rows.
    fn advance(
        &mut self,
        kit: &mut FiringKit,
        watermark: Timestamp,
        extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        let grid = self.grid;
        let until = grid.reached(extent.ends_at.min(watermark));
        let expects = kit.expected.is_some();
        let limits = FiringLimits {
            reached: grid.reached(watermark),
            empty: expects.then(|| (grid.pane_of(extent.begins_at.0), until)),
            connected: CONNECTED.0 / grid.width().0,
        };
        let mut out = Vec::new();
        for index in 0..self.tables.len() {
            out.extend(self.fire_on_time(kit, index, &limits)?);
            for revision in 1..=grid.lateness().revisions() {
                let due = self.due_revisions(index, revision, watermark);
                out.extend(self.revise(kit, index, revision, due)?);
            }
        }
        self.forget(kit, watermark);
        Ok(out)
    }

    /// The panes of the last window that has fired stay beyond that, however long ago it was: they
    /// have yet to leave it.
    fn first_held(&self, reached: Timestamp) -> Option<Timestamp> {
        let (grid, lateness) = (self.grid, self.grid.lateness());
        let last_due = lateness.due_after(lateness.revisions());
        let longest = self.tables.iter().map(|table| table.shape.size).max().unwrap_or(0);
        let longest = Span(longest.saturating_mul(grid.width().0));
        let done = reached.minus(longest).minus(last_due);
        let held = self.panes.from(grid.pane_of(done.0)).next();
        held.map(|(pane, _)| grid.start_of(pane))
    }

    fn settled_before(
        &self,
        table: usize,
        watermark: Timestamp,
        _allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        // The whole day of it is open, wherever in the day windows begin.
        Some(self.grid.open_from(self.tables[table].shape, watermark).date())
    }

    fn origins_of(&self, window: Window, revision: u32) -> OffsetsByPartition {
        let grid = self.grid;
        let (start, end) = (grid.pane_of(window.start.0), grid.pane_of(window.end.0));
        let bound = grid.bound(end, revision);
        self.origins.over(start..end, |_, ready| ready <= bound)
    }

    fn origins_of_day(&self, table: usize, date: NaiveDate) -> OffsetsByPartition {
        let (grid, shape) = (self.grid, self.tables[table].shape);
        let midnight = |date: NaiveDate| grid.pane_of(Timestamp::midnight(date).0 - 1) + 1;
        let first = shape.align_up(midnight(date));
        let next = shape.align_up(midnight(date.succ_opt().unwrap_or(date)));
        let last_end = next - shape.slide + shape.size;
        let last = grid.lateness().revisions();
        self.origins.over(first..last_end, |pane, ready| {
            ready <= grid.bound(shape.last_end(*pane).min(last_end), last)
        })
    }

    fn forget_origins(&mut self, date: NaiveDate) {
        let first = self.grid.pane_of(Timestamp::midnight(date).0);
        self.origins.retain(|pane| *pane >= first);
    }

    fn weight(&self) -> usize {
        self.panes.weight()
    }

    fn chunks(&self) -> Box<dyn Iterator<Item = &Arc<Chunk>> + '_> {
        Box::new(self.panes.entries())
    }

    fn chunks_mut(&mut self) -> Box<dyn Iterator<Item = &mut Arc<Chunk>> + '_> {
        Box::new(self.panes.entries_mut())
    }

    fn renumbered(&mut self, kit: &mut FiringKit) -> Result<()> {
        let Way::Incremental(incremental) = &kit.query.way else { return Ok(()) };
        for (table, fired) in self.tables.iter().zip(&mut kit.tables) {
            for cursor in &mut fired.cursors {
                let mut sliding = Sliding::new(incremental, table.shape.shared_panes());
                if let Some(window) = &cursor.at {
                    for (pane, chunk) in self.panes.within(window) {
                        sliding.enter(chunk, pane, kit.keys.len())?;
                    }
                }
                cursor.sliding = Some(sliding);
            }
        }
        Ok(())
    }
}

impl FixedState {
    fn fire_on_time(
        &mut self,
        kit: &mut FiringKit,
        index: usize,
        limits: &FiringLimits,
    ) -> Result<Vec<OutputBatch>> {
        let mut out = Vec::new();
        let mut pending = PendingRows::of(0);
        while let Some((end, held)) = self.next_end(index, limits) {
            let table = &mut self.tables[index];
            table.passed = end;
            if held {
                table.last_held = Some(end);
            }
            self.fire(kit, index, end, &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH {
                out.extend(self.finish(kit, index, pending.take())?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(kit, index, pending)?);
        }
        Ok(out)
    }

    /// The next window end to fire, if the limits allow one, and whether that window holds rows.
    fn next_end(&self, index: usize, limits: &FiringLimits) -> Option<(i64, bool)> {
        let table = &self.tables[index];
        let with_rows = self.next_with_rows(table).filter(|end| *end <= limits.reached);
        match (with_rows, next_empty(table, limits)) {
            (Some(end), Some(empty)) if empty < end => Some((empty, false)),
            (Some(end), _) => Some((end, true)),
            (None, empty) => empty.map(|end| (end, false)),
        }
    }

    /// The next window end whose window holds rows.
    fn next_with_rows(&self, table: &FixedTable) -> Option<i64> {
        let (grid, shape) = (self.grid, table.shape);
        let following = table.passed.saturating_add(shape.slide);
        let mut soonest: Option<i64> = None;
        for (pane, ready) in self.panes.from(following.saturating_sub(shape.size)) {
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
        revision: u32,
        watermark: Timestamp,
    ) -> BTreeSet<i64> {
        let (grid, table) = (self.grid, &mut self.tables[index]);
        let shape = table.shape;
        let looked_at = &mut table.revised[revision as usize - 1];
        let (floor, ceiling) = (*looked_at, grid.last_due(shape, watermark, revision));
        if ceiling <= floor {
            return BTreeSet::new();
        }
        *looked_at = ceiling;
        let (after, until) = (grid.bound(floor, revision - 1), grid.bound(ceiling, revision));
        self.panes
            .late(after, until)
            .flat_map(|place| grid.revised_ends(shape, place, revision))
            .filter(|end| floor < *end && *end <= ceiling)
            .collect()
    }

    fn revise(
        &mut self,
        kit: &mut FiringKit,
        index: usize,
        revision: u32,
        due: BTreeSet<i64>,
    ) -> Result<Vec<OutputBatch>> {
        let mut out = Vec::new();
        let mut pending = PendingRows::of(revision);
        for end in due {
            self.fire(kit, index, end, &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH {
                out.extend(self.finish(kit, index, pending.take())?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(kit, index, pending)?);
        }
        Ok(out)
    }

    fn finish(
        &self,
        kit: &mut FiringKit,
        index: usize,
        pending: PendingRows,
    ) -> Result<Vec<OutputBatch>> {
        let (grid, shape, revision) = (self.grid, self.tables[index].shape, pending.revision);
        kit.finish(index, pending, &|_, fired| {
            let end = grid.pane_of(fired.window.end.0);
            let window = Counted { panes: end - shape.size..end, bound: grid.bound(end, revision) };
            Some(self.panes.within(&window).map(|(_, chunk)| Arc::clone(chunk)).collect())
        })
    }

    /// Moves the cursor of the pending revision to the window that ends at `end`, and reads it.
    fn fire(
        &mut self,
        kit: &mut FiringKit,
        index: usize,
        end: i64,
        pending: &mut PendingRows,
    ) -> Result<()> {
        let (grid, shape) = (self.grid, self.tables[index].shape);
        let start = end - shape.size;
        let several = self.tables.len() > 1;
        let window = Counted { panes: start..end, bound: grid.bound(end, pending.revision) };
        let number = pending.windows.len() as u32;
        let instants = Window { start: grid.start_of(start), end: grid.start_of(end) };
        pending.windows.push(FiredWindow::of_instants(instants));
        let FiringKit { query, keys, expected, tables, joiner, keeper, .. } = kit;
        let Way::Incremental(incremental) = &query.way else {
            pending.of_row.push(number);
            pending.groups.push(0);
            return Ok(());
        };
        let cursor = &mut tables[index].cursors[pending.revision as usize];
        let sliding =
            cursor.sliding.get_or_insert_with(|| Sliding::new(incremental, shape.shared_panes()));
        let before = cursor.at.take().filter(|before| {
            start < before.panes.end && before.panes.start <= start && before.bound <= window.bound
        });
        let fresh = before.as_ref().map_or(start, |before| before.panes.end.max(start));
        // A pane that is read once is not worth joining, but for small parts that wait with it.
        let is_read_again = shape.shared_panes().is_some() || several;
        let worth =
            |layers: &Layers<Chunk>| is_read_again || layers.weight() < layers.len() * SMALL_BYTES;
        self.panes.join(fresh..end, window.bound, worth, |alike| {
            joiner.join(query, keeper, alike, keys.len())
        })?;
        match &before {
            Some(before) => {
                for (pane, chunk) in self.panes.leaving(before, start) {
                    sliding.leave(chunk, pane)?;
                }
            }
            None => sliding.clear(),
        }
        for (pane, chunk) in self.panes.entering(&window, before.as_ref()) {
            sliding.enter(chunk, pane, keys.len())?;
        }
        let mut groups = sliding.groups(keys).to_vec();
        if let Some(expected) = expected {
            expected.complete(&mut groups, keys, None)?;
        }
        let book = &self.panes;
        sliding.read(&groups, keys.len(), || {
            book.within(&window).map(|(_, chunk)| chunk.as_ref()).collect()
        })?;
        cursor.at = Some(window);
        pending.of_row.extend(std::iter::repeat_n(number, groups.len()));
        pending.groups.extend(groups);
        Ok(())
    }

    /// Drops the panes that no window will count again, and the cursors that stood on them.
    fn forget(&mut self, kit: &mut FiringKit, watermark: Timestamp) {
        let grid = self.grid;
        let last = grid.lateness().revisions();
        let needed = self.tables.iter().map(|table| {
            let shape = table.shape;
            let revisable = grid.last_due(shape, watermark, last).saturating_add(shape.slide);
            // The panes of the last window stay: they have yet to leave it.
            table.passed.min(revisable).saturating_sub(shape.size)
        });
        let Some(first) = needed.min() else { return };
        self.panes.forget_before(first);
        for cursor in kit.tables.iter_mut().flat_map(|table| &mut table.cursors) {
            if cursor.at.as_ref().is_some_and(|at| at.panes.start < first) {
                *cursor = WindowCursor::default();
            }
        }
    }
}

/// The next window end that may fire without rows.
fn next_empty(table: &FixedTable, limits: &FiringLimits) -> Option<i64> {
    let (last_held, (after, until)) = (table.last_held?, limits.empty?);
    let first = table.shape.align_up(after.saturating_add(1));
    let end = table.passed.saturating_add(table.shape.slide).max(first);
    (end <= until && end <= last_held.saturating_add(limits.connected)).then_some(end)
}
