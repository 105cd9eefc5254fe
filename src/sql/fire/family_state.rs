//! What is asked of the windows of a family as they are kept and fired, whatever their kind.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::kit::FiringKit;
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::collected::{Chunk, Partial};
use crate::window::{Extent, OffsetsByPartition};

/// What is kept for the windows of a family, and how they fire.
pub(super) trait FamilyState: Send + Sync {
    /// Takes in what one batch of a partition gave.
    fn collect(
        &mut self,
        kit: &mut FiringKit,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()>;

    /// Fires every window that ends at or before `watermark`, and every revision that is due.
    fn advance(
        &mut self,
        kit: &mut FiringKit,
        watermark: Timestamp,
        extent: Extent,
    ) -> Result<Vec<OutputBatch>>;

    /// The earliest event time of what is held for a window or a revision that is not due by
    /// `reached`.
    fn first_held(&self, reached: Timestamp) -> Option<Timestamp>;

    /// The date before which a table's days have settled by a watermark, with so much allowed
    /// lateness.
    fn settled_before(
        &self,
        table: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate>;

    /// Where the rows came from that a window of a table counts in a revision.
    fn origins_of(&self, window: Window, revision: u32) -> OffsetsByPartition;

    /// Where the rows came from that a table's day counts in the end.
    fn origins_of_day(&self, table: usize, date: NaiveDate) -> OffsetsByPartition;

    /// Forgets where rows came from that only days before `date` count.
    fn forget_origins(&mut self, date: NaiveDate);

    /// Bytes held, but for what cursors and keys take.
    fn weight(&self) -> usize {
        0
    }

    /// The chunks that are held by number of group.
    fn chunks(&self) -> Box<dyn Iterator<Item = &Arc<Chunk>> + '_> {
        Box::new(std::iter::empty())
    }

    /// As [`chunks`](FamilyState::chunks).
    fn chunks_mut(&mut self) -> Box<dyn Iterator<Item = &mut Arc<Chunk>> + '_> {
        Box::new(std::iter::empty())
    }

    /// The groups have other numbers: what was counted by the old ones is counted again.
    fn renumbered(&mut self, _kit: &mut FiringKit) -> Result<()> {
        Ok(())
    }

    /// The most parts that one window holds.
    #[cfg(test)]
    fn most_parts(&self) -> usize {
        0
    }
}
