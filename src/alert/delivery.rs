//! Delivers the outboxes: one task per webhook, at least once, in order.
//!
//! The pipeline hands cards over without waiting. A task posts the front card, judges the answer,
//! and tries again or goes on; while it tries again those behind wait. After every
//! [`ATTEMPTS_BEFORE_MERGE`] failed attempts what waits is merged into a digest, so that the end of
//! an outage brings one card and not a flood, and a card that its webhook cannot digest does not
//! stand in the way for ever. Nothing is given up but what a webhook refuses, until [`drain`]'s
//! deadline.
//!
//! Outboxes live in memory; what is in them stands in the ledger too, which is told of every card that
//! is taken or refused.
//!
//! [`drain`]: Delivery::drain

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;

use super::answer::{AttemptVerdict, wait_asked};
use super::card::Card;
use super::ledger::Pen;
use super::outbox::Outbox;
use super::pace::{PostPace, Tempo};
use super::webhook::{Poster, Webhook};

/// Failed attempts after which what waits is merged.
const ATTEMPTS_BEFORE_MERGE: u32 = 10;

/// What became of the cards that were handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Cards that a webhook has taken; a digest counts once.
    pub delivered: u64,
    /// Cards that a webhook refused for good.
    pub refused: u64,
    /// Attempts that were repeated.
    pub retries: u64,
    /// Cards that were told in a digest.
    pub merged: u64,
    /// The headlines of the cards that had not been taken at the deadline.
    pub undelivered: Vec<String>,
    /// Cards that quiet hours hold back.
    pub held: usize,
    /// Whether what was not taken or is held back is written down for the next run.
    pub kept: bool,
}

/// The tasks that deliver, one per webhook.
#[derive(Debug)]
pub struct CardDelivery {
    lanes: BTreeMap<String, (Arc<WebhookLane>, JoinHandle<()>)>,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Running,
    Draining { deadline: Instant },
}

/// One webhook with the cards that wait for it.
#[derive(Debug)]
struct WebhookLane {
    webhook: Webhook,
    state: Mutex<LaneState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct LaneState {
    outbox: Outbox,
    report: DeliveryReport,
}

impl CardDelivery {
    /// Delivery to no webhook at all.
    pub fn none() -> CardDelivery {
        CardDelivery { lanes: BTreeMap::new(), phase: watch::channel(Phase::Running).0 }
    }

    /// Starts a task per webhook on the current runtime.
    pub fn start(
        webhooks: Vec<Webhook>,
        poster: &Poster,
        tempo: Tempo,
        clock: &Arc<dyn Clock>,
        pen: Option<&Pen>,
    ) -> CardDelivery {
        let (phase, _) = watch::channel(Phase::Running);
        let mut lanes = BTreeMap::new();
        for webhook in webhooks {
            let name = webhook.name().to_owned();
            let lane =
                Arc::new(WebhookLane { webhook, state: Mutex::default(), wake: Notify::new() });
            let courier = Courier {
                lane: Arc::clone(&lane),
                poster: poster.clone(),
                clock: Arc::clone(clock),
                tempo,
                pace: PostPace::default(),
                hold_until: Instant::now(),
                phase: phase.subscribe(),
                pen: pen.cloned(),
            };
            lanes.insert(name, (lane, tokio::spawn(courier.run())));
        }
        CardDelivery { lanes, phase }
    }

    /// Hands a card over; never waits. False when there is no such webhook.
    pub fn push(&self, webhook: &str, card: Card) -> bool {
        let Some((lane, _)) = self.lanes.get(webhook) else { return false };
        let merged = {
            let mut state = lane.state();
            let merged = state.outbox.push(card);
            state.report.merged += count(merged);
            merged
        };
        told_in_digest(merged, webhook);
        lane.wake.notify_one();
        true
    }

    /// Cards that wait, over all webhooks.
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|(lane, _)| lane.state().outbox.len()).sum()
    }

    /// Delivers what waits until nothing does or `within` has passed, then ends the tasks.
    pub async fn drain(self, within: Duration) -> DeliveryReport {
        let deadline = Instant::now() + within;
        self.phase.send_replace(Phase::Draining { deadline });
        let mut report = DeliveryReport::default();
        for (lane, mut task) in self.lanes.into_values() {
            match timeout_at(deadline, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(webhook = lane.webhook.name(), %error, "card delivery broke");
                }
                Err(_) => task.abort(),
            }
            let state = lane.state();
            let lane_report = &state.report;
            report.delivered += lane_report.delivered;
            report.refused += lane_report.refused;
            report.retries += lane_report.retries;
            report.merged += lane_report.merged;
            report.undelivered.extend(state.outbox.titles());
        }
        let left = report.undelivered.len();
        if left > 0 {
            metrics::counter!("turnaround_cards_total", "outcome" => "undelivered")
                .increment(count(left));
            tracing::error!(cards = left, "cards were not delivered before the end");
        }
        report
    }
}

impl WebhookLane {
    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn merge_waiting(&self) {
        let merged = {
            let mut state = self.state();
            let merged = state.outbox.merge_waiting();
            state.report.merged += count(merged);
            merged
        };
        told_in_digest(merged, self.webhook.name());
    }
}

/// The task of one webhook.
struct Courier {
    lane: Arc<WebhookLane>,
    poster: Poster,
    clock: Arc<dyn Clock>,
    tempo: Tempo,
    pace: PostPace,
    hold_until: Instant,
    phase: watch::Receiver<Phase>,
    pen: Option<Pen>,
}

impl Courier {
    async fn run(mut self) {
        while self.await_card().await {
            if !self.await_turn().await {
                return;
            }
            self.merge_if_pressed();
            let Some(body) = self.lane.state().outbox.begin(self.lane.webhook.channel()) else {
                continue;
            };
            let len = body.len();
            self.pace.record(Instant::now(), &self.tempo);
            let reply = self.poster.post(&self.lane.webhook, body).await;
            match reply.verdict {
                AttemptVerdict::Taken => self.taken(&reply.said),
                AttemptVerdict::Again { after } => self.again(after.as_deref(), &reply.said),
                AttemptVerdict::TooLarge => self.too_large(len, &reply.said),
                AttemptVerdict::Refused => self.refused(&reply.said),
            }
        }
    }

    /// Waits for a card. False when none waits and none will come.
    async fn await_card(&mut self) -> bool {
        loop {
            if !self.lane.state().outbox.is_empty() {
                return true;
            }
            match self.phase() {
                Phase::Draining { .. } => return false,
                Phase::Running => {}
            }
            tokio::select! {
                () = self.lane.wake.notified() => {}
                changed = self.phase.changed() => if changed.is_err() { return false },
            }
        }
    }

    /// Waits until the next attempt may begin. False when that is after the deadline.
    async fn await_turn(&mut self) -> bool {
        loop {
            let now = Instant::now();
            match self.phase() {
                Phase::Draining { deadline } => {
                    let turn = self.pace.turn(now, &self.tempo, true).max(self.hold_until);
                    if turn > deadline {
                        return false;
                    }
                    sleep_until(turn).await;
                    return true;
                }
                Phase::Running => {
                    let turn = self.pace.turn(now, &self.tempo, false).max(self.hold_until);
                    tokio::select! {
                        () = sleep_until(turn) => return true,
                        changed = self.phase.changed() => if changed.is_err() { return false },
                    }
                }
            }
        }
    }

    /// Merges what waits when it cannot be told one by one: the faster pace is used up, the front
    /// card has failed often, or the deadline is near.
    fn merge_if_pressed(&self) {
        let now = Instant::now();
        let (waiting, attempts) = {
            let state = self.lane.state();
            (state.outbox.len(), state.outbox.attempts())
        };
        let failed_often = attempts > 0 && attempts.is_multiple_of(ATTEMPTS_BEFORE_MERGE);
        let pressed = match self.phase() {
            Phase::Running => self.pace.is_slow(now, &self.tempo),
            Phase::Draining { deadline } => {
                let cards = u32::try_from(waiting).unwrap_or(u32::MAX);
                let needed = self.tempo.gap.saturating_mul(cards).saturating_mul(2);
                now + needed > deadline || self.pace.is_slow(now, &self.tempo)
            }
        };
        if failed_often || pressed {
            self.lane.merge_waiting();
        }
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn taken(&self, said: &str) {
        let card = {
            let mut state = self.lane.state();
            state.report.delivered += 1;
            state.outbox.finish()
        };
        outcome("delivered");
        if let Some(card) = card {
            self.pen.iter().for_each(|pen| pen.taken(&card));
            let webhook = self.lane.webhook.name();
            tracing::info!(webhook, card = %card.id, title = card.title, said, "card delivered");
        }
    }

    fn again(&mut self, after: Option<&str>, said: &str) {
        let attempts = {
            let mut state = self.lane.state();
            state.report.retries += 1;
            state.outbox.retry();
            state.outbox.attempts()
        };
        metrics::counter!("turnaround_card_retries_total").increment(1);
        let asked = after.and_then(|text| wait_asked(text, self.clock.now()));
        let wait = match asked {
            Some(asked) => asked.min(self.tempo.longest_asked),
            None => self.tempo.backoff_after(attempts),
        };
        self.hold_until = Instant::now() + wait;
        let (webhook, wait_ms) = (self.lane.webhook.name(), wait.as_millis());
        if attempts.is_multiple_of(ATTEMPTS_BEFORE_MERGE) {
            tracing::error!(
                webhook,
                attempts,
                wait_ms,
                said,
                "card still not taken, it will be tried again; check the webhook with `turnaround \
                 test-alert`"
            );
        } else {
            tracing::warn!(
                webhook,
                attempts,
                wait_ms,
                said,
                "card not taken, it will be tried again"
            );
        }
    }

    fn too_large(&self, len: usize, said: &str) {
        let shrunk = self.lane.state().outbox.shrink(len);
        if shrunk {
            metrics::counter!("turnaround_card_retries_total").increment(1);
            let webhook = self.lane.webhook.name();
            tracing::warn!(webhook, bytes = len, said, "card too large, it will be shortened");
        } else {
            self.refused(said);
        }
    }

    fn refused(&self, said: &str) {
        let card = {
            let mut state = self.lane.state();
            state.report.refused += 1;
            state.outbox.finish()
        };
        outcome("refused");
        if let Some(card) = card {
            self.pen.iter().for_each(|pen| pen.refused(&card));
            let webhook = self.lane.webhook.name();
            tracing::error!(
                webhook,
                card = %card.id,
                title = card.title,
                said,
                "card refused; check the webhook with `turnaround test-alert`"
            );
        }
    }
}

fn told_in_digest(merged: usize, webhook: &str) {
    if merged > 0 {
        metrics::counter!("turnaround_cards_total", "outcome" => "merged").increment(count(merged));
        tracing::info!(webhook, cards = merged, "cards merged into a digest");
    }
}

fn outcome(outcome: &'static str) {
    metrics::counter!("turnaround_cards_total", "outcome" => outcome).increment(1);
}

fn count(cards: usize) -> u64 {
    u64::try_from(cards).unwrap_or(u64::MAX)
}
