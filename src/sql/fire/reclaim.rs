//! Forgets the groups that nothing open belongs to any more: group numbers are dense, so what is
//! still held is numbered anew.
//!
//! No result depends on it: results are sorted by key, and running states are functions of what is
//! in their window, so they are simply built again.

use std::sync::Arc;

use datafusion::common::Result;

use super::Engine;
use super::sliding::Sliding;
use crate::sql::collect::collected::Chunk;
use crate::sql::collect::family::Family;
use crate::sql::keys::Keys;
use crate::sql::plan::query::Way;
use crate::window::Layers;

/// How many groups there are before those that are gone are first looked for.
pub(crate) const AT_FIRST: usize = 1 << 16;

impl Engine {
    /// Numbers the groups anew when more than half of them are gone. Looked at each time their
    /// number has doubled, so the cost is spread over the groups that came.
    pub(crate) fn reclaim(&mut self) -> Result<()> {
        if self.keys.len() < self.reclaim_at {
            return Ok(());
        }
        let mut renumbered: Vec<Option<u32>> = vec![None; self.keys.len()];
        let mut kept = Keys::default();
        let waiting = self.calendar.layers().flat_map(Layers::iter);
        let chunks = self.fixed.panes.entries().chain(waiting);
        for group in chunks.flat_map(|chunk| &chunk.groups) {
            let number = &mut renumbered[*group as usize];
            number.get_or_insert_with(|| kept.intern(self.keys.get(*group)));
        }
        let worthwhile = kept.len() * 2 <= self.keys.len();
        self.reclaim_at = self.reclaim_at.max(kept.len() * 2);
        if worthwhile {
            self.keys = kept;
            self.renumber(&renumbered)?;
        } else {
            self.reclaim_at = self.reclaim_at.max(self.keys.len() * 2);
        }
        Ok(())
    }

    fn renumber(&mut self, numbers: &[Option<u32>]) -> Result<()> {
        let periods = &mut self.calendar;
        let chunks = periods.waiting.values_mut().chain(periods.counted.values_mut());
        for chunk in chunks.flat_map(Layers::iter_mut).chain(self.fixed.panes.entries_mut()) {
            let chunk: &mut Chunk = Arc::make_mut(chunk);
            for group in &mut chunk.groups {
                // Each chunk's groups were numbered above.
                *group = numbers[*group as usize].unwrap_or(*group);
            }
        }
        if let Some(expected) = &mut self.expected {
            expected.renumbered();
        }
        let Way::Incremental(incremental) = &self.query.way else { return Ok(()) };
        for (index, table) in self.tables.iter_mut().enumerate() {
            let shared = match self.family.as_ref() {
                Family::Fixed { shapes, .. } => shapes[index].shared_panes(),
                Family::Calendar(_) | Family::Session(_) => None,
            };
            for cursor in &mut table.cursors {
                let mut sliding = Sliding::new(incremental, shared);
                if let Some(window) = &cursor.at {
                    for (pane, chunk) in self.fixed.panes.within(window) {
                        sliding.enter(chunk, pane, self.keys.len())?;
                    }
                }
                cursor.sliding = Some(sliding);
            }
        }
        Ok(())
    }
}
