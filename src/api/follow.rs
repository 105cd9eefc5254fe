//! Follows a lake by listing its objects again and again; what was listed last is what is read.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::known::KnownTables;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::reading::{AnswerBounds, Reading, SeenLabs};
use crate::clock::Clock;
use crate::flow::Timestamp;
use crate::lake::Store;
use crate::lake::read::{LakeReader, LakeView, LakeViewError, Scope};

/// A lake that is followed.
pub struct FollowedLake {
    store: Store,
    reader: LakeReader,
    known: Arc<KnownTables>,
    seen: Arc<SeenLabs>,
    bounds: AnswerBounds,
    clock: Arc<dyn Clock>,
    listings: RwLock<Listings>,
}

/// What the last listings gave.
#[derive(Clone, Default)]
struct Listings {
    listed: Option<(LakeView, Timestamp)>,
    gone: Option<Gone>,
}

/// A lake that cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    since: Timestamp,
    reason: String,
}

impl FollowedLake {
    /// A lake that was not listed yet.
    pub fn new(
        (store, reader): (Store, LakeReader),
        known: KnownTables,
        bounds: AnswerBounds,
        clock: Arc<dyn Clock>,
    ) -> FollowedLake {
        let (known, seen, listings) = (Arc::new(known), Arc::default(), RwLock::default());
        FollowedLake { store, reader, known, seen, bounds, clock, listings }
    }

    /// Lists the lake.
    ///
    /// # Errors
    /// Where it cannot be listed, or what was there is gone. It is away from then on, until it can.
    pub async fn refresh(&self) -> Result<(), LakeViewError> {
        let earlier = self.listings().listed.map(|(view, _)| view);
        let opened = self.reader.open(earlier.as_ref()).await;
        let now = self.clock.now();
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        match opened {
            // A folder whose disk is gone lists as an empty one.
            Ok(view)
                if view.is_empty()
                    && earlier.as_ref().is_some_and(|earlier| !earlier.is_empty()) =>
            {
                let reason = "its objects are gone; check that the disk is mounted".to_owned();
                self.note_gone(&mut listings, now, reason);
                Ok(())
            }
            Ok(view) => {
                if let Some(Gone { since, .. }) = listings.gone.take() {
                    tracing::info!(lake = %self.store.name, %since, "the lake is back");
                }
                for (name, known) in &self.known.tables {
                    if let Some(schema) = &known.schema {
                        view.plan_table(name, Arc::clone(schema));
                    }
                }
                listings.listed = Some((view, now));
                Ok(())
            }
            Err(LakeViewError::List(error)) => {
                let told = self.store.failed("list the tables".to_owned(), error).with_cause();
                self.note_gone(&mut listings, now, told);
                Ok(())
            }
            Err(error) => {
                self.note_gone(&mut listings, now, error.to_string());
                Err(error)
            }
        }
    }

    fn note_gone(&self, listings: &mut Listings, now: Timestamp, reason: String) {
        if listings.gone.is_none() {
            tracing::warn!(lake = %self.store.name, "the lake is away: {reason}");
        }
        let since = listings.gone.as_ref().map_or(now, |gone| gone.since);
        listings.gone = Some(Gone { since, reason });
    }

    /// The lake as it was listed last, as far as a scope goes.
    ///
    /// # Errors
    /// Where it is away: since when, and why.
    pub fn reading(&self, scope: Scope) -> Result<Reading, NoAnswer> {
        let Listings { listed, gone } = self.listings();
        if let Some(Gone { since, reason }) = gone {
            let text = format!("the lake `{}` is away: {reason}", self.store.name);
            return Err(ProblemDetails::new(ProblemKind::Away, text).since(since.to_rfc3339()));
        }
        let Some((view, listed_at)) = listed else {
            let text = format!("the lake `{}` is not listed yet; try again", self.store.name);
            return Err(ProblemDetails::new(ProblemKind::Away, text));
        };
        let known = (Arc::clone(&self.known), Arc::clone(&self.seen));
        Reading::new((&view, listed_at, self.clock.now()), scope, known, self.bounds.clone())
    }

    fn listings(&self) -> Listings {
        self.listings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lists the lake every so often, for as long as the process lives.
pub async fn follow(lake: Arc<FollowedLake>, every: Duration) {
    let mut beats = tokio::time::interval(every);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first beat is at once, and the lake has just been listed.
    beats.tick().await;
    loop {
        beats.tick().await;
        if let Err(error) = lake.refresh().await {
            tracing::debug!(%error, "the lake cannot be read");
        }
    }
}
