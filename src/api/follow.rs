//! Follows a lake by listing its objects again and again; what was listed last is what is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use object_store::ObjectMeta;

use super::known::KnownTables;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::reading::{AnswerBounds, Reading, SeenLabs, problem};
use crate::access::acknowledge::AckDesk;
use crate::clock::Clock;
use crate::flow::Timestamp;
use crate::flow::lake_key::LakeKey;
use crate::lake::Store;
use crate::lake::read::object::ObjectRows;
use crate::lake::read::{LakeReader, LakeView, LakeViewError, Scope};

/// A lake that is followed.
pub struct FollowedLake {
    store: Store,
    desk: AckDesk,
    reader: LakeReader,
    known: Arc<KnownTables>,
    seen: Arc<SeenLabs>,
    bounds: AnswerBounds,
    clock: Arc<dyn Clock>,
    listings: RwLock<Listings>,
}

/// How many scopes' views are kept: as many tenants ask at once, say.
const KEPT_SCOPES: usize = 64;

/// Views of one listing, by what is seen.
type ScopedViews = Arc<Mutex<BTreeMap<Scope, LakeView>>>;

/// What the last listings gave.
#[derive(Clone, Default)]
struct Listings {
    listed: Option<(LakeView, Timestamp)>,
    /// Those that were asked for: to make one takes longer than many an answer.
    scoped: ScopedViews,
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
        let desk = AckDesk::new(store.clone());
        FollowedLake { store, desk, reader, known, seen, bounds, clock, listings }
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
                if earlier.is_none_or(|earlier| earlier.listing() != view.listing()) {
                    listings.scoped = Arc::default();
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
        let Listings { listed, scoped, gone } = self.listings();
        if let Some(Gone { since, reason }) = gone {
            let text = format!("the lake `{}` is away: {reason}", self.store.name);
            return Err(ProblemDetails::new(ProblemKind::Away, text).since(since.to_rfc3339()));
        }
        let Some((view, listed_at)) = listed else {
            let text = format!("the lake `{}` is not listed yet; try again", self.store.name);
            return Err(ProblemDetails::new(ProblemKind::Away, text));
        };
        let known = (Arc::clone(&self.known), Arc::clone(&self.seen));
        let view = seen(&view, &scope, &scoped)?;
        let beside = (self.bounds.clone(), self.desk.clone());
        Reading::new((&view, listed_at, self.clock.now()), scope, known, beside)
    }

    /// Where acknowledgements are written.
    pub fn desk(&self) -> &AckDesk {
        &self.desk
    }

    /// Lists what fired; see [`LakeReader::fired`].
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub async fn fired(&self) -> Result<Vec<(LakeKey, ObjectMeta)>, LakeViewError> {
        self.reader.fired().await
    }

    /// The rows of an object; see [`LakeReader::object`].
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn object(&self, meta: &ObjectMeta) -> Result<Option<ObjectRows>, LakeViewError> {
        self.reader.object(meta).await
    }

    /// How long an object may stay out of sight that was put before one that is in sight.
    pub fn ripens(&self) -> Duration {
        self.store.sights_within()
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn listings(&self) -> Listings {
        self.listings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A view as far as a scope goes, made once for each listing.
fn seen(view: &LakeView, scope: &Scope, scoped: &ScopedViews) -> Result<LakeView, NoAnswer> {
    let mut scoped = scoped.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = scoped.get(scope) {
        return Ok(known.clone());
    }
    let made = view.scoped(scope).map_err(|error| problem(&error))?;
    if scoped.len() >= KEPT_SCOPES {
        scoped.clear();
    }
    scoped.insert(scope.clone(), made.clone());
    Ok(made)
}

/// Lists the lake every so often, for as long as the process lives.
pub async fn follow(lake: Arc<FollowedLake>, every: Duration) {
    let mut beats = tokio::time::interval(every);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if let Err(error) = lake.refresh().await {
            tracing::debug!(%error, "the lake cannot be read");
        }
    }
}
