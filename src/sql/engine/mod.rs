//! The tables of one pipeline: collects partial states, and fires windows as the watermark passes.
//!
//! Firing is a function of what was collected: windows fire in order, each exactly once, with the
//! rows that were on time for it. A window without rows fires only where a reference table names
//! groups to expect, and then only between the first window that held rows and `empty_until`.

mod calendar;
mod finish;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::Result;

use crate::flow::{OutputBatch, Timestamp, Window};
use crate::sql::execute::Executor;
use crate::sql::expect::Expected;
use crate::sql::family::{Family, SliceKey};
use crate::sql::groups::Keys;
use crate::sql::output::{Fired, OutputShape};
use crate::sql::partial::{Chunk, Partial, Tally};
use crate::sql::query::{Query, Way};
use crate::sql::sliding::{Sliding, panes};
use crate::window::{PaneBook, PaneGrid, Period, Shape};

/// Result rows after which what has fired is handed on, so that memory stays bounded.
const ROWS_PER_BATCH: usize = 131_072;

/// One pipeline's windows of one family and what is kept for them.
pub struct Engine {
    query: Arc<Query>,
    family: Arc<Family>,
    executor: Executor,
    keys: Keys,
    expected: Option<Expected>,
    tables: Vec<Table>,
    panes: PaneBook<Chunk>,
    periods: BTreeMap<(Timestamp, Period), Vec<Arc<Chunk>>>,
}

/// One table of the family.
struct Table {
    output: OutputShape,
    sliding: Option<Sliding>,
    /// The last window end that has fired or was passed, in panes.
    passed: i64,
    /// The first window end that held rows, in panes.
    first: Option<i64>,
    /// Calendar tables: the next period to expect rows in, by calendar.
    next_period: Vec<Option<Period>>,
    tally: Tally,
}

/// Rows of windows that fired together, before what stands above the aggregate.
struct Pending {
    windows: Vec<Fired>,
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
            Family::Fixed { .. } => 0,
            Family::Calendar(zones) => zones.calendars().len(),
        };
        let tables = outputs.into_iter().map(|output| Table {
            output,
            sliding: match &query.way {
                Way::Incremental(incremental) => Some(Sliding::new(incremental)),
                Way::Recompute(_) | Way::RowLevel(_) => None,
            },
            passed: i64::MIN,
            first: None,
            next_period: vec![None; calendars],
            tally: Tally::default(),
        });
        Engine {
            tables: tables.collect(),
            query,
            family,
            executor,
            keys: Keys::default(),
            expected,
            panes: PaneBook::default(),
            periods: BTreeMap::new(),
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

    /// Takes in what one batch of events gave.
    pub fn collect(&mut self, partial: Partial) {
        for (table, tally) in self.tables.iter_mut().zip(&partial.tallies) {
            table.tally.counted += tally.counted;
            table.tally.late += tally.late;
            table.tally.other += tally.other;
        }
        for cells in partial.cells {
            let numbers: Vec<u32> = (0..cells.keys.len() as u32)
                .map(|key| self.keys.intern(cells.keys.get(key)))
                .collect();
            for (slice, range) in cells.slices {
                let states = cells.states.iter().map(|slot| {
                    slot.iter().map(|state| state.slice(range.start, range.len())).collect()
                });
                let chunk = Chunk {
                    groups: cells.groups[range.clone()]
                        .iter()
                        .map(|group| numbers[*group as usize])
                        .collect(),
                    rows: cells.rows[range.clone()].to_vec(),
                    states: states.collect(),
                    kept: Vec::new(),
                };
                self.keep(slice, chunk);
            }
        }
        for (slice, relation, rows) in partial.kept {
            let kept = vec![(relation, rows)];
            self.keep(
                slice,
                Chunk { groups: Vec::new(), rows: Vec::new(), states: Vec::new(), kept },
            );
        }
    }

    fn keep(&mut self, slice: SliceKey, chunk: Chunk) {
        match slice {
            SliceKey::Pane { pane, ready } => self.panes.add(pane, ready, Arc::new(chunk)),
            SliceKey::Period(period) => {
                let place = self.periods.entry((period.window.end, period)).or_default();
                place.push(Arc::new(chunk));
            }
        }
    }

    /// Fires every window that ends at or before `watermark`; empty windows where groups are
    /// expected only up to `empty_until`.
    pub fn advance(
        &mut self,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Result<Vec<OutputBatch>> {
        let family = Arc::clone(&self.family);
        match family.as_ref() {
            Family::Fixed { grid, shapes } => {
                let mut out = Vec::new();
                for (table, shape) in shapes.iter().enumerate() {
                    let limits = Limits {
                        reached: grid.reached(watermark),
                        empty: grid.reached(empty_until.min(watermark)),
                    };
                    out.extend(self.advance_fixed(table, *grid, *shape, limits)?);
                }
                self.forget(shapes);
                Ok(out)
            }
            Family::Calendar(zones) => self.advance_calendar(zones, watermark, empty_until),
        }
    }

    /// Drops the panes that no window will count again.
    fn forget(&mut self, shapes: &[Shape]) {
        let needed = self.tables.iter().zip(shapes).map(|(table, shape)| {
            // The panes of the last window stay: they have yet to leave it.
            table.passed.saturating_sub(shape.size)
        });
        if let Some(first) = needed.min() {
            self.panes.forget_before(first);
        }
    }

    fn advance_fixed(
        &mut self,
        index: usize,
        grid: PaneGrid,
        shape: Shape,
        limits: Limits,
    ) -> Result<Vec<OutputBatch>> {
        let mut out = Vec::new();
        let mut pending = Pending::new();
        while let Some(end) = self.next_end(index, shape, &limits) {
            self.slide(index, shape, end)?;
            let window = Window { start: grid.start_of(end - shape.size), end: grid.start_of(end) };
            self.fire(index, Fired::of_instants(window), panes(end, shape.size), &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH {
                out.extend(self.finish(index, std::mem::take(&mut pending))?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(index, pending)?);
        }
        Ok(out)
    }

    /// The next window end to fire, if the limits allow one.
    fn next_end(&self, index: usize, shape: Shape, limits: &Limits) -> Option<i64> {
        let table = &self.tables[index];
        let with_rows = self.next_with_rows(table, shape).filter(|end| *end <= limits.reached);
        let expects = self.expected.is_some() && table.first.is_some();
        let following = table.passed.saturating_add(shape.slide);
        match with_rows {
            Some(end) if expects && following < end => Some(following),
            Some(end) => Some(end),
            None => (expects && following <= limits.empty).then_some(following),
        }
    }

    /// The next window end whose window holds rows.
    fn next_with_rows(&self, table: &Table, shape: Shape) -> Option<i64> {
        let following = table.passed.saturating_add(shape.slide);
        let last_held = table.passed > i64::MIN
            && self
                .panes
                .within(panes(following, shape.size))
                .any(|(_, chunk)| !chunk.rows.is_empty() || !chunk.kept.is_empty());
        if last_held {
            return Some(following);
        }
        self.panes.after(table.passed).find_map(|(pane, ready)| {
            let end = shape.align_up(ready);
            (end <= shape.last_end(pane)).then_some(end)
        })
    }

    /// Moves a table's window to `end`: panes leave, chunks enter.
    fn slide(&mut self, index: usize, shape: Shape, end: i64) -> Result<()> {
        let table = &mut self.tables[index];
        let before = table.passed;
        table.passed = end;
        table.first.get_or_insert(end);
        let Some(sliding) = &mut table.sliding else { return Ok(()) };
        let start = end - shape.size;
        let before_start = before.saturating_sub(shape.size);
        let overlaps = before > i64::MIN && start < before;
        if overlaps {
            for (pane, chunk) in self.panes.leaving(before_start..start, before) {
                sliding.leave(chunk, pane)?;
            }
        } else {
            sliding.clear();
        }
        let since = if overlaps { before } else { i64::MIN };
        for (pane, chunk) in self.panes.entering(start..end, since) {
            sliding.enter(chunk, pane, self.keys.len())?;
        }
        Ok(())
    }

    /// Reads the results of a table's window as it stands.
    fn fire(
        &mut self,
        index: usize,
        fired: Fired,
        panes: std::ops::Range<i64>,
        pending: &mut Pending,
    ) -> Result<()> {
        let number = pending.windows.len() as u32;
        pending.windows.push(fired);
        let table = &mut self.tables[index];
        let Some(sliding) = &mut table.sliding else {
            pending.of_row.push(number);
            pending.groups.push(0);
            return Ok(());
        };
        let mut groups = sliding.groups(&self.keys).to_vec();
        if let Some(expected) = &mut self.expected {
            expected.complete(&mut groups, &mut self.keys, None)?;
        }
        let book = &self.panes;
        sliding.read(&groups, self.keys.len(), || {
            book.within(panes.clone()).map(|(_, chunk)| chunk.as_ref()).collect()
        })?;
        pending.of_row.extend(std::iter::repeat_n(number, groups.len()));
        pending.groups.extend(groups);
        Ok(())
    }

    /// Bytes held for open windows.
    pub fn size(&self) -> usize {
        let tables = self.tables.iter().filter_map(|table| table.sliding.as_ref());
        let sliding: usize = tables.map(Sliding::size).sum();
        let chunks = self.panes.entries().chain(self.periods.values().flatten());
        let held: usize = chunks.map(|chunk| chunk.size()).sum();
        sliding + held + self.keys.size()
    }
}

/// How far windows may fire, as pane ends.
struct Limits {
    reached: i64,
    empty: i64,
}

impl Pending {
    fn new() -> Pending {
        Pending { windows: Vec::new(), of_row: Vec::new(), groups: Vec::new() }
    }
}

impl Default for Pending {
    fn default() -> Pending {
        Pending::new()
    }
}

impl Chunk {
    /// Bytes held. States are slices of arrays that chunks of one batch share, so each counts its
    /// own rows only.
    pub fn size(&self) -> usize {
        let kept: usize = self.kept.iter().map(|(_, rows)| rows.get_array_memory_size()).sum();
        let states = self.states.iter().flatten();
        let state: usize =
            states.filter_map(|state| state.to_data().get_slice_memory_size().ok()).sum();
        self.groups.len() * 8 + state + kept
    }
}

#[cfg(test)]
mod tests;
