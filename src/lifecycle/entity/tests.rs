//! Timelines by hand, and the engine's laws.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use chrono_tz::Tz;

use super::*;
use crate::config::lifecycle_yaml::read_text;
use crate::lifecycle::cut::BatchRises;
use crate::lifecycle::cut::NOT_YET;
use crate::lifecycle::stage::JudgedEvents;

/// 2026-03-01T00:00:00Z, by `date -u -d 2026-03-01 +%s`.
pub(super) const MARCH: i64 = 1_772_323_200_000_000;
pub(super) const MINUTE: i64 = 60_000_000;

pub(super) fn shipped(name: &str) -> Arc<StateMachine> {
    let path = format!("{}/pipelines/lifecycles/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    Arc::new(read_text(name, &text).unwrap_or_else(|faults| panic!("{faults:?}")))
}

/// Events of one laboratory: minutes after the first of March, and texts by column.
pub(super) type Event<'a> = (i64, &'a [(&'a str, &'a str)]);

impl Entities {
    pub(super) fn batch_of(&mut self, steps: Vec<EntityStep>, watermark: i64) -> Moves {
        let records = steps.iter().map(|step| (step.offset, step.watermark_before));
        let rises = BatchRises::of(records.collect::<Vec<_>>());
        self.batch(steps, &rises, watermark)
    }
}

/// Events as a batch, the watermark trailing by two minutes.
pub(super) fn batch(machine: &StateMachine, events: &[Event<'_>], first: i64) -> Vec<EntityStep> {
    let times: Vec<i64> = events.iter().map(|(minute, _)| MARCH + minute * MINUTE).collect();
    let mut stood = i64::MIN;
    let before = times.iter().map(|time| {
        let before = stood;
        stood = stood.max(time - 2 * MINUTE);
        before
    });
    let before: Vec<i64> = before.collect();
    let offsets: Vec<i64> = (first..).take(events.len()).collect();
    let column = |name: &str| -> ArrayRef {
        let text = |(_, texts): &Event<'_>| {
            let found = texts.iter().find(|(column, _)| *column == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        Arc::new(events.iter().map(text).collect::<StringArray>())
    };
    let names = [
        "event_type",
        "lab_id",
        "machine_id",
        "instrument_state",
        "reason",
        "center_event",
        "user",
        "settings",
    ];
    let mut columns: Vec<(&str, ArrayRef)> =
        names.iter().map(|name| (*name, column(name))).collect();
    let versions = column("version");
    columns.push(("version", arrow::compute::cast(&versions, &DataType::Int64).unwrap()));
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let rows = rows.unwrap();
    let judged = JudgedEvents {
        rows: &rows,
        offsets: &offsets,
        times: &times,
        watermark_before: &before,
        guards: &[],
        counted: None,
    };
    steps(machine, judged).unwrap()
}

/// Each move as minute, name, from, to.
pub(super) fn told(
    machine: &StateMachine,
    moves: &Moves,
) -> Vec<(i64, String, Option<String>, String)> {
    let name = |state| machine.name(state).map(str::to_owned);
    let told = |one: &Move| {
        ((one.at - MARCH) / MINUTE, one.name.to_string(), name(one.from), name(one.to).unwrap())
    };
    moves.moved.iter().map(told).collect()
}

pub(super) fn one(
    minute: i64,
    name: &str,
    from: &str,
    to: &str,
) -> (i64, String, Option<String>, String) {
    let from = (from != "new").then(|| from.to_owned());
    (minute, name.to_owned(), from, to.to_owned())
}

fn state(state: &str) -> [(&str, &str); 4] {
    [
        ("event_type", "instrument.state"),
        ("lab_id", "north"),
        ("machine_id", "M1"),
        ("instrument_state", state),
    ]
}

/// A heartbeat of ten minutes, in Berlin.
#[derive(Debug)]
pub(super) struct Berlin;

impl Lengths for Berlin {
    fn zone(&self, _: &Key) -> Tz {
        Tz::Europe__Berlin
    }

    fn heartbeat(&self, _: &Key) -> Option<i64> {
        Some(10 * MINUTE)
    }

    fn target(&self, _: &Key, _: i64) -> Option<i64> {
        Some(30 * MINUTE)
    }
}

#[test]
fn a_pause_becomes_long_and_a_silence_unknown() {
    let machine = shipped("instrument");
    let (idle, run, pause) = (state("ID"), state("OP"), state("PA"));
    let events: [Event<'_>; 5] = [(0, &idle), (10, &run), (20, &pause), (28, &run), (29, &run)];
    let expected = [
        one(0, "rest", "new", "IDLE"),
        one(10, "run", "IDLE", "RUNNING"),
        one(20, "pause", "RUNNING", "PAUSED"),
        one(25, "pause_long", "PAUSED", "PAUSED_LONG"),
        one(28, "run", "PAUSED_LONG", "RUNNING"),
        // Last heard of at 29: three heartbeats later nobody knows.
        one(59, "fall_silent", "RUNNING", "UNKNOWN"),
    ];
    for cut in 1..=events.len() {
        let mut entities = Entities::new(Arc::clone(&machine), Arc::new(Berlin), i64::MAX);
        let mut seen = Vec::new();
        for (number, events) in events.chunks(cut).enumerate() {
            let steps = batch(&machine, events, (number * cut) as i64);
            let watermark = steps.last().map_or(i64::MIN, |step| step.at - 2 * MINUTE);
            seen.extend(told(&machine, &entities.batch_of(steps, watermark)));
        }
        seen.extend(told(&machine, &entities.finish(MARCH + 120 * MINUTE)));
        assert_eq!(seen, expected, "in batches of {cut}");
        assert_eq!(entities.counts().repeated, 1);
        assert_eq!(entities.counts().timed, 2);
    }
}

/// Silent for 30 minutes at 00:30; an hour later it is asked again, and is silent still.
#[test]
fn a_silence_that_goes_on_moves_time_on() {
    let machine = Arc::new(read_text("asked", ASKED).unwrap());
    let idle = state("ID");
    let mut entities = Entities::new(Arc::clone(&machine), Arc::new(Berlin), i64::MAX);
    let steps = batch(&machine, &[(0, &idle)], 0);
    let mut moves = entities.batch_of(steps, MARCH - 2 * MINUTE);
    moves.moved.extend(entities.finish(MARCH + 150 * MINUTE).moved);
    let expected = [
        one(0, "rest", "new", "ID"),
        one(30, "fall_silent", "ID", "GONE"),
        one(90, "ask", "GONE", "ID"),
        one(90, "fall_silent", "ID", "GONE"),
        one(150, "ask", "GONE", "ID"),
        one(150, "fall_silent", "ID", "GONE"),
    ];
    assert_eq!(told(&machine, &moves), expected);
}

const ASKED: &str = "
description: An instrument that is asked every hour.
entity: [lab_id, machine_id]
events:
  instrument.state: { word: instrument_state }
transitions:
  - { name: rest, from: [new, GONE], on: ID, to: ID }
timers:
  - { name: fall_silent, in: ID, silence: 3, to: GONE }
  - { name: ask, in: GONE, after: 1h, to: ID }
";

/// Every move and refusal, with what brought it about, in batches of so many events.
fn in_batches(machine: &Arc<StateMachine>, steps: &[EntityStep], size: usize) -> Vec<String> {
    let mut entities = Entities::new(Arc::clone(machine), Arc::new(Berlin), 2 * 60 * MINUTE);
    let mut told = Vec::new();
    // Where a batch ends, its row is cut by the watermark that the next record finds.
    let mut tell = |moves: Moves, found: Option<i64>| {
        let brought = |cause: u32| {
            let mut brought = moves.causes[cause as usize].brought;
            if let Some(found) = found.filter(|_| brought.cut.watermark == NOT_YET) {
                brought.cut.watermark = found;
            }
            brought
        };
        for one in &moves.moved {
            let brought = brought(one.cause);
            let (at, stood) = (one.at, one.watermark_before);
            let by = (&one.name, one.version, one.stayed);
            told.push(format!("{at} {stood} {:?} {by:?} {brought:?}", one.key));
        }
        for one in &moves.refused {
            let brought = brought(one.cause);
            told.push(format!("{} {:?} {:?} {brought:?}", one.noticed_at, one.key, one.reason));
        }
    };
    for (number, chunk) in steps.chunks(size).enumerate() {
        let next = steps.get((number + 1) * size);
        let largest = steps.iter().map(|step| step.at).max().unwrap_or_default();
        let watermark = next.map_or(largest - 2 * MINUTE, |next| next.watermark_before);
        let found = next.map(|next| next.watermark_before);
        tell(entities.batch_of(chunk.to_vec(), watermark), found);
    }
    tell(entities.finish(MARCH + 9000 * MINUTE), None);
    told.sort();
    told
}

/// Events of three instruments, some of them late by up to an hour: pauses become long and machines fall
/// silent in the past as well.
#[test]
fn late_events_and_timers_are_the_same_however_batches_are_cut() {
    let machine = Arc::new(read_text("seldom", SELDOM).unwrap());
    let mut chance: u64 = 7;
    let mut next = |below: u64| {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    let mut now = 0;
    let events: Vec<(i64, [(&str, &str); 4])> = (0..1200)
        .map(|_| {
            now += next(40) as i64;
            let late = if next(2) == 0 { next(90) as i64 } else { 0 };
            let name = ["M1", "M2", "M3"][next(3) as usize];
            let word = ["ID", "OP", "PA", "END"][next(4) as usize];
            let mut event = state(word);
            event[2].1 = name;
            (now - late, event)
        })
        .collect();
    let events: Vec<Event<'_>> = events.iter().map(|(at, texts)| (*at, &texts[..])).collect();
    let steps = batch(&machine, &events, 0);
    let whole = in_batches(&machine, &steps, steps.len());
    let timed = whole.iter().filter(|one| one.contains("pause_long")).count();
    let refused = whole.iter().filter(|one| one.contains("Overtaken")).count();
    assert!(timed > 10 && refused > 10, "{timed} timers, {refused} overtaken");
    for size in [1, 2, 3, 7, 50] {
        assert_eq!(in_batches(&machine, &steps, size), whole, "in batches of {size}");
    }
}

/// Some states are final, and are forgotten after two hours.
const SELDOM: &str = "
description: An instrument that may end.
entity: [lab_id, machine_id]
events:
  instrument.state: { word: instrument_state }
transitions:
  - { name: rest, from: [new, OP, PA, LONG, GONE], on: ID, to: ID }
  - { name: run, from: [new, ID, PA, LONG], on: OP, to: OP }
  - { name: pause, from: [ID, OP], on: PA, to: PA }
  - { name: end, from: [ID, OP], on: END, to: END }
timers:
  - { name: pause_long, in: PA, after: 5m, to: LONG }
  - { name: fall_silent, in: [ID, OP, LONG], silence: 3, to: GONE }
finished: [END]
";

const BOX: &str = "
description: A courier's box.
entity: [lab_id, reason]
events:
  center.event: { word: machine_id }
transitions:
  - { name: load, from: [new, EMPTY], on: load, to: LOADED }
  - { name: deliver, from: LOADED, on: deliver, to: EMPTY }
timers:
  - { name: nightly, in: LOADED, at: \"03:00\", to: LOST }
finished: [EMPTY, LOST]
";

fn boxed(word: &str) -> [(&str, &str); 4] {
    [("event_type", "center.event"), ("lab_id", "north"), ("reason", "B7"), ("machine_id", word)]
}

#[test]
fn a_machine_of_ones_own_refuses_what_does_not_fit_and_knows_the_local_night() {
    let machine = Arc::new(read_text("box", BOX).unwrap());
    let mut entities = Entities::new(Arc::clone(&machine), Arc::new(Berlin), i64::MAX);
    let (load, deliver) = (boxed("load"), boxed("deliver"));
    let steps = batch(&machine, &[(0, &deliver), (10, &load), (12, &load), (30, &deliver)], 0);
    let mut moves = entities.batch_of(steps, i64::MIN);
    let steps = batch(&machine, &[(60, &load)], 4);
    moves.moved.extend(entities.batch_of(steps, MARCH + 58 * MINUTE).moved);
    let last = entities.finish(MARCH + 24 * 60 * MINUTE);
    moves.moved.extend(last.moved);
    moves.refused.extend(last.refused);
    let expected = [
        one(10, "load", "new", "LOADED"),
        one(30, "deliver", "LOADED", "EMPTY"),
        one(60, "load", "EMPTY", "LOADED"),
        // 03:00 in Berlin is 02:00 UTC in winter.
        one(120, "nightly", "LOADED", "LOST"),
    ];
    assert_eq!(told(&machine, &moves), expected);
    let counts = entities.counts();
    assert_eq!((counts.addressed, counts.transitions, counts.refused), (5, 3, 1));
    assert_eq!((counts.repeated, counts.timed), (1, 1));
}

#[test]
fn local_times_come_once_a_day_also_when_clocks_change() {
    let at = |text: &str| crate::flow::Timestamp::parse_rfc3339(text).unwrap().0;
    let next = |since: &str, minute| timers::next_local(Tz::Europe__Berlin, at(since), minute);
    // 02:30 does not come on 29 March: the first instant after the gap.
    assert_eq!(next("2026-03-28T22:00:00Z", 150), Some(at("2026-03-29T01:00:00Z")));
    // 02:30 comes twice on 25 October: the first one counts, and the second is not another day's.
    assert_eq!(next("2026-10-24T22:00:00Z", 150), Some(at("2026-10-25T00:30:00Z")));
    assert_eq!(next("2026-10-25T00:30:00Z", 150), Some(at("2026-10-26T01:30:00Z")));
    assert_eq!(next("2026-07-01T21:59:59Z", 0), Some(at("2026-07-01T22:00:00Z")));
    assert_eq!(next("2026-07-01T22:00:00Z", 0), Some(at("2026-07-02T22:00:00Z")));
}

#[test]
fn what_is_wrong_with_a_machine_is_said_with_its_place() {
    let text = "description: d
entity: [lab_id, nothing]
events:
  center.event: { says: load }
begins: [A]
finished: [Z]
transitions:
  - { name: go, from: A, on: load, to: B }
  - { name: again, from: A, on: load, to: A }
  - { name: lift, from: B, on: heave, to: C }
";
    let faults = read_text("box.yaml", text).unwrap_err();
    let mut told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    told.sort_by_key(|fault| fault.split(':').nth(1).and_then(|line| line.parse::<u32>().ok()));
    assert_eq!(
        told,
        [
            "box.yaml:2:18: the event has no column `nothing`. name a column of the event (see docs/events.md)",
            "box.yaml:6:12: there is no state `Z`. name a state of the line, of a transition or of a timer",
            "box.yaml:9:5: `go` and `again` both lead from `A` on `load`. give the first one a `when`, or take one of them out",
            "box.yaml:10:5: no event says `heave`. name a word that `events` says",
        ]
    );
    let text = "description: d
entity: [lab_id, reason, version, to_state]
events:
  center.event: { word: center_event }
transitions:
  - { name: go, from: new, on: load, to: A }
timers:
  - { name: again, in: A, after: 1h, to: A }
  - { name: over, in: B, after: 1h, to: A }
  - { name: quiet, in: A, silence: 3, to: B }
  - { name: loud, in: B, silence: 2, to: A }
finished: [B]
";
    let faults = read_text("box.yaml", text).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        "box.yaml:2:26: the column `version` holds no text",
        "box.yaml:2:35: `to_state` is what the machine tells of the entity",
        "box.yaml:8:5: the timer `again` leads from `A` to itself",
        "box.yaml:9:5: the timer `over` runs in `B`, which is finished",
        "box.yaml:10:5: after `quiet` the silence of `loud` is over at once",
        "box.yaml:11:5: the timer `loud` runs in `B`, which is finished",
    ];
    for one in expected {
        assert!(told.iter().any(|fault| fault.starts_with(one)), "{one}: {told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    let text = "description: d
entity: [lab_id]
events:
  center.event: { says: load }
transitions:
  - { name: go, from: new, on: load, to: B }
  - { name: off, from: X, on: load, to: C }
";
    let faults = read_text("box.yaml", text).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("box.yaml:6:42: nothing leads from the state `B`"), "{told:?}");
    assert!(told[1].starts_with("box.yaml:7:24: nothing leads to the state `X`"), "{told:?}");
}
