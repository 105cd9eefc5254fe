//! One entry of a pipeline's `windows:` as a [`WindowKind`].

use crate::flow::Span;
use crate::window::{CalendarUnit, WindowKind, Zone};

use super::decode::NamedNode;
use super::fault::{Faults, nearest, quoted};
use super::values::names;
use super::values::{minute_of_day, zone};
use super::yaml::{YamlEntry, YamlValue};

/// The most panes in a window: each pane is state to keep and to merge at every firing.
pub(crate) const MAX_PANES: i64 = 10_000;
/// The shortest window or slide: below it the windows outnumber the events.
pub(crate) const MIN_SIZE: Span = Span::SECOND;
/// The width of a calendar window's panes in minutes: the offset of every zone in use today is a
/// multiple of it.
pub(crate) const CALENDAR_PANE_MINUTES: u16 = 15;

const KINDS: &[&str] = &["tumbling", "hopping", "session", "calendar"];
const EXAMPLE: &str = "one kind, as { tumbling: { size: 1h } }";

/// Reads a window by its name and value; `None` when it has a fault.
pub(crate) fn kind(name: &str, value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    if name == "none" {
        return row_level(value, faults);
    }
    let entries = value.map(faults, EXAMPLE)?;
    let [entry] = entries else {
        let what = format!("must have one kind, not {}", entries.len());
        value.wrong(faults, &what, format!("write {EXAMPLE}"));
        return None;
    };
    let inner = value.entry(entry);
    match entry.key.as_str() {
        "tumbling" => tumbling(&inner, faults),
        "hopping" => hopping(&inner, faults),
        "session" => session(&inner, faults),
        "calendar" => calendar(&inner, faults),
        _ => {
            unknown(entry, faults);
            None
        }
    }
}

fn unknown(entry: &YamlEntry, faults: &mut Faults) {
    let remedy = match nearest(&entry.key, KINDS.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if entry.key == "none" => "name the window itself none, as none: {}".to_owned(),
        None => format!("the kinds are: {}; or none: {{}} as the window", KINDS.join(", ")),
    };
    faults.push(entry.key_at, format!("unknown kind of window {}", quoted(&entry.key)), remedy);
}

fn row_level(value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    let empty = match &value.node.value {
        YamlValue::Null => true,
        YamlValue::Map(entries) => entries.is_empty(),
        YamlValue::Scalar { .. } | YamlValue::List(_) => false,
    };
    if !empty {
        value.wrong(faults, "takes no settings", "write none: {}, or give the window another name");
    }
    empty.then_some(WindowKind::RowLevel)
}

fn tumbling(value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    let mut fields = value.fields(faults, "{ size: 1h }")?;
    let size = fields.require("size", faults, "1h").and_then(|value| length(&value, faults));
    fields.finish(faults);
    Some(WindowKind::Tumbling { size: size? })
}

fn hopping(value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    let mut fields = value.fields(faults, "{ size: 1h, slide: 5m }")?;
    let size_value = fields.require("size", faults, "1h");
    let size = size_value.as_ref().and_then(|value| length(value, faults));
    let slide_value = fields.require("slide", faults, "5m");
    let slide = slide_value.as_ref().and_then(|value| length(value, faults));
    fields.finish(faults);
    let (size, slide, size_value) = (size?, slide?, size_value?);
    let panes = size.0 / slide.0;
    if size.0 % slide.0 != 0 {
        let below = Span((panes * slide.0).max(slide.0));
        let above = Span((panes + 1).saturating_mul(slide.0));
        let remedy = if below == above || panes == 0 {
            format!("write {above}, or a shorter slide")
        } else {
            format!("write {below} or {above}, or another slide")
        };
        let what = format!("{size} is not a multiple of the slide, {slide}");
        size_value.wrong(faults, &what, remedy);
        return None;
    }
    if panes > MAX_PANES {
        let what = format!("{size} is {panes} panes of {slide}; at most {MAX_PANES} are kept");
        size_value.wrong(faults, &what, "lengthen the slide or shorten the size");
        return None;
    }
    Some(WindowKind::Hopping { size, slide })
}

fn session(value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    let mut fields = value.fields(faults, "{ gap: 30m, by: [lab_id, machine_id] }")?;
    let gap = fields.require("gap", faults, "30m").and_then(|value| length(&value, faults));
    let by = fields.require("by", faults, "[lab_id]");
    let by = by.and_then(|value| names(&value, faults, "[lab_id, machine_id]"));
    let wait = match fields.take("wait") {
        Some(value) => length(&value, faults),
        None => Some(Span(0)),
    };
    fields.finish(faults);
    Some(WindowKind::Session { gap: gap?, by: by?, wait: wait? })
}

fn calendar(value: &NamedNode<'_>, faults: &mut Faults) -> Option<WindowKind> {
    let mut fields = value.fields(faults, "{ unit: day, tz: lab }")?;
    let unit_value = fields.require("unit", faults, "day");
    let zone = match fields.take("tz") {
        Some(value) if matches!(&value.node.value, YamlValue::Scalar { text, .. } if text == "lab") => {
            Some(Zone::Lab)
        }
        Some(value) => zone(&value, faults).map(Zone::Fixed),
        None => Some(Zone::Lab),
    };
    let starts_value = fields.take("starts");
    let unit = unit_value.and_then(|value| {
        let name = value.text(faults, "day, week, month or shift")?;
        match name {
            "day" => Some(CalendarUnit::Day),
            "week" => Some(CalendarUnit::Week),
            "month" => Some(CalendarUnit::Month),
            "shift" => Some(CalendarUnit::Shift { starts: Vec::new() }),
            _ => {
                let what = format!("must be a calendar's unit, not {}", quoted(name));
                value.wrong(faults, &what, "write day, week, month or shift");
                None
            }
        }
    });
    fields.finish(faults);
    let unit = match (unit?, starts_value) {
        (CalendarUnit::Shift { .. }, Some(starts)) => {
            CalendarUnit::Shift { starts: shift_starts(&starts, faults)? }
        }
        (CalendarUnit::Shift { .. }, None) => {
            let what = "of shifts needs their starts";
            value.wrong(faults, what, "add `starts: [\"06:00\", \"14:00\", \"22:00\"]`");
            return None;
        }
        (unit @ (CalendarUnit::Day | CalendarUnit::Week | CalendarUnit::Month), starts) => {
            if let Some(starts) = starts {
                starts.wrong(faults, "belongs to shifts", "remove it, or write `unit: shift`");
            }
            unit
        }
    };
    Some(WindowKind::Calendar { unit, zone: zone? })
}

fn shift_starts(value: &NamedNode<'_>, faults: &mut Faults) -> Option<Vec<u16>> {
    const WANTED: &str = "[\"06:00\", \"14:00\", \"22:00\"]";
    let before = faults.count();
    let items = value.list(faults, WANTED)?;
    if items.is_empty() {
        value.wrong(faults, "is empty", format!("write {WANTED}"));
    }
    let mut starts: Vec<u16> = Vec::new();
    for item in items {
        let Some(text) = item.text(faults, "a time of day, as 06:00") else { continue };
        match minute_of_day(text) {
            None => {
                let what = format!("must be a time of day, not {}", quoted(text));
                item.wrong(faults, &what, "write hours and minutes, as 06:00");
            }
            Some(minute) if minute % CALENDAR_PANE_MINUTES != 0 => {
                let what = format!("{text} is not a quarter of an hour");
                item.wrong(faults, &what, "write it as 06:00, 06:15, 06:30 or 06:45");
            }
            Some(minute) if starts.last().is_some_and(|last| *last >= minute) => {
                let what = format!("{text} does not follow the start before it");
                item.wrong(faults, &what, "write the starts in the order of the day, each once");
            }
            Some(minute) => starts.push(minute),
        }
    }
    (faults.count() == before).then_some(starts)
}

/// A window's size, slide or gap.
fn length(value: &NamedNode<'_>, faults: &mut Faults) -> Option<Span> {
    let span = value.positive_span(faults)?;
    if span < MIN_SIZE {
        let what = format!("{span} is shorter than {MIN_SIZE}");
        value.wrong(faults, &what, format!("write {MIN_SIZE} or more"));
        return None;
    }
    Some(span)
}
