//! Says that the events of specimens come on more than one partition: they are followed on each by itself then,
//! and what is told of them is wrong.

use crate::lifecycle::ScatteredTubes;
use crate::metrics as names;

/// What has been said of it.
#[derive(Debug, Default)]
pub(super) struct Scattering {
    found: ScatteredTubes,
}

impl Scattering {
    /// Counts what has been found by now, and warns once a run.
    pub(super) fn note(&mut self, found: ScatteredTubes) {
        let more = found.scattered.saturating_sub(self.found.scattered);
        if more > 0 {
            metrics::counter!(names::SCATTERED).increment(more);
            if self.found.scattered == 0 {
                tracing::warn!(
                    "events of one specimen come on more than one partition, so that what becomes of it \
                     cannot be told; give messages the key lab_id, or lab_id and specimen_id"
                );
            }
        }
        self.found = found;
    }

    /// What has been found.
    pub(super) fn found(&self) -> ScatteredTubes {
        self.found
    }
}
