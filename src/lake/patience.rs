//! A store that is away: what is tried again, for how long, and what is told meanwhile.
//!
//! Every operation of a lake but deleting goes through [`StoreWait::persist`]. While a store is away,
//! all of them wait; the first that succeeds wakes the others. Nothing is given up but by [`Patience`]
//! or because the run is to stop, and then the error says what is due.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::error::LakeError;
use crate::metrics as names;

/// The pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A store that has not answered for so long is away, though nothing has failed yet.
const SILENCE: Duration = Duration::from_secs(15);
/// What a request may take that brings little.
const REQUEST: Duration = Duration::from_secs(30);
/// The slowest that an object goes up a line that counts as one, bytes a second: 2 Mbit/s. Nothing is
/// answered before all of it is there.
const SLOWEST_UPLOAD: f64 = 250_000.0;
/// How often an outage is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for an answer of a store that is not known to be away.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// For how long what a store did not do is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So long, and only what passes by itself.
    For(Duration),
    /// Without end, once the store has answered: rights that were withdrawn and a full disk pass as
    /// well, when somebody sees to it. Before that, where the settings are likelier to be wrong, so
    /// long.
    Endless(Duration),
}

/// Whether a store answers. Shared by those who use the lake and those who watch it.
#[derive(Debug, Default)]
pub struct StoreReach {
    state: Mutex<ReachState>,
    back: Notify,
}

#[derive(Debug, Default)]
struct ReachState {
    answered: bool,
    away: Option<Away>,
    told: Option<Instant>,
}

/// An outage.
#[derive(Clone, Debug)]
struct Away {
    since: Instant,
    reason: String,
    told: bool,
}

impl StoreReach {
    /// How long the store has been away, and why; `None` while it answers.
    pub fn away(&self) -> Option<(Duration, String)> {
        self.state().away.as_ref().map(|away| (away.since.elapsed(), away.reason.clone()))
    }

    fn state(&self) -> MutexGuard<'_, ReachState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store has ever answered.
    fn has_answered(&self) -> bool {
        self.state().answered
    }

    fn answers(&self) {
        let mut state = self.state();
        state.answered = true;
        if let Some(away) = state.away.take() {
            metrics::gauge!(names::LAKE_AWAY).set(0.0);
            self.back.notify_waiters();
            if away.told {
                let seconds = away.since.elapsed().as_secs();
                tracing::info!(seconds, "the lake answers again; what waited for it is put");
            }
        }
    }

    /// Notes that something has not been done since `since`; told at once and then now and then.
    fn fails(&self, since: Instant, reason: String) {
        let mut state = self.state();
        let due = state.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        let fresh = || Away { since, reason: String::new(), told: false };
        let away = state.away.get_or_insert_with(fresh);
        away.reason = reason;
        away.told |= due;
        let lasted = away.since.elapsed();
        metrics::gauge!(names::LAKE_AWAY).set(lasted.as_secs_f64());
        if due {
            let (seconds, reason) = (lasted.as_secs(), &away.reason);
            tracing::warn!(seconds, "the lake is away, results wait for it: {reason}");
            state.told = Some(Instant::now());
        }
    }
}

/// How a lake waits for its store.
#[derive(Clone, Debug)]
pub(super) struct StoreWait {
    pub(super) reach: Arc<StoreReach>,
    pub(super) patience: Patience,
    pub(super) stop: CancellationToken,
}

impl StoreWait {
    pub(super) fn new(patience: Patience) -> StoreWait {
        StoreWait { reach: Arc::default(), patience, stop: CancellationToken::new() }
    }

    /// Attempts something until it succeeds, fails for good, patience ends or the run is stopped.
    /// `what` is its object, from which the pauses take their jitter.
    pub(super) async fn persist<T, A>(
        &self,
        store: &str,
        what: &str,
        attempt: impl FnMut() -> A,
    ) -> Result<T, LakeError>
    where
        A: Future<Output = Result<T, LakeError>>,
    {
        self.persist_upload(store, what, 0, attempt).await
    }

    /// Like [`persist`](Waiting::persist), of something that brings so many bytes.
    pub(super) async fn persist_upload<T, A>(
        &self,
        store: &str,
        what: &str,
        bytes: usize,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, LakeError>
    where
        A: Future<Output = Result<T, LakeError>>,
    {
        let silence = SILENCE.saturating_add(upload(bytes));
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0_u64;
        loop {
            let back = self.reach.back.notified();
            let error = match self.attend(store, what, silence, attempt()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if !error.is_outage() || !self.bears(&error, begun.elapsed()) {
                return Err(error);
            }
            let reason = error.with_cause();
            self.reach.fails(begun, reason.clone());
            metrics::counter!(names::LAKE_RETRIES).increment(1);
            attempts += 1;
            tokio::select! {
                () = self.stop.cancelled() => return Err(stopped(store, what, reason)),
                () = sleep(jittered(pause, what, attempts)) => {}
                () = back => {}
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Waits for one attempt. A silence is told; a stop does not wait for a store that is away.
    pub(super) async fn unless_stopped<T>(
        &self,
        store: &str,
        what: &str,
        attempt: impl Future<Output = Result<T, LakeError>>,
    ) -> Result<T, LakeError> {
        self.attend(store, what, SILENCE, attempt).await
    }

    /// Waits for one attempt, of which nothing may be heard for as long as `silence`.
    async fn attend<T>(
        &self,
        store: &str,
        what: &str,
        silence: Duration,
        attempt: impl Future<Output = Result<T, LakeError>>,
    ) -> Result<T, LakeError> {
        let begun = Instant::now();
        let mut attempt = pin!(attempt);
        let mut silent = false;
        loop {
            tokio::select! {
                outcome = &mut attempt => {
                    if outcome.as_ref().err().is_none_or(|error| !error.is_outage()) {
                        self.reach.answers();
                    }
                    return outcome;
                }
                () = sleep_until(begun + silence), if !silent => {
                    silent = true;
                    let seconds = silence.as_secs();
                    let reason = format!("no answer about `{what}` within {seconds} s");
                    self.reach.fails(begun, reason);
                }
                () = self.gives_up() => {
                    let reason = self.reach.away().map(|(_, reason)| reason);
                    let reason = reason.unwrap_or_else(|| "it did not answer in time".to_owned());
                    return Err(stopped(store, what, reason));
                }
            }
        }
    }

    /// Ready when the run is to stop and what is under way is not to be waited for.
    async fn gives_up(&self) {
        self.stop.cancelled().await;
        if self.reach.away().is_none() {
            sleep(STOP_PATIENCE).await;
        }
    }

    fn bears(&self, error: &LakeError, tried: Duration) -> bool {
        match self.patience {
            Patience::Endless(_) if self.reach.has_answered() => true,
            Patience::Endless(patience) | Patience::For(patience) => {
                error.is_retryable() && tried < patience
            }
        }
    }
}

/// How long an upload of so many bytes may take: an object that is large, or a line that is slow, is no
/// outage, and to begin again would not help.
pub(super) fn longest_upload(bytes: usize) -> Duration {
    REQUEST.saturating_add(upload(bytes))
}

/// How long so many bytes take on the slowest line.
fn upload(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / SLOWEST_UPLOAD)
}

fn stopped(store: &str, what: &str, reason: String) -> LakeError {
    LakeError::Stopped { store: store.to_owned(), due: format!("`{what}` was done"), reason }
}

/// Between half of a pause and all of it, by what is tried and how often: those that failed together
/// come back apart.
fn jittered(pause: Duration, what: &str, attempt: u64) -> Duration {
    let dice = xxh3_64(format!("{what} {attempt}").as_bytes());
    pause.mul_f64(0.5 + dice as f64 / u64::MAX as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_half_and_whole_and_differ() {
        let pauses: Vec<Duration> = (0..100)
            .map(|number| jittered(LONGEST_PAUSE, &format!("object {number}"), 1))
            .collect();
        assert!(pauses.iter().all(|pause| (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(pause)));
        let distinct: std::collections::BTreeSet<_> = pauses.iter().collect();
        assert!(distinct.len() > 90);
    }

    #[test]
    fn an_upload_may_take_what_its_line_needs() {
        assert_eq!(longest_upload(0), REQUEST);
        // 240 MB at 2 Mbit/s are 960 s; at 50 Mbit/s 38.4 s, which the client's 30 s would cut.
        assert_eq!(longest_upload(240_000_000), Duration::from_secs(30 + 960));
    }

    /// Whether the store counts as away 20 s after something was begun that brings so many bytes.
    async fn is_away(bytes: usize) -> bool {
        let waiting = StoreWait::new(Patience::For(Duration::ZERO));
        let reach = Arc::clone(&waiting.reach);
        let slow = || async {
            sleep(Duration::from_secs(20)).await;
            Ok(reach.away().is_some())
        };
        waiting.persist_upload("store", "object", bytes, slow).await.unwrap()
    }

    /// In real time: 20 s. At 2 Mbit/s 2.5 MB take 10 s, so that 25 s may pass in silence.
    #[tokio::test]
    async fn a_long_upload_is_no_silence() {
        let (small, large) = tokio::join!(is_away(0), is_away(2_500_000));
        assert_eq!((small, large), (true, false));
    }
}
