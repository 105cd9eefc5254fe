//! What is written down on the lake of cards that are to be posted: each while it waits, and that it
//! was taken. So a stop, a crash or a long outage of the webhook loses none, and a later run, which
//! computes the same breaches again, does not post them again.
//!
//! One task writes, in the order in which it was told, so that an entry stands before it is deleted.
//! Nobody waits for it: while the lake is away cards go on to their webhooks, and what is to be
//! written waits in memory. A kill in such a time repeats cards; it loses none that its breach does
//! not make again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::flow::Timestamp;
use crate::flow::card_key::CardKey;
use crate::lake::{Lake, LakeError};

use super::card::{Card, ToldNotice};

/// What waits to be written, some KB each. It holds hours of cards at the pace of delivery; beyond it
/// cards are posted without being written down, which is said.
const QUEUE_LIMIT: usize = 1_000;
/// The wait after a first failure; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait, and so the time between two lines about a lake that is away.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A card that waits, with where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptCard {
    /// The variable that holds its webhook.
    pub(super) webhook: String,
    /// The laboratory that it is about.
    pub(super) lab: Option<String>,
    /// The end of the quiet hours that hold it back.
    pub(super) until: Option<Timestamp>,
    /// The card.
    pub(super) card: Card,
}

/// What is left of a card that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// Its headline, for people.
    pub(super) title: String,
    /// What it told.
    pub(super) tells: Vec<ToldNotice>,
}

/// One thing to be written.
#[derive(Debug)]
struct LedgerEntry {
    put: Option<(CardKey, Bytes)>,
    delete: Vec<CardKey>,
}

/// The task that writes.
#[derive(Debug)]
pub(super) struct Ledger {
    pen: Pen,
    task: JoinHandle<()>,
}

/// Tells the ledger what to write.
#[derive(Clone, Debug)]
pub struct Pen {
    entries: mpsc::Sender<Option<LedgerEntry>>,
    unwritten: Arc<AtomicUsize>,
}

impl Ledger {
    /// Starts the task on the current runtime.
    pub(super) fn start(lake: Lake) -> Ledger {
        let (entries, receiver) = mpsc::channel(QUEUE_LIMIT);
        let unwritten = Arc::new(AtomicUsize::new(0));
        let pen = Pen { entries, unwritten: Arc::clone(&unwritten) };
        Ledger { pen, task: tokio::spawn(write_all(lake, receiver, unwritten)) }
    }

    /// A pen.
    pub(super) fn pen(&self) -> Pen {
        self.pen.clone()
    }

    /// Waits until everything is written or `deadline` has passed; whether everything is.
    pub(super) async fn close(self, deadline: Instant) -> bool {
        let Ledger { pen, mut task } = self;
        let closed = timeout_at(deadline, async {
            // The task has gone: nothing is left to be told to it.
            pen.entries.send(None).await.ok();
            (&mut task).await
        });
        match closed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the task that keeps cards broke"),
            Err(_) => task.abort(),
        }
        pen.unwritten.load(Ordering::Relaxed) == 0
    }
}

impl Pen {
    /// The card waits.
    pub(super) fn keep(&self, kept: &KeptCard) {
        let id = kept.card.id.as_str().to_owned();
        self.write(kept, CardKey::Waiting { id }, Vec::new());
    }

    /// The webhook has taken the card.
    pub(super) fn taken(&self, card: &Card) {
        if card.tells.is_empty() {
            return;
        }
        let taken = Taken { title: card.title.clone(), tells: card.tells.clone() };
        let key = CardKey::Taken { date: card.at.date(), id: card.id.as_str().to_owned() };
        self.write(&taken, key, parts(card));
    }

    /// The webhook has refused the card for good: it is not tried again.
    pub(super) fn refused(&self, card: &Card) {
        self.tell(LedgerEntry { put: None, delete: parts(card) });
    }

    fn write(&self, body: &impl Serialize, key: CardKey, delete: Vec<CardKey>) {
        match serde_json::to_vec(body) {
            Ok(body) => self.tell(LedgerEntry { put: Some((key, Bytes::from(body))), delete }),
            Err(error) => tracing::error!(%key, %error, "a card cannot be written down"),
        }
    }

    fn tell(&self, entry: LedgerEntry) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        if self.entries.try_send(Some(entry)).is_err() {
            metrics::counter!("turnaround_cards_total", "outcome" => "not_kept").increment(1);
            tracing::error!(
                limit = QUEUE_LIMIT,
                "what becomes of a card cannot be written down any more: the lake does not keep up"
            );
        }
    }
}

/// The entries of the cards that a card tells.
fn parts(card: &Card) -> Vec<CardKey> {
    let mut ids: Vec<&str> = card.tells.iter().map(|told| told.card.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| CardKey::Waiting { id: id.to_owned() }).collect()
}

async fn write_all(
    lake: Lake,
    mut entries: mpsc::Receiver<Option<LedgerEntry>>,
    unwritten: Arc<AtomicUsize>,
) {
    while let Some(Some(entry)) = entries.recv().await {
        if let Some((key, body)) = entry.put {
            until_done(|| lake.put_card(&key, body.clone()), |_| true).await;
        }
        if !entry.delete.is_empty() {
            let delete = || async { lake.delete_cards(&entry.delete).await.map(drop) };
            until_done(delete, LakeError::is_retryable).await;
        }
        unwritten.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tries until it is done, or fails with what is not to be tried again: who may not delete does without.
async fn until_done<F: Future<Output = Result<(), LakeError>>>(
    attempt: impl Fn() -> F,
    again: impl Fn(&LakeError) -> bool,
) {
    let mut wait = FIRST_WAIT;
    loop {
        match attempt().await {
            Ok(()) => return,
            Err(error) if again(&error) => {
                tracing::warn!(%error, "what becomes of cards waits for the lake");
                sleep(wait).await;
                wait = LONGEST_WAIT.min(wait * 2);
            }
            Err(error) => {
                tracing::warn!(%error, "what is kept of a card that was taken stays");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::samples::numbered;

    #[tokio::test]
    async fn what_is_to_be_kept_waits_for_a_lake_that_is_away() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands where the lake's folder is to be.
        let place = folder.path().join("lake");
        std::fs::create_dir(&place).unwrap();
        let lake = Lake::open(place.to_str().unwrap(), []).unwrap();
        let in_the_way = place.join("_turnaround");
        std::fs::write(&in_the_way, "").unwrap();
        let ledger = Ledger::start(lake.clone());
        let card = numbered(1);
        let kept = KeptCard { webhook: "W".to_owned(), lab: None, until: None, card };
        ledger.pen().keep(&kept);
        sleep(Duration::from_millis(100)).await;
        std::fs::remove_file(&in_the_way).unwrap();
        assert!(ledger.close(Instant::now() + Duration::from_secs(20)).await);
        let key = CardKey::Waiting { id: kept.card.id.as_str().to_owned() };
        let body = lake.read_card(&key).await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<KeptCard>(&body).unwrap(), kept);
    }

    #[tokio::test]
    async fn what_could_not_be_written_before_the_end_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), []).unwrap();
        std::fs::write(folder.path().join("_turnaround"), "").unwrap();
        let ledger = Ledger::start(lake);
        let kept = KeptCard { webhook: "W".to_owned(), lab: None, until: None, card: numbered(1) };
        ledger.pen().keep(&kept);
        assert!(!ledger.close(Instant::now() + Duration::from_millis(200)).await);
    }
}
