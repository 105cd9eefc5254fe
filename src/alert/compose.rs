//! Notices into cards: groups what belongs together and says it in words.
//!
//! Notices of one rule, table, window and kind about the same laboratory (and assay, when the
//! grain has one) become one card; the worst [`NAMED`] groups are named, the rest counted.

use std::collections::BTreeMap;

use crate::flow::{Span, Timestamp, Window};

use super::card::{Card, CardItem, CardKind, Fact, ToldNotice};
use super::notice::{
    ASSAY_COLUMN, Figure, FigureValue, Id, LAB_COLUMN, Notice, NoticeKind, NoticeRow,
    SPECIMEN_COLUMN,
};
use super::rule::Severity;
use super::zones::{LabZones, instant_text, window_text};

/// Groups that a card names.
const NAMED: usize = 10;
/// Lines that a digest keeps; more than a card of 20 KB can show.
const DIGEST_LINES: usize = 200;

/// A card with the notices that it is made of.
#[derive(Clone, Debug)]
pub struct ComposedCard {
    /// The card.
    pub card: Card,
    /// What it tells, the worst first.
    pub notices: Vec<Notice>,
}

/// Groups the notices of one observation into cards, in the order of lab, assay and kind.
pub fn compose(notices: Vec<Notice>, zones: &LabZones, link: Option<&str>) -> Vec<ComposedCard> {
    let mut groups: BTreeMap<_, Vec<Notice>> = BTreeMap::new();
    for notice in notices {
        let lab = notice.group.lab().map(str::to_owned);
        let assay = notice.group.value(ASSAY_COLUMN).map(str::to_owned);
        let rule = (notice.rule.name.clone(), notice.table.to_string());
        groups.entry((lab, assay, rule, notice.kind)).or_default().push(notice);
    }
    groups.into_values().filter_map(|group| card_of(group, zones, link)).collect()
}

fn card_of(mut notices: Vec<Notice>, zones: &LabZones, link: Option<&str>) -> Option<ComposedCard> {
    notices.sort_by(|a, b| badness(b).total_cmp(&badness(a)));
    let worst = notices.first()?;
    let subject = subject(worst, &notices);
    let title = format!(
        "{} ({}): {} · {}",
        headline(worst.kind),
        severity_word(worst.rule.severity),
        worst.rule.name.replace('_', " "),
        subject
    );
    let (facts, items, id) = match notices.as_slice() {
        [one] => (single_facts(one, zones), Vec::new(), one.id.clone()),
        many => {
            let lines = many.iter().take(NAMED).map(|notice| line(notice, zones));
            let items = lines.map(|text| CardItem { rank: 0, text }).collect();
            (group_facts(worst, zones), items, group_id(many))
        }
    };
    let detail = match notices.as_slice() {
        [one] => reading_text(one),
        many => Some(format!("{} groups", many.len())),
    };
    let summary = match detail {
        Some(detail) => format!("{title}: {detail}"),
        None => title.clone(),
    };
    let card = Card {
        id,
        kind: card_kind(worst.kind),
        severity: worst.rule.severity,
        title,
        summary,
        more: notices.len().saturating_sub(items.len().max(1)),
        facts,
        items,
        buttons: buttons(worst, link),
        at: worst.window.end,
        tells: Vec::new(),
    };
    let tells = notices.iter().map(|notice| ToldNotice {
        notice: notice.id.clone(),
        breach: notice.breach.clone(),
        card: card.id.clone(),
        held: false,
    });
    let card = Card { tells: tells.collect(), ..card };
    Some(ComposedCard { card, notices })
}

/// One card that tells what `cards` tell, under `title`; the gravest and newly begun first.
pub fn digest(cards: Vec<Card>, title: &str) -> Option<Card> {
    let severity = cards.iter().map(|card| card.severity).max()?;
    let count: usize = cards.iter().map(told_by).sum();
    let id = Id::of(cards.iter().map(|card| Some(card.id.as_str())));
    let link = cards.iter().flat_map(|card| &card.buttons).find(|(name, _)| name == LINK_BUTTON);
    let buttons = link.cloned().into_iter().collect();
    let at = cards.iter().map(|card| card.at).max()?;
    let mut items: Vec<CardItem> = Vec::new();
    let mut tells = Vec::new();
    let mut more = 0;
    for mut card in cards {
        tells.append(&mut card.tells);
        match card.kind {
            CardKind::Digest => {
                items.extend(card.items);
                more += card.more;
            }
            CardKind::Begin | CardKind::Reminder | CardKind::End | CardKind::Test => {
                let text = format!("{} [{}]", card.summary, card.id.short());
                items.push(CardItem { rank: rank(&card), text });
            }
        }
    }
    items.sort_by_key(|item| item.rank);
    more += items.len().saturating_sub(DIGEST_LINES);
    items.truncate(DIGEST_LINES);
    let title = format!("{title}: {count} alerts");
    let summary = title.clone();
    let kind = CardKind::Digest;
    let facts = Vec::new();
    Some(Card { id, kind, severity, title, summary, facts, items, more, buttons, at, tells })
}

/// A card that says that it is a trial and nothing else.
pub fn test_card(now: Timestamp, link: Option<&str>) -> Card {
    let sent = now.to_rfc3339();
    let fact = |title: &str, value: &str| Fact { title: title.to_owned(), value: value.to_owned() };
    Card {
        id: Id::of([Some("test"), Some(&sent)]),
        kind: CardKind::Test,
        severity: Severity::Low,
        title: "TEST: Turnaround can reach this channel".to_owned(),
        summary: "TEST: a trial of the webhook, no laboratory is concerned".to_owned(),
        facts: vec![
            fact("What", "A trial of the webhook. Nothing happened; nothing is to be done."),
            fact("Sent", &sent),
        ],
        items: Vec::new(),
        more: 0,
        buttons: link.filter(|link| is_web(link)).map(link_button).into_iter().collect(),
        at: now,
        tells: Vec::new(),
    }
}

const LINK_BUTTON: &str = "Open";

fn link_button(link: &str) -> (String, String) {
    (LINK_BUTTON.to_owned(), link.to_owned())
}

fn is_web(address: &str) -> bool {
    address.starts_with("https://") || address.starts_with("http://")
}

/// How many cards a card stands for.
fn told_by(card: &Card) -> usize {
    match card.kind {
        CardKind::Digest => card.items.len() + card.more,
        CardKind::Begin | CardKind::Reminder | CardKind::End | CardKind::Test => 1,
    }
}

/// 0 for a grave breach that began, 8 for a slight one that ended.
fn rank(card: &Card) -> u8 {
    let kind = match card.kind {
        CardKind::Begin => 0,
        CardKind::Reminder => 1,
        CardKind::End | CardKind::Digest | CardKind::Test => 2,
    };
    let severity = match card.severity {
        Severity::High => 0,
        Severity::Medium => 1,
        Severity::Low => 2,
    };
    3 * severity + kind
}

fn card_kind(kind: NoticeKind) -> CardKind {
    match kind {
        NoticeKind::Begin => CardKind::Begin,
        NoticeKind::Reminder => CardKind::Reminder,
        NoticeKind::End => CardKind::End,
    }
}

fn headline(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Begin => "Breach",
        NoticeKind::Reminder => "Still in breach",
        NoticeKind::End => "Ended",
    }
}

/// The severity's name in cards and in `alerts/`.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    }
}

fn badness(notice: &Notice) -> f64 {
    notice.reading.as_ref().map_or(f64::NEG_INFINITY, NoticeRow::badness)
}

fn group_id(notices: &[Notice]) -> Id {
    let mut ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    ids.sort_unstable();
    Id::of(ids.into_iter().map(Some))
}

/// `LAB-1 · K`, and of a single notice the rest of its group.
fn subject(notice: &Notice, all: &[Notice]) -> String {
    let mut parts = vec![notice.group.lab().unwrap_or("all laboratories").to_owned()];
    parts.extend(notice.group.value(ASSAY_COLUMN).map(str::to_owned));
    if all.len() == 1 {
        let rest = notice.group.entries().filter(|(name, _)| !is_heading(name));
        parts.extend(rest.filter_map(|(name, value)| Some(shown(name, value?))));
    }
    parts.join(" · ")
}

/// A group's value on a card: of a specimen's id the last four characters.
fn shown(column: &str, value: &str) -> String {
    match value.char_indices().rev().nth(3) {
        Some((at, _)) if at > 0 && column == SPECIMEN_COLUMN => format!("…{}", &value[at..]),
        Some(_) | None => value.to_owned(),
    }
}

fn is_heading(column: &str) -> bool {
    column == LAB_COLUMN || column == ASSAY_COLUMN
}

fn single_facts(notice: &Notice, zones: &LabZones) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(reading) = &notice.reading {
        facts.extend(reading.figures.iter().map(figure_fact));
        facts.extend(
            reading
                .target
                .as_ref()
                .map(|target| Fact { title: "Target".to_owned(), value: value_text(target) }),
        );
        facts.extend(reading.n.map(|n| fact("n", n.to_string())));
    } else {
        facts.push(fact("Figure", "no rows in this window".to_owned()));
    }
    facts.push(fact("Laboratory", notice.group.lab().unwrap_or("all").to_owned()));
    let rest = notice.group.entries().filter(|(name, _)| *name != LAB_COLUMN);
    facts.extend(rest.map(|(name, value)| fact(&label(name), shown(name, value.unwrap_or("–")))));
    if let Some(reading) = &notice.reading {
        let context = reading.context.iter();
        facts.extend(context.map(|(name, value)| fact(&label(name), value.clone())));
    }
    facts.extend(common_facts(notice, zones));
    facts
}

fn group_facts(notice: &Notice, zones: &LabZones) -> Vec<Fact> {
    let mut facts = vec![fact("Laboratory", notice.group.lab().unwrap_or("all").to_owned())];
    facts.extend(notice.group.value(ASSAY_COLUMN).map(|assay| fact("Assay", assay.to_owned())));
    facts.extend(common_facts(notice, zones));
    facts
}

/// Window, since when, condition, owner, runbook.
fn common_facts(notice: &Notice, zones: &LabZones) -> Vec<Fact> {
    let zone = zones.of(notice.group.lab());
    let Window { start, end } = notice.window;
    let mut facts = vec![match start == end {
        true => fact("At", instant_text(end, zone)),
        false => fact("Window", window_text(notice.window, zone)),
    }];
    match notice.kind {
        NoticeKind::Begin | NoticeKind::Reminder => {
            facts.push(fact("Since", instant_text(notice.since, zone)));
        }
        NoticeKind::End => {
            let lasted = Span(notice.window.end.0.saturating_sub(notice.since.0));
            facts.push(fact("Since", instant_text(notice.since, zone)));
            facts.push(fact("Lasted", lasted_text(lasted)));
        }
    }
    facts.push(fact("Condition", notice.rule.when.clone()));
    facts.extend(notice.rule.owner.iter().map(|owner| fact("Owner", owner.clone())));
    let path = notice.rule.runbook.as_ref().filter(|runbook| !is_web(runbook));
    facts.extend(path.map(|path| fact("Runbook", path.clone())));
    facts
}

fn buttons(notice: &Notice, link: Option<&str>) -> Vec<(String, String)> {
    let mut buttons: Vec<_> =
        link.filter(|link| is_web(link)).map(link_button).into_iter().collect();
    let runbook = notice.rule.runbook.as_ref().filter(|runbook| is_web(runbook));
    buttons.extend(runbook.map(|address| ("Runbook".to_owned(), address.clone())));
    buttons
}

/// One group within a card of several.
fn line(notice: &Notice, zones: &LabZones) -> String {
    let but = |but: fn(&str) -> bool| -> Vec<String> {
        let entries = notice.group.entries().filter(|(name, _)| !but(name));
        entries
            .map(|(name, value)| format!("{name}={}", shown(name, value.unwrap_or("null"))))
            .collect()
    };
    let rest = but(is_heading);
    let rest = if rest.is_empty() { but(|_| false) } else { rest }.join(", ");
    let since = instant_text(notice.since, zones.of(notice.group.lab()));
    match reading_text(notice) {
        Some(reading) => format!("{rest}: {reading}, since {since}"),
        None => format!("{rest}: no rows, since {since}"),
    }
}

/// `p90 92.5 min (target 60 min), n 25`.
fn reading_text(notice: &Notice) -> Option<String> {
    let reading = notice.reading.as_ref()?;
    let mut parts: Vec<String> = reading
        .figures
        .iter()
        .map(|figure| format!("{} {}", figure_label(figure), value_text(figure)))
        .collect();
    if let (Some(first), Some(target)) = (parts.first_mut(), &reading.target) {
        first.push_str(&format!(" (target {})", value_text(target)));
    }
    parts.extend(reading.n.map(|n| format!("n {n}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn fact(title: &str, value: String) -> Fact {
    Fact { title: title.to_owned(), value }
}

fn figure_fact(figure: &Figure) -> Fact {
    fact(&figure_label(figure), value_text(figure))
}

/// `p90` of `p90_minutes` when the unit stands beside the value.
fn figure_label(figure: &Figure) -> String {
    let suffixes = ["_minutes", "_hours", "_seconds", "_percent", "_pct"];
    let name = figure.column.as_str();
    let short = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    match (&figure.unit, short) {
        (Some(_), Some(short)) => short.replace('_', " "),
        (None, _) | (_, None) => name.replace('_', " "),
    }
}

/// `Machine id` of `machine_id`.
fn label(column: &str) -> String {
    let words = column.strip_suffix("_id").unwrap_or(column).replace('_', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A value with its unit; a ratio in percent, as a lab manager reads it.
fn value_text(figure: &Figure) -> String {
    if let (Some("ratio"), FigureValue::Number(ratio)) = (figure.unit.as_deref(), &figure.value) {
        return format!("{} %", number_text(ratio * 100.0));
    }
    let value = match &figure.value {
        FigureValue::Number(number) => number_text(*number),
        FigureValue::Text(text) => text.clone(),
        FigureValue::Null => return "null".to_owned(),
    };
    match &figure.unit {
        Some(unit) => format!("{value} {unit}"),
        None => value,
    }
}

/// Two decimals from 1 on, four below it, without trailing zeros.
fn number_text(number: f64) -> String {
    let text = if number.abs() >= 1.0 { format!("{number:.2}") } else { format!("{number:.4}") };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `2 h 5 min`; from a day on in days and hours.
fn lasted_text(span: Span) -> String {
    let minutes = span.0 / Span::MINUTE.0;
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours, rest) {
        (0, 0, rest) => format!("{rest} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, rest) => format!("{hours} h {rest} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::NoticeKind::{Begin, End};
    use crate::alert::samples::{notice, numbered, zones};

    #[test]
    fn a_card_shows_the_end_of_a_specimens_id_alone() {
        assert_eq!(shown("specimen_id", "N000454"), "…0454");
        assert_eq!(shown("specimen_id", "röhre"), "…öhre");
        assert_eq!(shown("specimen_id", "0454"), "0454");
        assert_eq!(shown("critical_id", "NC0004540"), "NC0004540");
    }

    #[test]
    fn notices_are_grouped_by_lab_assay_and_kind() {
        let notices = vec![
            notice(Begin, [Some("LAB-1"), Some("K"), Some("S")], 70.0),
            notice(Begin, [Some("LAB-1"), Some("K"), Some("R")], 90.0),
            notice(End, [Some("LAB-1"), Some("K"), Some("A")], 50.0),
            notice(Begin, [Some("LAB-1"), Some("WBC"), Some("S")], 70.0),
            notice(Begin, [Some("LAB-2"), Some("K"), Some("S")], 70.0),
        ];
        let cards = compose(notices, &zones(), None);
        let titles: Vec<&str> = cards.iter().map(|one| one.card.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Breach (high): tat p90 over target · LAB-1 · K",
                "Ended (high): tat p90 over target · LAB-1 · K · A",
                "Breach (high): tat p90 over target · LAB-1 · WBC · S",
                "Breach (high): tat p90 over target · LAB-2 · K · S",
            ]
        );
        let named: Vec<&str> = cards[0].card.items.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(
            named,
            [
                "priority=R: p90 90 min (target 60 min), n 25, since 2026-03-01 12:25 CET",
                "priority=S: p90 70 min (target 60 min), n 25, since 2026-03-01 12:25 CET",
            ]
        );
        assert_eq!(cards[1].card.id, cards[1].notices[0].id);
    }

    #[test]
    fn a_card_of_several_has_the_same_id_whatever_the_order() {
        let make = |reverse: bool| {
            let mut notices: Vec<_> = ["S", "R", "A"]
                .map(|priority| notice(Begin, [Some("LAB-1"), Some("K"), Some(priority)], 70.0))
                .into();
            if reverse {
                notices.reverse();
            }
            compose(notices, &zones(), None).remove(0).card.id
        };
        assert_eq!(make(false), make(true));
    }

    #[test]
    fn a_digest_names_grave_begins_first_and_counts_what_it_cannot_keep() {
        let grave = Card { severity: Severity::High, ..numbered(900) };
        let ended = Card { kind: CardKind::End, ..numbered(901) };
        let mut cards = vec![ended];
        cards.extend((0..250).map(numbered));
        cards.push(grave);
        let digest = digest(cards, "Several at once").unwrap();
        assert!(digest.items[0].text.starts_with("card 900 ["));
        assert!(digest.items[1].text.starts_with("card 0 ["));
        assert_eq!((digest.items.len(), digest.more), (200, 52));
        assert_eq!(digest.title, "Several at once: 252 alerts");
        assert_eq!(digest.severity, Severity::High);
    }

    #[test]
    fn a_digest_of_a_digest_counts_every_card_once() {
        let first = digest((0..3).map(numbered).collect(), "Several at once").unwrap();
        let second = digest(vec![first, numbered(4)], "Several at once").unwrap();
        assert_eq!(second.title, "Several at once: 4 alerts");
        assert_eq!(second.items.len(), 4);
    }

    #[test]
    fn a_ratio_is_told_in_percent() {
        let figure = |value, unit: Option<&str>| Figure {
            column: "error_rate".to_owned(),
            value,
            unit: unit.map(str::to_owned),
        };
        let told = |value, unit| value_text(&figure(value, unit));
        assert_eq!(told(FigureValue::Number(0.0847), Some("ratio")), "8.47 %");
        assert_eq!(told(FigureValue::Number(0.3), Some("ratio")), "30 %");
        assert_eq!(told(FigureValue::Null, Some("ratio")), "null");
        assert_eq!(told(FigureValue::Number(8.47), Some("%")), "8.47 %");
        assert_eq!(told(FigureValue::Number(0.0847), None), "0.0847");
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, text) in [
            (92.0, "92"),
            (92.456, "92.46"),
            (0.05, "0.05"),
            (0.01939, "0.0194"),
            (1000.0, "1000"),
            (-0.00001, "0"),
            (0.0, "0"),
        ] {
            assert_eq!(number_text(number), text);
        }
        for (minutes, text) in
            [(5, "5 min"), (60, "1 h"), (125, "2 h 5 min"), (1440, "1 d"), (1500, "1 d 1 h")]
        {
            assert_eq!(lasted_text(Span(minutes * Span::MINUTE.0)), text);
        }
    }
}
