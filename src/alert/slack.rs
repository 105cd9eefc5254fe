//! Slack's incoming webhooks: a message of Block Kit. Mattermost's take it too.
//!
//! Slack takes headers of 150 characters, sections of 3,000 and ten fields in each; `&`, `<` and `>` are
//! what its markup is made of, and are escaped in values from the data.

use serde_json::{Value, json};

use super::card::Shown;

/// Characters of a section's text.
const SECTION_CHARS: usize = 2_900;
const FIELDS: usize = 10;
/// Characters of a fact's title: escaped, a field stays below 2,000.
const TITLE_CHARS: usize = 60;

pub(super) fn message(shown: &Shown<'_>) -> Value {
    let (title, summary, id) = shown.heading();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&title) })];
    let fields: Vec<Value> = shown.facts().map(|(title, value)| field(&title, &value)).collect();
    blocks.extend(fields.chunks(FIELDS).map(|some| json!({ "type": "section", "fields": some })));
    let lines = shown.items().map(|text| format!("• {}", escaped(&text)));
    let more = shown.more();
    let texts = sections(lines.chain(more)).into_iter();
    blocks.extend(texts.map(|text| json!({ "type": "section", "text": markup(&text) })));
    let links = shown.buttons().map(|(name, url)| format!("<{}|{}>", address(url), escaped(name)));
    let behind: Vec<String> = links.chain([escaped(&id)]).collect();
    blocks.push(json!({ "type": "context", "elements": [markup(&behind.join("  ·  "))] }));
    json!({ "text": escaped(&summary), "blocks": blocks })
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text })
}

fn markup(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

fn field(title: &str, value: &str) -> Value {
    let title: String = title.chars().take(TITLE_CHARS).collect();
    markup(&format!("*{}*\n{}", escaped(&title), escaped(value)))
}

/// Lines put together, as many in each text as a section takes.
fn sections(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        match texts.last_mut() {
            Some(text) if text.chars().count() + line.chars().count() < SECTION_CHARS => {
                text.push('\n');
                text.push_str(&line);
            }
            Some(_) | None => texts.push(line),
        }
    }
    texts
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An address that cannot end its link.
fn address(url: &str) -> String {
    escaped(&url.replace('|', "%7C").replace('>', "%3E").replace('<', "%3C"))
}

#[cfg(test)]
mod tests {
    use super::super::card::BODY_LIMIT;
    use super::super::card::{Card, CardItem, Fact};
    use super::super::compose::{compose, test_card};
    use super::super::format::Channel;
    use super::super::notice::NoticeKind::Begin;
    use super::super::samples::{at, notice, numbered, zones};
    use super::*;

    fn parsed(card: &Card) -> Value {
        serde_json::from_str(&Channel::Slack.render(card, BODY_LIMIT)).unwrap()
    }

    #[test]
    fn a_message_of_one_breach() {
        let notice = notice(Begin, [Some("LAB-1"), Some("K"), Some("S")], 92.5);
        let link = Some("https://bi.example/tat?a=1&b=2");
        insta::assert_json_snapshot!(parsed(&compose(vec![notice], &zones(), link).remove(0).card));
    }

    #[test]
    fn a_test_message() {
        insta::assert_json_snapshot!(parsed(&test_card(at(0), None)));
    }

    #[test]
    fn values_cannot_make_links_or_mentions_and_no_part_is_longer_than_slack_takes() {
        let hostile = "<!channel> <https://evil.example|click> & ".repeat(40);
        let facts = vec![Fact { title: hostile.clone(), value: hostile.clone() }; 23];
        let items = vec![CardItem { rank: 0, text: hostile.clone() }; 60];
        let card = Card { title: hostile.clone(), summary: hostile, facts, items, ..numbered(1) };
        let json = Channel::Slack.render(&card, BODY_LIMIT);
        assert!(json.len() <= BODY_LIMIT);
        let message: Value = serde_json::from_str(&json).unwrap();
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50, "{}", blocks.len());
        for block in blocks {
            let length = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
            assert!(length(&block["text"]["text"]) <= 3_000);
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            assert!(fields.len() <= 10 && fields.iter().all(|it| length(&it["text"]) <= 2_000));
            if block["type"] != "header" {
                assert!(!block.to_string().contains("<!channel>"), "{block}");
            }
        }
        assert!(!message["text"].as_str().unwrap().contains('<'));
    }
}
