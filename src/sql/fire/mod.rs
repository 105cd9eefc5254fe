//! The tables of one pipeline: collects partial states, and fires windows as the watermark passes.
//!
//! Firing is a function of what was collected: windows fire in order, each exactly once, with the
//! rows that were on time for it, and once more for every step of lateness in which rows came. A
//! window without rows fires only where a reference table names groups to expect, and then only
//! after a window that held rows, within the bounds that [`Engine::advance`] is given.
//!
//! In come partial states and watermarks, out go result rows; kept is what open windows need, by kind of
//! window in the file that fires it: `fixed` (tumbling and hopping), `calendar`, `session`, and `rows` of
//! tables without windows. What is asked of each is `family_state`, what each is given `kit`; [`state_of`]
//! is the registry. What they share: `sliding` counts a window as it slides, `finish` makes results of what
//! fired and `output` a table's rows, `expect` the groups without rows, `reclaim` forgets groups; `day`
//! keeps what fired until its day settles.

mod calendar;
mod family_state;
mod finish;
mod fixed;
mod kit;
mod reclaim;
mod rows;
mod session;
mod session_parts;

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::collect::collected::{Partial, Tally};
use super::collect::family::Family;
use super::collect::join::Joiner;
use super::keys::Keys;
use super::plan::execute::Executor;
use super::plan::query::{Query, Way};
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::keep::held;
use crate::keep::held::Keeper;
use crate::window::{Extent, OffsetsByPartition};
use calendar::CalendarState;
use expect::Expected;
use family_state::FamilyState;
use fixed::FixedState;
use kit::{FiredTable, FiringKit, WindowCursor};
use output::OutputShape;
use reclaim::Reclaiming;
use rows::RowDays;
use session::Sessions;
use sliding::Sliding;

/// One pipeline's windows of one family and what is kept for them.
pub struct Engine {
    family: Arc<Family>,
    kit: FiringKit,
    state: Box<dyn FamilyState>,
    reclaiming: Reclaiming,
}

/// What is kept for a family's windows: nothing yet.
fn state_of(family: &Family) -> Box<dyn FamilyState> {
    match family {
        Family::Fixed(panes) => Box::new(FixedState::new(panes)),
        Family::Calendar(zones) => Box::new(CalendarState::new(zones)),
        Family::Session(sessions) => Box::new(Sessions::new(sessions)),
        Family::Rows(_) => Box::new(RowDays::default()),
    }
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
        let revisions = family.kind().lateness().revisions() as usize;
        let tables = outputs.into_iter().map(|output| FiredTable {
            output,
            cursors: match &query.way {
                Way::Incremental(_) => (0..=revisions).map(|_| WindowCursor::default()).collect(),
                Way::Recompute(_) | Way::RowLevel(_) => Vec::new(),
            },
            tally: Tally::default(),
        });
        let tables = tables.collect();
        Engine {
            state: state_of(&family),
            family,
            kit: FiringKit {
                query,
                executor,
                keys: Keys::default(),
                expected,
                tables,
                joiner: Joiner::default(),
                keeper: Keeper::new(held::IN_MEMORY),
            },
            reclaiming: Reclaiming::new(),
        }
    }

    /// The query.
    pub fn query(&self) -> &Arc<Query> {
        &self.kit.query
    }

    /// Where rows go in time.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// The names and tallies of the tables.
    pub fn tallies(&self) -> impl Iterator<Item = (&Arc<str>, Tally)> {
        self.kit.tables.iter().map(|table| (&table.output.table, table.tally))
    }

    /// The tables' outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &OutputShape> {
        self.kit.tables.iter().map(|table| &table.output)
    }

    /// Takes in what one batch of a partition's events gave.
    ///
    /// # Errors
    /// Where states cannot be joined, or rows go to disk and it cannot be written.
    pub fn collect(&mut self, partial: Partial, partition: &Arc<Partition>) -> Result<()> {
        for (table, tally) in self.kit.tables.iter_mut().zip(&partial.tallies) {
            table.tally.counted += tally.counted;
            table.tally.late += tally.late;
            table.tally.other += tally.other;
        }
        self.state.collect(&mut self.kit, partial, partition)
    }

    /// Fires every window that ends at or before `watermark`, and every revision that is due by
    /// then; windows without rows, where groups are expected, only between the instants that
    /// `extent` says, and for no longer than [`CONNECTED`](crate::window::CONNECTED) after the last one with rows.
    ///
    /// # Errors
    /// What fails when the query runs.
    pub fn advance(&mut self, watermark: Timestamp, extent: Extent) -> Result<Vec<OutputBatch>> {
        for table in &mut self.kit.tables {
            table.output.complete_from = extent.complete_from;
        }
        let fired = self.state.advance(&mut self.kit, watermark, extent)?;
        self.reclaiming.reclaim(&mut self.kit, self.state.as_mut())?;
        Ok(fired)
    }

    /// Whether groups are expected, so that windows without rows fire.
    pub fn expects(&self) -> bool {
        self.kit.expected.is_some()
    }

    /// The start of the earliest pane, period or session that is held for a window or a revision that
    /// is not due by `reached`.
    pub fn first_held(&self, reached: Timestamp) -> Option<Timestamp> {
        self.state.first_held(reached)
    }

    /// The date before which a table's days have settled by a watermark, with so much allowed lateness.
    /// Days are those of the zones' clocks for calendar windows, else of UTC.
    pub fn settled_before(
        &self,
        place: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        self.state.settled_before(place, watermark, allowed_lateness)
    }

    /// Where the rows came from that a window of a table counts in a revision.
    pub fn origins_of(&self, window: Window, revision: u32) -> OffsetsByPartition {
        self.state.origins_of(window, revision)
    }

    /// Where the rows came from that a table's day counts in the end.
    pub fn origins_of_day(&self, place: usize, date: NaiveDate) -> OffsetsByPartition {
        self.state.origins_of_day(place, date)
    }

    /// Forgets where rows came from that only days before `date` count.
    pub fn forget_origins(&mut self, date: NaiveDate) {
        self.state.forget_origins(date);
    }

    /// Bytes held for open windows.
    pub fn size(&self) -> usize {
        let cursors = self.kit.tables.iter().flat_map(|table| &table.cursors);
        let sliding: usize =
            cursors.filter_map(|cursor| cursor.sliding.as_ref()).map(Sliding::size).sum();
        sliding + self.state.weight() + self.kit.keys.size()
    }

    /// Keeps rows that wait for recompute on disk from now on.
    pub fn spill(&mut self) {
        self.kit.keeper.keep_on_disk();
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod partition_tests;
#[cfg(test)]
mod row_tests;
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
