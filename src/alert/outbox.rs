//! The cards that wait for one webhook, in order. Pure.
//!
//! Invariant: cards leave in the order in which they came; the one at the front stays until the
//! webhook has taken or refused it, and those behind it wait. Full never blocks and never drops:
//! the cards whose delivery has not begun are merged, oldest first, into a digest that stands in
//! their place, newly begun and grave breaches named first.

use std::collections::VecDeque;

use super::card::{BODY_LIMIT, Card};
use super::compose::digest;
use super::format::Channel;

/// Cards that wait for one webhook, about 2 KB each. At sixty cards an hour it is far more than a
/// person would want to receive one by one.
pub const WAITING_LIMIT: usize = 500;

const DIGEST_TITLE: &str = "Several at once";

/// The cards that wait for one webhook.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<WaitingCard>,
    in_flight: bool,
}

#[derive(Debug)]
struct WaitingCard {
    card: Card,
    attempts: u32,
    limit: usize,
    shrunk: bool,
}

impl Outbox {
    /// Puts a card behind the others. Gives how many cards were merged to make room.
    pub fn push(&mut self, card: Card) -> usize {
        let merged = if self.waiting.len() >= WAITING_LIMIT { self.merge_waiting() } else { 0 };
        self.waiting.push_back(WaitingCard::new(card));
        merged
    }

    /// Cards that wait, the one in flight included.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no card waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Begins an attempt at the front card: its JSON.
    pub fn begin(&mut self, channel: Channel) -> Option<String> {
        let front = self.waiting.front_mut()?;
        self.in_flight = true;
        front.attempts += 1;
        Some(channel.render(&front.card, front.limit))
    }

    /// The front card's attempts so far, the one in flight included.
    pub fn attempts(&self) -> u32 {
        self.waiting.front().map_or(0, |front| front.attempts)
    }

    /// The front card has been taken, or refused for good.
    pub fn finish(&mut self) -> Option<Card> {
        self.in_flight = false;
        self.waiting.pop_front().map(|front| front.card)
    }

    /// The front card is to be tried again.
    pub fn retry(&mut self) {
        self.in_flight = false;
    }

    /// The front card was too large at `len` bytes: true when it will be half as long at the next
    /// attempt, false when it has been shrunk before.
    pub fn shrink(&mut self, len: usize) -> bool {
        self.in_flight = false;
        let Some(front) = self.waiting.front_mut().filter(|front| !front.shrunk) else {
            return false;
        };
        front.shrunk = true;
        front.limit = len.min(BODY_LIMIT) / 2;
        true
    }

    /// Merges all cards whose delivery is not under way into one digest. Gives how many.
    pub fn merge_waiting(&mut self) -> usize {
        let first = usize::from(self.in_flight);
        if self.waiting.len() < first + 2 {
            return 0;
        }
        let attempts = if first == 0 { self.attempts() } else { 0 };
        let cards: Vec<Card> = self.waiting.drain(first..).map(|one| one.card).collect();
        let merged = cards.len();
        let digest = digest(cards, DIGEST_TITLE).map(WaitingCard::new);
        self.waiting.extend(digest.map(|one| WaitingCard { attempts, ..one }));
        merged
    }

    /// The headlines of the cards that wait.
    pub fn titles(&self) -> Vec<String> {
        self.waiting.iter().map(|one| format!("{} [{}]", one.card.title, one.card.id)).collect()
    }
}

impl WaitingCard {
    fn new(card: Card) -> WaitingCard {
        WaitingCard { card, attempts: 0, limit: BODY_LIMIT, shrunk: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::samples::numbered;

    #[test]
    fn full_merges_what_has_not_begun_and_keeps_the_order() {
        let mut outbox = Outbox::default();
        outbox.push(numbered(0));
        assert!(outbox.begin(Channel::Teams).is_some());
        let mut merged = 0;
        for number in 1..=WAITING_LIMIT {
            merged += outbox.push(numbered(number));
        }
        assert_eq!(merged, WAITING_LIMIT - 1);
        let titles: Vec<String> =
            std::iter::from_fn(|| outbox.finish()).map(|card| card.title).collect();
        assert_eq!(
            titles,
            [
                "card 0".to_owned(),
                format!("Several at once: {} alerts", WAITING_LIMIT - 1),
                format!("card {WAITING_LIMIT}"),
            ]
        );
    }

    #[test]
    fn a_card_shrinks_once() {
        let mut outbox = Outbox::default();
        outbox.push(numbered(0));
        assert!(outbox.shrink(18_000));
        assert!(!outbox.shrink(9_000));
    }

    #[test]
    fn one_waiting_card_is_not_merged() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.merge_waiting(), 0);
        outbox.push(numbered(0));
        assert_eq!(outbox.merge_waiting(), 0);
        assert_eq!(outbox.titles(), [format!("card 0 [{}]", numbered(0).id)]);
    }
}
