//! Breaches into cards, on the channels that the routes name: Teams, Slack, plain JSON.
//!
//! ```text
//! rows ─ judging ─ book ─ notices ─ compose ─ cards ─ route ─ outbox ─ delivery ── webhook
//!                             └─────────────────────────┴── log: the rows of alerts/
//! ```
//!
//! [`judging`] evaluates the rules over what has fired; [`AlertSink`] moves the values from there on.
//! Everything up to the outbox is pure and follows event time; the clock decides only what is too old to
//! be posted, and delivery. Cards that are to be posted are written down on the lake until their
//! webhooks have taken them, and that they have (`ledger`); a later run takes up the ones and leaves out
//! the others (`recall`).

mod acknowledged;
pub mod answer;
pub mod book;
mod breach;
pub mod card;
mod channel;
pub mod format;
pub mod compose;
pub mod delivery;
pub mod ledger;
pub mod log;
pub mod notice;
pub mod observation;
pub mod outbox;
mod open_breach;
mod passing;
pub mod pace;
pub mod reading;
mod json;
pub mod judging;
mod recall;
mod slack;
mod teams;
pub mod route;
pub mod rule;
pub mod webhook;
pub mod zones;

#[cfg(test)]
pub(crate) mod catcher;
#[cfg(test)]
mod delivery_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod sink_tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::flow::{Span, Timestamp};
use crate::lake::{Lake, LakeError};

use acknowledged::Acknowledged;
use book::AlertBook;
use card::{Card, ToldNotice};
use compose::{ComposedCard, compose};
use delivery::{CardDelivery, DeliveryReport};
use ledger::{KeptCard, Ledger};
use log::{Disposition, LogEntry, alert_rows};
use notice::{Id, Notice};
use observation::{Observation, ObserveError};
use pace::Tempo;
use recall::Recall;
use route::{Decision, Router};
use rule::AlertSettings;
use webhook::{Poster, Webhook, WebhookError, WebhookReach};
use zones::LabZones;

/// How long after the last delivery is waited for what is to be written down of it.
const AFTER_DELIVERY: Duration = Duration::from_secs(5);

/// What the sink needs from the configuration and the environment.
#[derive(Clone, Debug)]
pub struct AlertSetup {
    /// `alerts:` of `turnaround.yaml`.
    pub settings: AlertSettings,
    /// The URLs that are set, by the variable that holds them. Routes whose variable is absent
    /// here are in dry run.
    pub webhooks: BTreeMap<String, SecretString>,
    /// The laboratories' zones.
    pub zones: LabZones,
    /// Which addresses may be reached.
    pub reach: WebhookReach,
    /// Delays and limits of delivery.
    pub tempo: Tempo,
}

/// A card that an observation made.
#[derive(Clone, Debug)]
pub struct MadeCard {
    /// The card.
    pub card: Card,
    /// What becomes of it.
    pub disposition: Disposition,
    /// The variable that holds its route's webhook.
    pub webhook: Option<String>,
}

/// What an observation caused.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The cards, also those that are not posted.
    pub cards: Vec<MadeCard>,
    /// The rows of `alerts/`, of [`log::ALERT_SCHEMA`].
    pub rows: RecordBatch,
}

/// The breach sink.
pub struct AlertSink {
    book: AlertBook,
    router: Router,
    zones: LabZones,
    link: Option<String>,
    settings: AlertSettings,
    delivery: CardDelivery,
    /// Where cards are written down; none while nothing is posted.
    kept_in: Option<(Lake, Ledger)>,
    /// What earlier runs have told, by the notice's id.
    told: HashMap<Id, ToldNotice>,
    acknowledged: Acknowledged,
    /// Follows what is acknowledged; none while nothing is posted.
    following: Option<JoinHandle<()>>,
    look_back: Span,
    clock: Arc<dyn Clock>,
}

impl AlertSink {
    /// Checks the webhooks and starts their delivery on the current runtime. Without webhooks, or
    /// in dry run, there is nothing to start and no connection is ever made. What becomes of cards is
    /// written down in `lake`.
    pub fn start(
        setup: AlertSetup,
        clock: Arc<dyn Clock>,
        lake: Lake,
    ) -> Result<AlertSink, WebhookError> {
        let AlertSetup { settings, webhooks, zones, reach, tempo } = setup;
        let webhooks = if settings.dry_run { BTreeMap::new() } else { webhooks };
        let checked = webhooks
            .iter()
            .map(|(name, url)| Webhook::new(name, url, settings.channel(name), reach))
            .collect::<Result<Vec<_>, _>>()?;
        let (delivery, kept_in) = if checked.is_empty() {
            (CardDelivery::none(), None)
        } else {
            let poster = Poster::new(reach, tempo.timeout)?;
            let ledger = Ledger::start(lake.clone());
            let delivery =
                CardDelivery::start(checked, &poster, tempo, &clock, Some(&ledger.pen()));
            (delivery, Some((lake, ledger)))
        };
        let acknowledged = Acknowledged::default();
        let following = kept_in.as_ref().map(|(lake, _)| acknowledged.follow(lake.clone()));
        let set: BTreeSet<String> = webhooks.into_keys().collect();
        Ok(AlertSink {
            book: AlertBook::new(&settings),
            router: Router::new(&settings, set, zones.clone()),
            zones,
            look_back: recall::look_back(&settings),
            link: settings.link.clone(),
            delivery,
            kept_in,
            told: HashMap::new(),
            acknowledged,
            following,
            clock,
            settings,
        })
    }

    /// Takes up what earlier runs have left: their cards that wait, and what they have told. `lake` is
    /// the run's, which waits for its store as the run does, and stops waiting when that is to stop.
    ///
    /// # Errors
    /// When it cannot be read, or the run was asked to stop before it could.
    pub async fn resume(&mut self, lake: &Lake) -> Result<(), LakeError> {
        if self.kept_in.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        self.acknowledged.refresh(lake).await;
        let knows = |webhook: &str| self.router.knows(webhook);
        let recall = Recall::of(lake, now, self.look_back, knows).await?;
        self.book.recall(recall.breaches());
        self.told = recall.told;
        let (mut posted, mut held) = (0_usize, 0_usize);
        for kept in recall.waiting {
            let KeptCard { webhook, lab, until, card } = kept;
            match until.filter(|until| *until > now) {
                Some(until) => {
                    held += 1;
                    self.router.hold(&webhook, lab.as_deref(), until, card);
                }
                None => {
                    posted += 1;
                    self.post(&webhook, card);
                }
            }
        }
        if posted + held > 0 {
            tracing::info!(posted, held, "cards that an earlier run has left are taken up");
        }
        if recall.without > 0 {
            let cards = recall.without;
            tracing::warn!(
                cards,
                "cards wait for webhooks that are not set any more; what they tell counts as not told"
            );
        }
        Ok(())
    }

    /// Judges one window by one rule: cards are handed to the outbox, or shown in dry run.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Result<Observed, ObserveError> {
        let now = self.clock.now();
        self.release(observation.window.end.max(now));
        let notices = self.book.observe(observation, now)?;
        let mut entries = Vec::new();
        let notices = self.without_told(notices, &mut entries);
        let notices = self.without_acknowledged(notices, &mut entries);
        let mut cards = Vec::new();
        for grouped in compose(notices, &self.zones, self.link.as_deref()) {
            let decision = self.router.decide(&grouped, now);
            let ComposedCard { card, notices } = grouped;
            let lab = notices.first().and_then(|notice| notice.group.lab());
            let card = self.hand_over(&decision, lab, card);
            if decision.disposition.is_told() {
                notices.iter().for_each(|notice| self.book.tell(notice));
            }
            entries.extend(notices.into_iter().map(|notice| LogEntry {
                notice,
                card_id: card.id.clone(),
                disposition: decision.disposition,
            }));
            let Decision { disposition, webhook, .. } = decision;
            cards.push(MadeCard { card, disposition, webhook });
        }
        let rows = alert_rows(entries)?;
        Ok(Observed { cards, rows })
    }

    /// Leaves out the notices that an earlier run has told; their entries say what that did.
    fn without_told(&mut self, notices: Vec<Notice>, entries: &mut Vec<LogEntry>) -> Vec<Notice> {
        let mut new = Vec::new();
        for notice in notices {
            let Some(told) = self.told.get(&notice.id) else {
                new.push(notice);
                continue;
            };
            self.book.tell(&notice);
            let disposition = if told.held { Disposition::QuietHours } else { Disposition::Posted };
            entries.push(LogEntry { notice, card_id: told.card.clone(), disposition });
        }
        new
    }

    /// Leaves out reminders of what somebody sees to.
    fn without_acknowledged(
        &self,
        notices: Vec<Notice>,
        entries: &mut Vec<LogEntry>,
    ) -> Vec<Notice> {
        let silences = |notice: &Notice| self.acknowledged.silences(notice);
        let (silent, told): (Vec<Notice>, Vec<Notice>) = notices.into_iter().partition(silences);
        let disposition = Disposition::Acknowledged;
        entries.extend(silent.into_iter().map(|notice| {
            count(disposition.as_str());
            LogEntry { card_id: notice.id.clone(), notice, disposition }
        }));
        told
    }

    /// Whether a rule has a breach of a table that is not over.
    pub fn has_open(&self, rule: &str, table: &str) -> bool {
        self.book.has_open(rule, table)
    }

    /// Forgets the breaches of a table that is not computed any more.
    pub fn forget(&mut self, table: &str) {
        self.book.forget(table);
    }

    /// Timed work: hands over what quiet hours have held back once they are over.
    pub fn tick(&mut self) {
        self.release(self.clock.now());
    }

    /// Cards that wait for their webhooks.
    pub fn waiting(&self) -> usize {
        self.delivery.waiting()
    }

    /// Delivers what waits until nothing does or `within` has passed. What is left then, and what
    /// quiet hours hold back, stays written down for the next run.
    pub async fn drain(self, within: Duration) -> DeliveryReport {
        let deadline = Instant::now() + within;
        if let Some(following) = self.following {
            following.abort();
        }
        let mut report = self.delivery.drain(within).await;
        report.held = self.router.held();
        report.kept = match self.kept_in {
            Some((_, ledger)) => ledger.close(deadline + AFTER_DELIVERY).await,
            None => true,
        };
        if !report.kept {
            tracing::error!("what becomes of some cards could not be written down before the end");
        }
        report
    }

    fn release(&mut self, at: Timestamp) {
        for (webhook, card) in self.router.release(at) {
            self.post(&webhook, card);
        }
    }

    /// Posts, holds or shows a card; gives it back as it was written down.
    fn hand_over(&mut self, decision: &Decision, lab: Option<&str>, mut card: Card) -> Card {
        let disposition = decision.disposition.as_str();
        match (decision.disposition, &decision.webhook, decision.until) {
            (Disposition::Posted, Some(webhook), _) => {
                self.keep(webhook, lab, None, &card);
                self.post(webhook, card.clone());
            }
            (Disposition::QuietHours, Some(webhook), Some(until)) => {
                card.tells.iter_mut().for_each(|told| told.held = true);
                self.keep(webhook, lab, Some(until), &card);
                self.router.hold(webhook, lab, until, card.clone());
                count(disposition);
            }
            (Disposition::DryRun, ..) => {
                let channel =
                    decision.webhook.as_deref().map(|webhook| self.settings.channel(webhook));
                let bytes = channel.unwrap_or_default().render(&card, card::BODY_LIMIT).len();
                count(disposition);
                tracing::info!(card = %card.id, bytes, "card (dry run): {}", card.summary);
            }
            (
                Disposition::Posted
                | Disposition::TooOld
                | Disposition::Unannounced
                | Disposition::QuietHours
                | Disposition::Acknowledged
                | Disposition::Unrouted,
                ..,
            ) => {
                count(disposition);
                tracing::debug!(card = %card.id, disposition, "card not posted: {}", card.summary);
            }
        }
        card
    }

    fn keep(&self, webhook: &str, lab: Option<&str>, until: Option<Timestamp>, card: &Card) {
        if let Some((_, ledger)) = &self.kept_in {
            let (webhook, lab) = (webhook.to_owned(), lab.map(str::to_owned));
            ledger.pen().keep(&KeptCard { webhook, lab, until, card: card.clone() });
        }
    }

    fn post(&self, webhook: &str, card: Card) {
        let id = card.id.clone();
        if !self.delivery.push(webhook, card) {
            count("undelivered");
            tracing::error!(webhook, card = %id, "card has no webhook to go to");
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("turnaround_cards_total", "outcome" => outcome).increment(1);
}
