//! A card: what is said of breaches, whatever channel it is said on.
//!
//! Invariant: its JSON is at most `limit` bytes. Items, then facts, are left out from the end and
//! counted as "+N more"; what remains then (title, id, buttons) is bounded by the limits below.
//! Values from the data are shown as text: they cannot make a link.

use serde::{Deserialize, Serialize};

use crate::flow::Timestamp;

use super::notice::Id;
use super::rule::Severity;

/// Teams takes about 28 KB, some tenants 413 at 21 KB.
pub const BODY_LIMIT: usize = 20_000;

const TITLE_CHARS: usize = 150;
const TEXT_CHARS: usize = 300;
/// An address that is longer than this gets no button.
const ADDRESS_BYTES: usize = 1_000;

/// What a card is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CardKind {
    /// A breach began.
    Begin,
    /// A breach goes on.
    Reminder,
    /// A breach ended.
    End,
    /// Several cards that are told in one.
    Digest,
    /// A trial of the webhook.
    Test,
}

/// One line of facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub title: String,
    /// Its value.
    pub value: String,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardItem {
    /// The lower, the earlier it is named when a digest cannot name all.
    pub rank: u8,
    /// The line.
    pub text: String,
}

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Stable: the same card made twice has the same id.
    pub id: Id,
    /// What it is about.
    pub kind: CardKind,
    /// The gravest severity within.
    pub severity: Severity,
    /// The headline.
    pub title: String,
    /// The notification's text, and the card's line in a digest.
    pub summary: String,
    /// Facts, the important ones first.
    pub facts: Vec<Fact>,
    /// List lines, the important ones first.
    pub items: Vec<CardItem>,
    /// Further lines that are not named.
    pub more: usize,
    /// Buttons: name and address.
    pub buttons: Vec<(String, String)>,
    /// The event time of what it tells, of the latest where it tells several.
    pub at: Timestamp,
    /// The notices that it tells.
    pub tells: Vec<ToldNotice>,
}

/// A notice that a card tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldNotice {
    /// The notice.
    pub notice: Id,
    /// The breach that it is about, by the notice with which it began.
    pub breach: Id,
    /// The card that was made of it, which may have been told in another.
    pub card: Id,
    /// Whether quiet hours have held it back.
    pub held: bool,
}

/// As much of a card as is shown.
pub(super) struct Shown<'a> {
    pub(super) card: &'a Card,
    facts: usize,
    items: usize,
}

impl Card {
    /// As much of the card as `text` says in at most `limit` bytes (see the module's invariant).
    pub(super) fn fit(&self, limit: usize, text: impl Fn(&Shown<'_>) -> String) -> String {
        let text = |facts, items| text(&Shown { card: self, facts, items });
        let items = largest(self.items.len(), |items| text(self.facts.len(), items).len() <= limit);
        let facts = match items {
            0 => largest(self.facts.len(), |facts| text(facts, 0).len() <= limit),
            _ => self.facts.len(),
        };
        text(facts, items)
    }
}

impl Shown<'_> {
    /// The headline, the notification's text, and the id for people.
    pub(super) fn heading(&self) -> (String, String, String) {
        let Card { title, summary, id, .. } = self.card;
        (shown(title, TITLE_CHARS), shown(summary, TEXT_CHARS), format!("Card {}", id.short()))
    }

    /// How many facts and items are left out.
    pub(super) fn hidden(&self) -> usize {
        self.card.more + (self.card.items.len() - self.items) + (self.card.facts.len() - self.facts)
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = (String, String)> {
        let facts = self.card.facts.iter().take(self.facts);
        facts.map(|fact| (shown(&fact.title, TITLE_CHARS), shown(&fact.value, TEXT_CHARS)))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = String> {
        self.card.items.iter().take(self.items).map(|item| shown(&item.text, TEXT_CHARS))
    }

    /// `+N more`, when something is left out.
    pub(super) fn more(&self) -> Option<String> {
        let hidden = self.hidden();
        (hidden > 0).then(|| format!("+{hidden} more"))
    }

    pub(super) fn buttons(&self) -> impl Iterator<Item = &(String, String)> {
        self.card.buttons.iter().filter(|(_, address)| address.len() <= ADDRESS_BYTES)
    }
}

/// The largest count up to `most` for which `fits` holds, given that it holds for all below it.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    if fits(most) {
        return most;
    }
    let (mut low, mut high) = (0, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

/// Text as a card shows it: one line, at most so many characters, no Markdown link.
fn shown(text: &str, most: usize) -> String {
    let one_line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    let plain = one_line.replace("](", "] (");
    match plain.char_indices().nth(most) {
        None => plain,
        Some(_) => plain.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::alert::compose::{compose, test_card};
    use crate::alert::format::Channel;
    use crate::alert::notice::NoticeKind::{Begin, End};
    use crate::alert::samples::{at, notice, numbered, zones};

    fn parsed(card: &Card, form: Channel) -> Value {
        serde_json::from_str(&form.render(card, BODY_LIMIT)).unwrap()
    }

    fn one_breach() -> Card {
        let notice = notice(Begin, [Some("LAB-1"), Some("K"), Some("S")], 92.5);
        let link = Some("https://bi.example/tat");
        compose(vec![notice], &zones(), link).remove(0).card
    }

    #[test]
    fn an_adaptive_card_of_one_breach() {
        insta::assert_json_snapshot!(parsed(&one_breach(), Channel::Teams));
    }

    #[test]
    fn a_message_card_of_one_breach() {
        insta::assert_json_snapshot!(parsed(&one_breach(), Channel::MessageCard));
    }

    #[test]
    fn an_adaptive_card_of_an_end_without_rows() {
        let mut notice = notice(End, [Some("LAB-2"), None, Some("R")], 0.0);
        notice.reading = None;
        let card = compose(vec![notice], &zones(), None).remove(0).card;
        insta::assert_json_snapshot!(parsed(&card, Channel::Teams));
    }

    #[test]
    fn an_adaptive_card_of_twelve_groups() {
        let priorities: Vec<String> = (0..12).map(|n| format!("P{n:02}")).collect();
        let notices = priorities
            .iter()
            .zip([61.0, 72.0, 63.0, 64.0, 65.0, 66.0, 67.0, 68.0, 69.0, 70.0, 71.0, 62.0])
            .map(|(priority, p90)| {
                notice(Begin, [Some("LAB-1"), Some("K"), Some(priority.as_str())], p90)
            })
            .collect();
        let mut cards = compose(notices, &zones(), None);
        assert_eq!(cards.len(), 1);
        insta::assert_json_snapshot!(parsed(&cards.remove(0).card, Channel::Teams));
    }

    #[test]
    fn a_test_card() {
        let card = test_card(at(0), None);
        insta::assert_json_snapshot!(parsed(&card, Channel::Teams));
    }

    /// What a card shows, by reading its JSON: how many items and facts, and N of "+N more".
    fn counts(json: &str) -> (usize, usize, usize) {
        let value: Value = serde_json::from_str(json).unwrap();
        let body = value["attachments"][0]["content"]["body"].as_array().unwrap().clone();
        let texts: Vec<&str> = body.iter().filter_map(|block| block["text"].as_str()).collect();
        let items = texts.iter().filter(|text| text.starts_with("• ")).count();
        let facts = body.iter().filter_map(|block| block["facts"].as_array()).map(Vec::len).sum();
        let more = texts.iter().find_map(|text| text.strip_prefix('+')?.strip_suffix(" more"));
        (items, facts, more.map_or(0, |number| number.parse().unwrap()))
    }

    #[test]
    fn thousands_of_items_stay_under_the_cap_and_are_counted() {
        let text = "LAB-1 · K · S: p90 92.5 min".to_owned();
        let items = vec![CardItem { rank: 0, text }; 5_000];
        let card = Card { items, more: 7, ..numbered(1) };
        let json = Channel::Teams.render(&card, BODY_LIMIT);
        let (items, _, more) = counts(&json);
        assert!(json.len() <= BODY_LIMIT, "{}", json.len());
        assert!(json.len() > BODY_LIMIT - 200, "{} of the cap used", json.len());
        assert_eq!(items + more, 5_007);
        let legacy = Channel::MessageCard.render(&card, BODY_LIMIT);
        assert!(legacy.len() <= BODY_LIMIT);
    }

    #[test]
    fn characters_of_four_bytes_and_of_six_escaped_ones_stay_under_the_cap() {
        for filler in ["🧪", "\u{1}", "\"", "\u{10ffff}"] {
            let long = filler.repeat(4_000);
            let facts = vec![Fact { title: long.clone(), value: long.clone() }; 300];
            let items = vec![CardItem { rank: 0, text: long.clone() }; 3_000];
            let card = Card { title: long.clone(), summary: long, facts, items, ..numbered(1) };
            for form in [Channel::Teams, Channel::MessageCard, Channel::Slack, Channel::Json] {
                for limit in [BODY_LIMIT, BODY_LIMIT / 2] {
                    let json = form.render(&card, limit);
                    assert!(json.len() <= limit, "{filler:?} {form:?}: {}", json.len());
                    let value: Value = serde_json::from_str(&json).unwrap();
                    assert!(value.is_object());
                }
            }
            let (items, facts, more) = counts(&Channel::Teams.render(&card, BODY_LIMIT));
            assert_eq!(items + facts + more, 3_300);
        }
    }

    #[test]
    fn values_cannot_make_links_or_lines() {
        let item = CardItem { rank: 0, text: "[click](https://evil.example)\nnext".to_owned() };
        let card = Card { items: vec![item], ..numbered(1) };
        let json = Channel::Teams.render(&card, BODY_LIMIT);
        assert!(!json.contains("]("));
        assert!(!json.contains("\\n"));
        let said = json.split("\"text\":").filter_map(|rest| rest.split('"').nth(1));
        let said: Vec<&str> = said.filter(|text| text.contains("click")).collect();
        assert_eq!(said.len(), 1, "{json}");
        // What is taken away is a mark of links, not a word.
        for word in ["click", "https://evil.example", "next"] {
            assert!(said[0].contains(word), "{said:?}");
        }
    }
}
