//! Rows that belong to no window: nothing fires, since each row passes as it comes. What is kept is
//! where the rows of each day came from, until it settles.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::family_state::FamilyState;
use super::kit::FiringKit;
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::collected::Partial;
use crate::sql::collect::slice_key::SliceKey;
use crate::window::{Extent, OffsetsByPartition, Origins};

/// The days of a row-level table that have not settled.
#[derive(Default)]
pub(super) struct RowDays {
    origins: Origins<NaiveDate>,
}

impl FamilyState for RowDays {
    fn collect(
        &mut self,
        _kit: &mut FiringKit,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()> {
        for (slice, range) in &partial.origins {
            let SliceKey::Day(date) = slice else { continue };
            self.origins.add(*date, 0, partition, *range);
        }
        Ok(())
    }

    fn advance(
        &mut self,
        _kit: &mut FiringKit,
        _watermark: Timestamp,
        _extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        Ok(Vec::new())
    }

    fn first_held(&self, _reached: Timestamp) -> Option<Timestamp> {
        None
    }

    fn settled_before(
        &self,
        _table: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        Some(watermark.minus(allowed_lateness).date())
    }

    fn origins_of(&self, _window: Window, _revision: u32) -> OffsetsByPartition {
        OffsetsByPartition::new()
    }

    fn origins_of_day(&self, _table: usize, date: NaiveDate) -> OffsetsByPartition {
        self.origins.over(date..=date, |_, _| true)
    }

    fn forget_origins(&mut self, date: NaiveDate) {
        self.origins.retain(|held| *held >= date);
    }
}
