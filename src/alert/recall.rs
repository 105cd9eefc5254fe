//! What earlier runs have written down of their cards: which of them still wait, and of which
//! breaches somebody has been told.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;

use crate::flow::card_key::CardKey;
use crate::flow::{Span, Timestamp};
use crate::lake::{Lake, LakeError};

use super::card::ToldNotice;
use super::ledger::{KeptCard, Taken};
use super::notice::Id;
use super::rule::AlertSettings;

/// Cards that are taken up again, and taken ones that are looked at. A webhook takes 1,440 a day.
const READ_LIMIT: usize = 10_000;
/// Reads under way at once.
const READS_AT_ONCE: usize = 16;
/// Entries of cards that were taken stay so long.
const TAKEN_STAYS: Span = Span(31 * Span::DAY.0);
/// The least that is looked back.
const LEAST_LOOK_BACK: Span = Span(2 * Span::DAY.0);

/// How long ago what was told may matter. Of what goes on there has been a reminder since then, unless
/// there are none: then it may have been told of any time ago. What is over is posted when it is not
/// older than `max_age`, so what was told of it must be known for longer.
pub(super) fn look_back(settings: &AlertSettings) -> Span {
    let reminded = match settings.repeat {
        Span(0) => TAKEN_STAYS,
        repeat => Span(repeat.0.saturating_mul(2)),
    };
    let posted = Span(settings.max_age.0.saturating_add(Span::DAY.0));
    LEAST_LOOK_BACK.max(reminded).max(posted)
}

/// What is known of earlier runs' cards.
#[derive(Debug, Default)]
pub(super) struct Recall {
    /// The cards that wait, in the order of their event time.
    pub(super) waiting: Vec<KeptCard>,
    /// What was told of each notice, by the notice's id.
    pub(super) told: HashMap<Id, ToldNotice>,
    /// How many cards wait for webhooks that are not set any more. Nobody is told by these, so what
    /// they would tell is not among what was told.
    pub(super) without: usize,
}

impl Recall {
    /// Reads what is on the lake, and deletes what is too old to matter: what is more than `look_back`
    /// old. `knows` says of a webhook whether it is set.
    pub(super) async fn of(
        lake: &Lake,
        now: Timestamp,
        look_back: Span,
        knows: impl Fn(&str) -> bool,
    ) -> Result<Recall, LakeError> {
        let stays = now.minus(TAKEN_STAYS.max(look_back)).date();
        let (mut waiting, mut taken, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for key in lake.card_keys().await? {
            match &key {
                CardKey::Waiting { .. } => waiting.push(key),
                CardKey::Taken { date, .. } if *date < stays => leaving.push(key),
                CardKey::Taken { date, .. } => taken.push((*date, key)),
                CardKey::Acknowledged { .. } => {}
            }
        }
        delete(lake, &leaving).await;
        if waiting.len() > READ_LIMIT {
            tracing::warn!(cards = waiting.len(), READ_LIMIT, "more cards wait than are taken up");
            waiting.truncate(READ_LIMIT);
        }
        let waiting: Vec<KeptCard> = read_all(lake, waiting).await?;
        // An entry may have outlived its card, where nobody may delete.
        let oldest = waiting.iter().map(|kept| kept.card.at).min().unwrap_or(now);
        let since = now.minus(look_back).min(oldest).date();
        let taken = taken.into_iter().filter(|(date, _)| *date >= since).map(|(_, key)| key);
        let mut taken: Vec<CardKey> = taken.collect();
        // The newest stand at the end.
        let taken = taken.split_off(taken.len().saturating_sub(READ_LIMIT));
        let mut recall = Recall::default();
        let taken: Vec<Taken> = read_all(lake, taken).await?;
        recall.remember(taken.into_iter().flat_map(|card| card.tells));
        let posted: HashSet<Id> = recall.told.values().map(|told| told.card.clone()).collect();
        let (over, mut waiting): (Vec<KeptCard>, Vec<KeptCard>) =
            waiting.into_iter().partition(|kept| posted.contains(&kept.card.id));
        delete(lake, &over.iter().map(key_of).collect::<Vec<_>>()).await;
        let all = waiting.len();
        waiting.retain(|kept| knows(&kept.webhook));
        recall.without = all - waiting.len();
        waiting.sort_by(|a, b| (a.card.at, &a.card.id).cmp(&(b.card.at, &b.card.id)));
        recall.remember(waiting.iter().flat_map(|kept| kept.card.tells.clone()));
        recall.waiting = waiting;
        Ok(recall)
    }

    /// The breaches of which somebody has been told, or will be.
    pub(super) fn breaches(&self) -> HashSet<Id> {
        self.told.values().map(|told| told.breach.clone()).collect()
    }

    fn remember(&mut self, told: impl Iterator<Item = ToldNotice>) {
        self.told.extend(told.map(|told| (told.notice.clone(), told)));
    }
}

/// Who may not delete does without.
async fn delete(lake: &Lake, keys: &[CardKey]) {
    if keys.is_empty() {
        return;
    }
    if let Err(error) = lake.delete_cards(keys).await {
        tracing::warn!(%error, "what is kept of cards that were taken stays");
    }
}

fn key_of(kept: &KeptCard) -> CardKey {
    CardKey::Waiting { id: kept.card.id.as_str().to_owned() }
}

/// Reads entries in the order of their names; one that is gone, or that we cannot read, is passed
/// over, the latter with a line.
async fn read_all<T: DeserializeOwned>(
    lake: &Lake,
    keys: Vec<CardKey>,
) -> Result<Vec<T>, LakeError> {
    let reads = futures::stream::iter(keys).map(|key| async move {
        let body = lake.read_card(&key).await?;
        Ok::<_, LakeError>(body.and_then(|body| parse(&key, &body)))
    });
    let read: Vec<Option<T>> = reads.buffered(READS_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

fn parse<T: DeserializeOwned>(key: &CardKey, body: &Bytes) -> Option<T> {
    match serde_json::from_slice(body) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::warn!(%key, %error, "an entry about a card cannot be read; it is left alone");
            None
        }
    }
}
