//! Plain JSON, for whatever reads it: `text` as chat systems want it, and the card's parts beside it.

use serde_json::{Value, json};

use super::card::{CardKind, Shown};
use super::compose::severity_word;

pub(super) fn message(shown: &Shown<'_>) -> Value {
    let card = shown.card;
    let (title, text, _) = shown.heading();
    let facts = shown.facts().map(|(title, value)| json!({ "title": title, "value": value }));
    let links = shown.buttons().map(|(title, url)| json!({ "title": title, "url": url }));
    json!({
        "text": text,
        "id": card.id.as_str(),
        "kind": kind_word(card.kind),
        "severity": severity_word(card.severity),
        "title": title,
        "at": card.at.to_rfc3339(),
        "facts": facts.collect::<Vec<Value>>(),
        "items": shown.items().collect::<Vec<String>>(),
        "more": shown.hidden(),
        "links": links.collect::<Vec<Value>>(),
    })
}

fn kind_word(kind: CardKind) -> &'static str {
    match kind {
        CardKind::Begin => "begin",
        CardKind::Reminder => "reminder",
        CardKind::End => "end",
        CardKind::Digest => "digest",
        CardKind::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::super::card::BODY_LIMIT;
    use super::super::compose::compose;
    use super::super::format::Channel;
    use super::super::notice::NoticeKind::{Begin, End};
    use super::super::samples::{notice, zones};
    use super::*;

    #[test]
    fn a_message_of_one_breach_and_of_several() {
        let of =
            |kind, priority, p90| notice(kind, [Some("LAB-1"), Some("K"), Some(priority)], p90);
        let notices = vec![of(Begin, "S", 92.5), of(End, "R", 10.0), of(End, "A", 12.0)];
        let link = Some("https://bi.example/tat");
        let cards = compose(notices, &zones(), link);
        let texts = cards.iter().map(|one| Channel::Json.render(&one.card, BODY_LIMIT));
        let messages: Vec<Value> = texts.map(|text| serde_json::from_str(&text).unwrap()).collect();
        insta::assert_json_snapshot!(messages);
    }
}
