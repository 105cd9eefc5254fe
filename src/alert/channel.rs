//! The channels that cards go to: the form of a card's JSON, and what an answer means. Everything else,
//! rules, routes, outboxes, delivery, knows nothing of them. A channel is a file or folder beside this one
//! and a line in each function here.

use super::answer::{Answer, AttemptVerdict, by_status};
use super::card::{Card, Shown};
use super::format::Channel;
use super::{json, slack, teams};

impl Channel {
    /// A card's JSON, of at most `limit` bytes.
    pub fn render(self, card: &Card, limit: usize) -> String {
        card.fit(limit, |shown| self.text(shown))
    }

    fn text(self, shown: &Shown<'_>) -> String {
        let json = match self {
            Channel::Teams => teams::adaptive_card(shown),
            Channel::MessageCard => teams::message_card(shown),
            Channel::Slack => slack::message(shown),
            Channel::Json => json::message(shown),
        };
        json.to_string()
    }

    /// What an answer means.
    pub fn judge(self, answer: &Answer) -> AttemptVerdict {
        match self {
            Channel::Teams => teams::judge(answer),
            Channel::MessageCard => teams::judge_message_card(answer),
            Channel::Slack | Channel::Json => by_status(answer.status, answer),
        }
    }
}
