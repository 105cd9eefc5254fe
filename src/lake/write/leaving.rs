//! Objects that are to leave the lake: deleted beside the loop once their time has come.
//!
//! Nothing depends on it: the view of the tables passes over live objects of settled days. So a failed
//! delete (no right to, an object lock, a store that is away) is a warning, tried again later and
//! later, and in the end left to whoever looks after the lake.

use tokio::task::JoinSet;

use crate::flow::lake_key::LakeKey;
use crate::flow::{Span, Timestamp};
use crate::lake::{Lake, LakeError};
use crate::metrics as names;

/// The pause after a first failure; it doubles with each.
const FIRST_PAUSE: Span = Span::MINUTE;
/// The longest pause.
const LONGEST_PAUSE: Span = Span::HOUR;
/// So often is it tried: for some six hours.
const ATTEMPTS: u32 = 12;

/// Objects that leave together.
struct Departure {
    at: Timestamp,
    keys: Vec<LakeKey>,
    attempts: u32,
}

/// Objects that are to leave.
pub struct Leaving {
    lake: Lake,
    waiting: Vec<Departure>,
    deleting: JoinSet<(Departure, Result<usize, LakeError>)>,
}

impl Leaving {
    /// Nothing is to leave this lake yet.
    pub fn new(lake: Lake) -> Leaving {
        Leaving { lake, waiting: Vec::new(), deleting: JoinSet::new() }
    }

    /// Objects that leave at `at`.
    pub fn add(&mut self, at: Timestamp, keys: Vec<LakeKey>) {
        if !keys.is_empty() {
            self.waiting.push(Departure { at, keys, attempts: 0 });
        }
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Begins to delete what is due, and looks at what has been deleted. Does not wait.
    pub fn sweep(&mut self, now: Timestamp) {
        while let Some(joined) = self.deleting.try_join_next() {
            match joined {
                Ok((parting, outcome)) => self.ended(parting, outcome, now),
                Err(error) => tracing::error!(%error, "deleting objects has failed"),
            }
        }
        // One at a time: nobody waits for it.
        if !self.deleting.is_empty() {
            return;
        }
        if let Some(place) = self.waiting.iter().position(|parting| parting.at <= now) {
            let parting = self.waiting.swap_remove(place);
            let lake = self.lake.clone();
            self.deleting.spawn(async move {
                let outcome = lake.delete(&parting.keys).await;
                (parting, outcome)
            });
        }
    }

    fn ended(&mut self, parting: Departure, outcome: Result<usize, LakeError>, now: Timestamp) {
        let Err(error) = outcome else { return };
        let attempts = parting.attempts + 1;
        let objects = parting.keys.len();
        metrics::counter!(names::LAKE_UNDELETED).increment(objects as u64);
        let error = error.with_cause();
        if attempts >= ATTEMPTS {
            tracing::warn!(objects, "{error}; they stay, and readers pass over them");
            return;
        }
        tracing::warn!(objects, attempts, "{error}; trying again later, readers pass over them");
        let pause = FIRST_PAUSE.0.saturating_mul(1 << parting.attempts).min(LONGEST_PAUSE.0);
        self.waiting.push(Departure { at: now.plus(Span(pause)), attempts, ..parting });
    }
}
