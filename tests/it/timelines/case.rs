//! A timeline as data: what arrives when, and what stands on the lake then.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde::Deserialize;
use serde_json::{Map, Value};
use turnaround::flow::{Span, Timestamp};

/// Midnight of 2026-03-02, by `date -u -d 2026-03-02 +%s`; times of cases count from here.
const MIDNIGHT: i64 = 1_772_409_600_000_000;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) about: String,
    #[serde(default = "one")]
    pub(crate) partitions: i32,
    pub(crate) steps: Vec<Step>,
    /// What stands on a lake on which the same input is run to its end.
    pub(crate) finally: Expected,
}

fn one() -> i32 {
    1
}

/// What happens at one time of the clock: first what arrives, then what the silence means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The clock; steps are more than five seconds apart.
    pub(crate) at: String,
    /// The process is killed, and begins again from the earliest offset.
    #[serde(default)]
    pub(crate) restart: bool,
    /// Records in the order of arrival: `p0 09:58 a 30` is a test of lab `a` on partition 0 that
    /// was verified at 09:58 after 30 minutes. `sent=` is the record's own time if not the clock,
    /// `id=` its event id, `status=` another status, `m=` its machine.
    #[serde(default)]
    pub(crate) read: Vec<String>,
    /// Partitions that hold more than has been read; the others are read to their end.
    #[serde(default)]
    pub(crate) behind: Vec<i32>,
    #[serde(default)]
    pub(crate) expect: Expected,
}

/// What stands on the lake. What is not named is not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The job's watermark.
    pub(crate) watermark: Option<String>,
    /// By table: `10:00-10:10 a n=2 p50=15 p90=19`, with `r1` before the lab in revision 1.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    /// Days that have settled: `tat_10m 2026-03-02`.
    pub(crate) settled: Option<Vec<String>>,
    /// `tat_10m p0@2 09:58 watermark=10:09`: the record at offset 2 missed every window.
    pub(crate) late: Option<Vec<String>>,
    /// `p0@3 future`.
    pub(crate) dead_letters: Option<Vec<String>>,
    /// `leap p0@3 a/9 36:00 line=10:13 noticed@5`: machine 9 of lab `a` was ahead.
    pub(crate) quality: Option<Vec<String>>,
    /// `p0@2 10:30`: from offset 2 on the watermark stands at 10:30 at least.
    pub(crate) journal: Option<Vec<String>>,
}

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) partition: i32,
    pub(crate) record_time: Timestamp,
    pub(crate) payload: String,
}

impl Case {
    /// Reads a case.
    pub(crate) fn parse(text: &str) -> Case {
        serde_json::from_value(yaml(text)).expect("the case has the form of case.rs")
    }
}

/// Reads `p0 09:58 a 30`, arrived at `now`; `number` makes the specimen unique.
pub(crate) fn arrival(text: &str, now: Timestamp, number: usize) -> Arrival {
    let mut words = text.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("a word is missing in `{text}`"));
    let partition = word().strip_prefix('p').and_then(|index| index.parse().ok());
    let partition = partition.unwrap_or_else(|| panic!("`{text}` begins with no partition"));
    let (time, lab) = (instant(word()), word().to_owned());
    let minutes: i64 = word().parse().expect("minutes are a whole number");
    let mut record = serde_json::json!({
        "lab_id": lab,
        "specimen_id": format!("s-{number}"),
        "assay": "K",
        "status": "COMPLETED",
        "received_at": time.minus(Span(minutes * Span::MINUTE.0)).to_rfc3339(),
        "processed_at": time.to_rfc3339(),
    });
    let mut record_time = now;
    for option in words {
        match option.split_once('=') {
            Some(("sent", at)) => record_time = instant(at),
            Some(("m", machine)) => record["machine_id"] = machine.into(),
            Some(("id", id)) => record["event_id"] = id.into(),
            Some(("status", status)) => record["status"] = status.into(),
            _ => panic!("`{option}` is no option of a record"),
        }
    }
    Arrival { partition, record_time, payload: record.to_string() }
}

/// Reads `09:58` or `09:58:30`; `24:10` is ten past midnight.
pub(crate) fn instant(text: &str) -> Timestamp {
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().expect("a time")).collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (*hours, *minutes, 0),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => panic!("`{text}` is no time: write 09:58 or 09:58:30"),
    };
    Timestamp(MIDNIGHT + ((hours * 60 + minutes) * 60 + seconds) * Span::SECOND.0)
}

/// The inverse of [`instant`]; other instants as they are, and `none` for 0.
pub(crate) fn clock_face(micros: i64) -> String {
    if micros == 0 {
        return "none".to_owned();
    }
    let seconds = (micros - MIDNIGHT).div_euclid(Span::SECOND.0);
    if (micros - MIDNIGHT) % Span::SECOND.0 != 0 || !(0..360_000).contains(&seconds) {
        return Timestamp(micros).to_rfc3339();
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if seconds == 0 {
        format!("{hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// YAML as JSON: maps, lists, texts, whole numbers and truth values.
fn yaml(text: &str) -> Value {
    let mut parser = Parser::new_from_str(text);
    loop {
        let event = next(&mut parser);
        match event {
            Event::StreamStart | Event::DocumentStart(_) => {}
            event => return node(&mut parser, event),
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Event<'t> {
    let (event, _) = parser.next_event().expect("the text goes on").expect("the text is YAML");
    event
}

fn node<'t>(parser: &mut Parser<'t, StrInput<'t>>, event: Event<'t>) -> Value {
    match event {
        Event::Scalar(text, style, ..) => scalar(&text, style),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                match next(parser) {
                    Event::SequenceEnd => return Value::Array(list),
                    event => list.push(node(parser, event)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut map = Map::new();
            loop {
                match next(parser) {
                    Event::MappingEnd => return Value::Object(map),
                    Event::Scalar(key, ..) => {
                        let value = next(parser);
                        let value = node(parser, value);
                        assert!(map.insert(key.to_string(), value).is_none(), "`{key}` twice");
                    }
                    other => panic!("no key: {other:?}"),
                }
            }
        }
        other => panic!("not read here: {other:?}"),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match (text.parse::<i64>(), text) {
        (Ok(number), _) => number.into(),
        (Err(_), "true" | "false") => (text == "true").into(),
        (Err(_), "") => Value::Null,
        (Err(_), _) => text.into(),
    }
}
