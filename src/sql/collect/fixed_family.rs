//! Tumbling and hopping windows: the panes that those of a pipeline share, and each row's pane.

use std::ops::Range;

use datafusion::common::Result;

use super::batch_input::BatchInput;
use super::collected::Partial;
use super::fates::Fates;
use super::partial::{RowInTime, RowPlacer, by_row};
use super::slice_key::SliceKey;
use super::window_family::{FamilyGround, TableForm, WindowFamily};
use crate::flow::Span;
use crate::sql::plan::refuse_recompute::refuse_long_recompute;
use crate::window::{Lateness, PaneGrid, Shape};

/// Fixed windows that share panes.
#[derive(Clone, Debug)]
pub struct FixedFamily {
    /// The panes.
    pub grid: PaneGrid,
    /// The windows, in the order of their tables.
    pub shapes: Vec<Shape>,
}

impl FixedFamily {
    /// Of windows of these sizes and slides, given with their tables.
    pub(super) fn of(
        windows: &[(&str, (Span, Span))],
        ground: FamilyGround<'_>,
    ) -> Result<FixedFamily> {
        for (table, (size, slide)) in windows {
            refuse_long_recompute(&ground.query.way, table, *size, *slide)?;
        }
        let grid = PaneGrid::over(windows.iter().flat_map(|(_, (size, slide))| [*size, *slide]));
        let grid = grid.revised(ground.lateness);
        let shapes = windows.iter().map(|(_, (size, slide))| grid.shape(*size, *slide));
        Ok(FixedFamily { grid, shapes: shapes.collect() })
    }
}

impl WindowFamily for FixedFamily {
    fn partial(&self, batch: &BatchInput<'_>) -> Result<Partial> {
        by_row(batch, self.shapes.len(), || PanePlacer {
            family: self,
            pane: 0,
            range: 0..0,
            on_time: 0,
            was_on_time: false,
        })
    }

    fn longest(&self) -> Span {
        let panes = self.shapes.iter().map(|shape| shape.size).max().unwrap_or(0);
        Span(panes.saturating_mul(self.grid.width().0))
    }

    fn forms(&self) -> Vec<TableForm> {
        let form = |shape: &Shape| TableForm::Windows { is_tile: shape.is_tile() };
        self.shapes.iter().map(form).collect()
    }

    fn lateness(&self) -> Lateness {
        self.grid.lateness()
    }

    fn pane_width(&self) -> Option<Span> {
        Some(self.grid.width())
    }

    fn panes(&self) -> Vec<i64> {
        self.shapes.iter().map(|shape| shape.size).collect()
    }
}

/// Assigns rows to panes.
struct PanePlacer<'a> {
    family: &'a FixedFamily,
    pane: i64,
    range: Range<i64>,
    /// When rows of the pane that are on time are ready.
    on_time: i64,
    /// Whether the last row was on time for its pane.
    was_on_time: bool,
}

impl RowPlacer for PanePlacer<'_> {
    #[inline(always)]
    fn is_as_before(&self, time: i64, watermark: i64) -> bool {
        self.was_on_time && self.range.contains(&time) && watermark < self.range.end
    }

    fn slice(&mut self, row: RowInTime<'_>, fates: &mut Fates) -> Option<SliceKey> {
        let FixedFamily { grid, shapes } = self.family;
        if !self.range.contains(&row.time) {
            self.pane = grid.pane_of(row.time);
            self.range = grid.start_of(self.pane).0..grid.start_of(self.pane + 1).0;
            self.on_time = grid.ticks(self.pane + 1);
        }
        let on_time = row.watermark < self.range.end;
        self.was_on_time = on_time;
        let ready = if on_time { self.on_time } else { grid.ready(self.pane, row.watermark) };
        let mut any = false;
        for (table, shape) in shapes.iter().enumerate() {
            let counts = on_time || grid.counts(*shape, self.pane, ready);
            if counts {
                fates.counts(table, row.event);
            } else {
                fates.misses(table, row.event, Some(grid.holding(*shape, self.pane)));
            }
            any |= counts;
        }
        any.then_some(SliceKey::Pane { pane: self.pane, ready })
    }
}
