//! What the windows of every kind are fired with: the query, the tables' rows, the numbers of groups,
//! and what joins and keeps chunks.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::Result;

use super::expect::Expected;
use super::output::{FiredWindow, OutputShape};
use super::sliding::Sliding;
use crate::keep::held::Keeper;
use crate::keep::own::{bytes_of, own};
use crate::sql::collect::collected::{Chunk, Partial, Tally};
use crate::sql::collect::join::Joiner;
use crate::sql::collect::slice_key::SliceKey;
use crate::sql::keys::Keys;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::query::Query;
use crate::window::{Counted, Weigh};

/// Result rows after which what has fired is handed on, so that memory stays bounded.
pub(super) const ROWS_PER_BATCH: usize = 131_072;

/// What one family's windows are fired with.
pub(super) struct FiringKit {
    pub(super) query: Arc<Query>,
    pub(super) executor: Executor,
    pub(super) keys: Keys,
    pub(super) expected: Option<Expected>,
    pub(super) tables: Vec<FiredTable>,
    pub(super) joiner: Joiner,
    pub(super) keeper: Keeper,
}

/// One table of the family.
pub(super) struct FiredTable {
    pub(super) output: OutputShape,
    /// By revision, 0 first: the window as it was last read. Empty where windows are recomputed;
    /// those of revisions are made when first needed.
    pub(super) cursors: Vec<WindowCursor>,
    pub(super) tally: Tally,
}

/// A window that slides, as it was last counted.
#[derive(Default)]
pub(super) struct WindowCursor {
    pub(super) sliding: Option<Sliding>,
    pub(super) at: Option<Counted>,
}

/// Rows of windows that fired together in one revision, before what stands above the aggregate.
pub(super) struct PendingRows {
    pub(super) revision: u32,
    pub(super) windows: Vec<FiredWindow>,
    pub(super) of_row: Vec<u32>,
    pub(super) groups: Vec<u32>,
}

impl PendingRows {
    /// Nothing yet, of one revision.
    pub(super) fn of(revision: u32) -> PendingRows {
        PendingRows { revision, windows: Vec::new(), of_row: Vec::new(), groups: Vec::new() }
    }

    /// Takes what there is.
    pub(super) fn take(&mut self) -> PendingRows {
        std::mem::replace(self, PendingRows::of(self.revision))
    }
}

impl FiringKit {
    /// What one batch gave, as a chunk for each slice and part of it, its groups numbered anew.
    pub(super) fn chunks_of(&mut self, partial: Partial) -> Result<Vec<(SliceKey, Chunk)>> {
        let mut chunks = Vec::new();
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
                chunks.push((slice, chunk));
            }
        }
        for (slice, relation, rows) in partial.kept {
            let kept = vec![(relation, self.keeper.keep(rows)?)];
            chunks.push((slice, Chunk { kept, ..Chunk::default() }));
        }
        Ok(chunks)
    }

    /// Several chunks as one.
    pub(super) fn join(&mut self, alike: &[Arc<Chunk>]) -> Result<Chunk> {
        self.joiner.join(&self.query, &mut self.keeper, alike, self.keys.len())
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
