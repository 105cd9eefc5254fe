//! Microsoft Teams: the forms of its cards, and what its answers mean.
//!
//! 202 means queued by the flow, not shown in the channel: nothing more is ever heard of it. The
//! retired connectors answer 200 to everything and say in the body what went wrong, so the body
//! is read even then.

use serde_json::{Value, json};

use super::answer::{Answer, AttemptVerdict, by_status};
use super::card::{Card, CardKind, Shown};
use super::rule::Severity;

/// How the retired connectors tell of an error under status 200.
const HIDDEN_ERROR: &str = "returned HTTP error ";
/// What they say when they have taken a card.
const MESSAGE_CARD_TAKEN: &str = "1";

/// An Adaptive Card 1.4 in the envelope of Workflows.
pub(super) fn adaptive_card(shown: &Shown<'_>) -> Value {
    let card = shown.card;
    let (title, summary, id) = shown.heading();
    let mut body = vec![json!({
        "type": "TextBlock", "text": title, "weight": "Bolder",
        "size": "Medium", "wrap": true, "style": "heading", "color": CardTone::of(card).word(),
    })];
    let facts: Vec<Value> =
        shown.facts().map(|(title, value)| json!({ "title": title, "value": value })).collect();
    if !facts.is_empty() {
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    body.extend(shown.items().map(|text| {
        json!({ "type": "TextBlock", "text": format!("• {text}"), "wrap": true,
                    "spacing": "Small" })
    }));
    body.extend(shown.more().map(
        |text| json!({ "type": "TextBlock", "text": text, "isSubtle": true, "spacing": "Small" }),
    ));
    body.push(json!({
        "type": "TextBlock", "text": id, "isSubtle": true,
        "size": "Small", "spacing": "Medium",
    }));
    let actions: Vec<Value> = shown
        .buttons()
        .map(|(name, url)| json!({ "type": "Action.OpenUrl", "title": name, "url": url }))
        .collect();
    json!({
        "type": "message",
        "summary": summary,
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "full" },
                "body": body,
                "actions": actions,
            },
        }],
    })
}

/// The retired connectors' form.
pub(super) fn message_card(shown: &Shown<'_>) -> Value {
    let card = shown.card;
    let (title, summary, id) = shown.heading();
    let facts: Vec<Value> =
        shown.facts().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut lines: Vec<String> = shown.items().map(|text| format!("- {text}")).collect();
    lines.extend(shown.more());
    lines.push(id);
    let actions: Vec<Value> = shown
        .buttons()
        .map(|(name, url)| {
            json!({ "@type": "OpenUri", "name": name,
                        "targets": [{ "os": "default", "uri": url }] })
        })
        .collect();
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "summary": summary,
        "themeColor": CardTone::of(card).code(),
        "title": title,
        "sections": [{ "facts": facts, "text": lines.join("\n\n"), "markdown": true }],
        "potentialAction": actions,
    })
}

/// What an answer to an Adaptive Card means.
pub(super) fn judge(answer: &Answer) -> AttemptVerdict {
    let hidden = (answer.status < 300).then(|| hidden_status(&answer.body)).flatten();
    by_status(hidden.unwrap_or(answer.status), answer)
}

/// What an answer to a MessageCard means.
pub(super) fn judge_message_card(answer: &Answer) -> AttemptVerdict {
    match judge(answer) {
        AttemptVerdict::Taken if answer.status == 202 => AttemptVerdict::Taken,
        AttemptVerdict::Taken if answer.body.trim() != MESSAGE_CARD_TAKEN => {
            AttemptVerdict::Refused
        }
        verdict => verdict,
    }
}

/// The status in `… returned HTTP error 429 …`.
fn hidden_status(body: &str) -> Option<u16> {
    let (_, rest) = body.split_once(HIDDEN_ERROR)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What a card's colour says.
#[derive(Clone, Copy)]
enum CardTone {
    Good,
    Accent,
    Warning,
    Attention,
}

impl CardTone {
    fn of(card: &Card) -> CardTone {
        match (card.kind, card.severity) {
            (CardKind::End, _) => CardTone::Good,
            (CardKind::Test, _) => CardTone::Accent,
            (CardKind::Begin | CardKind::Reminder | CardKind::Digest, severity) => match severity {
                Severity::High => CardTone::Attention,
                Severity::Medium => CardTone::Warning,
                Severity::Low => CardTone::Accent,
            },
        }
    }

    /// The name of Adaptive Cards.
    fn word(self) -> &'static str {
        match self {
            CardTone::Good => "Good",
            CardTone::Accent => "Accent",
            CardTone::Warning => "Warning",
            CardTone::Attention => "Attention",
        }
    }

    /// Red, green and blue in hexadecimal.
    fn code(self) -> &'static str {
        match self {
            CardTone::Good => "2EB886",
            CardTone::Accent => "0078D4",
            CardTone::Warning => "F2A100",
            CardTone::Attention => "D13438",
        }
    }
}
