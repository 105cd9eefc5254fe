//! Breaches into Microsoft Teams cards.
//!
//! ```text
//! judged rows ─ book ─ notices ─ compose ─ cards ─ route ─ outbox ─ delivery ── webhook
//!                         └──────────────────────────┴── log: the rows of alerts/
//! ```
//!
//! [`AlertSink`] moves the values. Everything up to the outbox is pure and follows event time; the
//! clock decides only what is too old to be posted, and delivery. It keeps no state beyond the
//! process: what has been posted is recognised by a card's stable id, not suppressed.

pub mod answer;
pub mod book;
mod breach;
pub mod card;
pub mod compose;
pub mod delivery;
pub mod log;
pub mod notice;
pub mod outbox;
pub mod pace;
pub mod reading;
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::flow::Timestamp;

use book::{AlertBook, Observation, ObserveError};
use card::{Card, CardForm};
use compose::{Grouped, compose};
use delivery::{Delivery, DeliveryReport};
use log::{Disposition, LogEntry, alert_rows};
use pace::Tempo;
use route::Router;
use rule::AlertSettings;
use webhook::{Poster, Reach, Webhook, WebhookError};
use zones::Zones;

/// What the sink needs from the configuration and the environment.
#[derive(Clone, Debug)]
pub struct AlertSetup {
    /// `alerts:` of `turnaround.yaml`.
    pub settings: AlertSettings,
    /// The URLs that are set, by the variable that holds them. Routes whose variable is absent
    /// here are in dry run.
    pub webhooks: BTreeMap<String, SecretString>,
    /// The laboratories' zones.
    pub zones: Zones,
    /// Which addresses may be reached.
    pub reach: Reach,
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
    zones: Zones,
    link: Option<String>,
    form: CardForm,
    delivery: Delivery,
    clock: Arc<dyn Clock>,
}

impl AlertSink {
    /// Checks the webhooks and starts their delivery on the current runtime. Without webhooks, or
    /// in dry run, there is nothing to start and no connection is ever made.
    pub fn start(setup: AlertSetup, clock: Arc<dyn Clock>) -> Result<AlertSink, WebhookError> {
        let AlertSetup { settings, webhooks, zones, reach, tempo } = setup;
        let webhooks = if settings.dry_run { BTreeMap::new() } else { webhooks };
        let checked = webhooks
            .iter()
            .map(|(name, url)| Webhook::new(name, url, reach))
            .collect::<Result<Vec<_>, _>>()?;
        let form =
            if settings.legacy_message_card { CardForm::MessageCard } else { CardForm::Adaptive };
        let delivery = if checked.is_empty() {
            Delivery::none()
        } else {
            let poster = Poster::new(form, reach, tempo.timeout)?;
            Delivery::start(checked, &poster, tempo, &clock)
        };
        let set: BTreeSet<String> = webhooks.into_keys().collect();
        Ok(AlertSink {
            book: AlertBook::new(&settings),
            router: Router::new(&settings, set, zones.clone()),
            zones,
            link: settings.link,
            form,
            delivery,
            clock,
        })
    }

    /// Judges one window by one rule: cards are handed to the outbox, or shown in dry run.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Result<Observed, ObserveError> {
        let now = self.clock.now();
        self.release(observation.window.end.max(now));
        let notices = self.book.observe(observation, now)?;
        let mut cards = Vec::new();
        let mut entries = Vec::new();
        for grouped in compose(notices, &self.zones, self.link.as_deref()) {
            let decision = self.router.decide(&grouped);
            let Grouped { card, notices } = grouped;
            let made =
                MadeCard { card, disposition: decision.disposition, webhook: decision.webhook };
            self.hand_over(&made);
            entries.extend(notices.into_iter().map(|notice| LogEntry {
                notice,
                card_id: made.card.id.clone(),
                disposition: made.disposition,
            }));
            cards.push(made);
        }
        let rows = alert_rows(entries)?;
        Ok(Observed { cards, rows })
    }

    /// Timed work: hands over what quiet hours have held back once they are over.
    pub fn tick(&mut self) {
        self.release(self.clock.now());
    }

    /// Cards that wait for their webhooks.
    pub fn waiting(&self) -> usize {
        self.delivery.waiting()
    }

    /// Delivers what waits until nothing does or `within` has passed.
    pub async fn drain(self, within: Duration) -> DeliveryReport {
        self.delivery.drain(within).await
    }

    fn release(&mut self, at: Timestamp) {
        for (webhook, card) in self.router.release(at) {
            self.post(&webhook, card);
        }
    }

    fn hand_over(&self, made: &MadeCard) {
        let card = &made.card;
        let disposition = made.disposition.as_str();
        match (made.disposition, &made.webhook) {
            (Disposition::Posted, Some(webhook)) => self.post(webhook, card.clone()),
            (Disposition::DryRun, _) => {
                let bytes = card.render(self.form, card::BODY_LIMIT).len();
                count(disposition);
                tracing::info!(card = %card.id, bytes, "card (dry run): {}", card.summary);
            }
            (
                Disposition::Posted
                | Disposition::TooOld
                | Disposition::Unannounced
                | Disposition::QuietHours
                | Disposition::Unrouted,
                _,
            ) => {
                count(disposition);
                tracing::debug!(card = %card.id, disposition, "card not posted: {}", card.summary);
            }
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
