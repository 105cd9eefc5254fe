//! Forgets the groups that nothing open belongs to any more: group numbers are dense, so what is
//! still held is numbered anew.
//!
//! No result depends on it: results are sorted by key, and running states are functions of what is
//! in their window, so they are simply built again.

use std::sync::Arc;

use datafusion::common::Result;

use super::family_state::FamilyState;
use super::kit::FiringKit;
use crate::sql::collect::collected::Chunk;
use crate::sql::keys::Keys;

/// How many groups there are before those that are gone are first looked for.
const AT_FIRST: usize = 1 << 16;

/// When groups that are gone are looked for.
pub(super) struct Reclaiming {
    /// How many groups there may be before that.
    at: usize,
}

impl Reclaiming {
    /// As it begins.
    pub(super) fn new() -> Reclaiming {
        Reclaiming { at: AT_FIRST }
    }

    /// Looks for them from the first group on.
    #[cfg(test)]
    pub(super) fn at_once() -> Reclaiming {
        Reclaiming { at: 1 }
    }

    /// Numbers the groups anew when more than half of them are gone. Looked at each time their
    /// number has doubled, so the cost is spread over the groups that came.
    pub(super) fn reclaim(
        &mut self,
        kit: &mut FiringKit,
        state: &mut dyn FamilyState,
    ) -> Result<()> {
        if kit.keys.len() < self.at {
            return Ok(());
        }
        let mut renumbered: Vec<Option<u32>> = vec![None; kit.keys.len()];
        let mut kept = Keys::default();
        for group in state.chunks().flat_map(|chunk| &chunk.groups) {
            let number = &mut renumbered[*group as usize];
            number.get_or_insert_with(|| kept.intern(kit.keys.get(*group)));
        }
        let worthwhile = kept.len() * 2 <= kit.keys.len();
        self.at = self.at.max(kept.len() * 2);
        if !worthwhile {
            self.at = self.at.max(kit.keys.len() * 2);
            return Ok(());
        }
        kit.keys = kept;
        for chunk in state.chunks_mut() {
            let chunk: &mut Chunk = Arc::make_mut(chunk);
            for group in &mut chunk.groups {
                // Each chunk's groups were numbered above.
                *group = renumbered[*group as usize].unwrap_or(*group);
            }
        }
        if let Some(expected) = &mut kit.expected {
            expected.renumbered();
        }
        state.renumbered(kit)
    }
}
