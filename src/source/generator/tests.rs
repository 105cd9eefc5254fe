//! The feed as a whole, against what was asked for. Against the published figures: `survey`.

// long because one feed is made once and looked at from every side.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::*;
use crate::flow::event::EVENT_FIELDS;
use crate::flow::{Framing, Span};
use crate::source::{Source, SourceEvent};

pub(super) fn perfect(profile: Profile) -> GeneratorOptions {
    GeneratorOptions { faults: FaultRates::NONE, ..GeneratorOptions::new(profile) }
}

pub(super) fn feed(options: GeneratorOptions) -> Vec<Generated> {
    Generator::new(options).expect("valid options").collect()
}

pub(super) fn json(record: &Generated) -> Value {
    serde_json::from_slice(&record.line).expect("one JSON object")
}

pub(super) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or("")
}

/// A field's instant in seconds since the epoch.
pub(super) fn seconds(event: &Value, field: &str) -> i64 {
    Timestamp::parse_rfc3339(text(event, field)).expect(field).0 / SECOND_US
}

/// The event's time: its own, or in the row form the later of the row's.
pub(super) fn event_time_s(event: &Value) -> i64 {
    let field = ["event_time", "processed_at", "received_at"]
        .into_iter()
        .find(|field| event.get(field).is_some());
    seconds(event, field.expect("a time"))
}

/// Of an even number of values, the middle of the two in the middle.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_others() {
    for profile in [Profile::Demo, Profile::StarterKit, Profile::Network] {
        let options = GeneratorOptions { events: Some(4000), ..GeneratorOptions::new(profile) };
        let once = feed(options.clone());
        assert_eq!(once.len(), 4000);
        assert_eq!(once, feed(options.clone()));
        assert_ne!(once, feed(GeneratorOptions { seed: 2, ..options }));
    }
}

#[test]
fn a_laboratory_does_not_depend_on_how_many_others_there_are() {
    let of_first = |labs| {
        let options =
            GeneratorOptions { labs: Some(labs), days: Some(0.5), ..perfect(Profile::Network) };
        let lines = feed(options).into_iter().filter(|r| r.key.starts_with("lab-0001:"));
        lines.map(|record| record.line).collect::<Vec<_>>()
    };
    let alone = of_first(1);
    assert!(alone.len() > 500, "{}", alone.len());
    assert_eq!(alone, of_first(7));
}

#[test]
fn every_line_is_an_object_of_known_fields_with_an_id_of_its_own() {
    let known: BTreeSet<&str> = EVENT_FIELDS.iter().map(|(name, _)| *name).collect();
    for profile in [Profile::Demo, Profile::StarterKit, Profile::Network] {
        let mut known_ids = BTreeSet::new();
        let mut last_seq: HashMap<String, u64> = HashMap::new();
        for record in feed(GeneratorOptions { events: Some(30_000), ..perfect(profile) }) {
            assert!(!record.line.contains(&b'\n'));
            let event = json(&record);
            for field in event.as_object().expect("an object").keys() {
                assert!(known.contains(field.as_str()), "{field} in {event}");
            }
            let lab = text(&event, "lab_id").to_owned();
            let ids = [text(&event, "specimen_id"), text(&event, "machine_id")];
            let key = match ids.into_iter().find(|id| !id.is_empty()) {
                Some(entity) => format!("{lab}:{entity}"),
                None => lab.clone(),
            };
            assert_eq!(record.key, key, "{event}");
            assert!(known_ids.insert(text(&event, "event_id").to_owned()), "{event}");
            let seq = event["seq"].as_u64().expect("seq");
            assert_eq!(seq, last_seq.get(&lab).map_or(1, |last| last + 1), "{event}");
            last_seq.insert(lab, seq);
        }
    }
}

#[test]
fn without_faults_the_feed_is_within_max_disorder() {
    for (profile, max_disorder) in [
        (Profile::Demo, Span::MINUTE),
        (Profile::StarterKit, Span(5 * Span::SECOND.0)),
        (Profile::Network, Span(0)),
    ] {
        let options = GeneratorOptions { max_disorder, events: Some(40_000), ..perfect(profile) };
        let (mut largest, mut worst, mut last) = (i64::MIN, 0, Timestamp::MIN);
        for record in feed(options) {
            let at = event_time_s(&json(&record)) * SECOND_US;
            largest = largest.max(at);
            worst = worst.max(largest - at);
            assert!(record.arrival >= last);
            assert!((0..=max_disorder.0 / 2).contains(&(record.arrival.0 - at)));
            last = record.arrival;
        }
        assert!(worst <= max_disorder.0, "{profile}: {worst}");
        // It does have disorder where some is allowed.
        assert_eq!(worst > 0, max_disorder.0 > 0, "{profile}: {worst}");
    }
}

/// The states that may follow a state of a test (the words stand in `docs/events.md#fields`).
fn may_follow(from: &str, to: &str) -> bool {
    let allowed: &[&str] = match from {
        // An order that is told test by test is cancelled with its tube.
        "" => &["ORDERED", "COLLECTED", "CANCELLED"],
        "ORDERED" => &["COLLECTED", "CANCELLED"],
        "COLLECTED" => &["IN_TRANSIT", "RECEIVED", "REJECTED", "LOST"],
        "IN_TRANSIT" => &["RECEIVED", "REJECTED", "LOST"],
        "RECEIVED" => &["IN_PROCESS", "REJECTED", "CANCELLED", "REFERRED", "LOST"],
        "IN_PROCESS" => &["RESULTED", "ERROR", "LOST"],
        "ERROR" => &["IN_PROCESS", "LOST"],
        "RESULTED" => &["VERIFIED", "REPEATED", "LOST"],
        "REPEATED" => &["RESULTED", "LOST"],
        "REFERRED" => &["RESULTED"],
        "VERIFIED" => &["PUBLISHED", "INVALIDATED", "STORED"],
        "PUBLISHED" => &["CORRECTED", "INVALIDATED", "STORED"],
        "CORRECTED" => &["CORRECTED", "INVALIDATED", "STORED"],
        "INVALIDATED" => &["IN_PROCESS"],
        "STORED" => &["DISPOSED"],
        _ => &[],
    };
    allowed.contains(&to)
}

/// Follows every test of a feed through its states. Tells how often each event type, and each state,
/// was seen.
fn follow(options: GeneratorOptions) -> BTreeMap<String, u32> {
    let mut tube_state: HashMap<String, String> = HashMap::new();
    let mut test_state: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    let mut last_time: HashMap<String, i64> = HashMap::new();
    let mut seen = BTreeMap::new();
    for record in feed(options) {
        let event = json(&record);
        let at = event_time_s(&event);
        if let Some(before) = last_time.insert(record.key.clone(), at) {
            assert!(before <= at, "{event}");
        }
        let kind = text(&event, "event_type");
        let to = match kind {
            "specimen.transition" => text(&event, "to_state"),
            "result.repeat" => "REPEATED",
            "result.corrected" => "CORRECTED",
            _ => "",
        };
        *seen.entry(if to.is_empty() { kind } else { to }.to_owned()).or_insert(0) += 1;
        if to.is_empty() {
            continue;
        }
        let assay = text(&event, "assay").to_owned();
        let of_tube = tube_state.get(&record.key).cloned().unwrap_or_default();
        let tests = test_state.entry(record.key.clone()).or_default();
        if !assay.is_empty() {
            let place = tests.entry(assay).or_insert(of_tube);
            assert!(may_follow(place, to), "{place} to {to}: {event}");
            *place = to.to_owned();
            continue;
        }
        // An event of the tube moves each of its tests, and those that it is not known to have.
        if tests.is_empty() {
            assert!(may_follow(&of_tube, to), "{of_tube} to {to}: {event}");
        }
        for place in tests.values_mut() {
            assert!(may_follow(place, to), "{place} to {to}: {event}");
            *place = to.to_owned();
        }
        tube_state.insert(record.key, to.to_owned());
    }
    seen
}

#[test]
fn the_records_of_a_specimen_are_in_order_and_every_transition_is_allowed() {
    let seen = follow(GeneratorOptions { days: Some(2.0), ..perfect(Profile::Demo) });
    for kind in ["order.created", "result.critical", "critical.notified", "instrument.state"] {
        assert!(seen.get(kind).is_some_and(|count| *count > 10), "{kind}: {seen:?}");
    }
    for kind in ["STORED", "LOST", "REFERRED", "INVALIDATED", "center.event"] {
        assert!(!seen.contains_key(kind), "the plain course has no {kind}");
    }
}

#[test]
fn the_full_course_takes_no_way_that_the_test_does_not_know() {
    let options = GeneratorOptions { labs: Some(8), days: Some(9.0), ..perfect(Profile::Network) };
    let seen = follow(options);
    for kind in [
        "STORED",
        "DISPOSED",
        "LOST",
        "REFERRED",
        "INVALIDATED",
        "CORRECTED",
        "CANCELLED",
        "center.event",
    ] {
        assert!(seen.get(kind).is_some_and(|count| *count > 2), "{kind}: {seen:?}");
    }
}

/// Everything of an event but what counts events.
fn without_counters(record: &Generated) -> String {
    let mut event = json(record);
    let fields = event.as_object_mut().expect("an object");
    fields.remove("event_id");
    fields.remove("seq");
    event.to_string()
}

#[test]
fn the_full_course_is_the_plain_one_and_more() {
    let with = |course| {
        let options = GeneratorOptions { course, days: Some(1.0), ..perfect(Profile::Demo) };
        feed(options).iter().map(without_counters).collect::<Vec<_>>()
    };
    let (plain, full) = (with(TestCourse::Plain), with(TestCourse::Full));
    let full: BTreeSet<&String> = full.iter().collect();
    let kept = plain.iter().filter(|line| full.contains(line)).count() as f64 / plain.len() as f64;
    // What becomes of a tube seldom changes a few in a hundred of its events, and each critical
    // result's.
    assert!((0.93..0.999).contains(&kept), "{kept} of {} events", plain.len());
    assert!(full.len() as f64 > 1.02 * plain.len() as f64, "{} of {}", full.len(), plain.len());
}

#[test]
fn events_carry_the_times_that_durations_need() {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for record in feed(GeneratorOptions { days: Some(1.5), ..perfect(Profile::Demo) }) {
        let event = json(&record);
        let needed: &[&str] = match text(&event, "to_state") {
            "VERIFIED" => &[
                "assay",
                "ordered_at",
                "collected_at",
                "received_at",
                "processed_at",
                "machine_id",
                "operator_id",
                "priority",
                "patient_class",
                "location",
            ],
            "ERROR" => &["assay", "received_at", "machine_id", "error_code"],
            "REJECTED" => &["reject_reason", "collected_at"],
            _ => continue,
        };
        let state = text(&event, "to_state").to_owned();
        for field in needed {
            assert!(event.get(field).is_some(), "{field} is missing in {event}");
        }
        if state == "VERIFIED" {
            assert!(event["auto_verified"].is_boolean());
            let order = ["ordered_at", "collected_at", "received_at", "processed_at", "event_time"];
            let times = order.map(|field| seconds(&event, field));
            assert!(times.is_sorted(), "{event}");
        } else if state == "REJECTED" {
            assert!(event.get("assay").is_none());
        }
        *counts.entry(state).or_default() += 1;
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
}

pub(super) fn assert_near(what: &str, actual: f64, expected: f64, tolerance: f64) {
    assert!(
        (actual - expected).abs() <= tolerance,
        "{what}: {actual} is not {expected} ± {tolerance}"
    );
}

#[test]
fn faults_come_at_their_rates_and_are_counted() {
    let options = GeneratorOptions {
        events: Some(150_000),
        faults: FaultRates { refused: 0.01, ..FaultRates::ALL },
        ..GeneratorOptions::new(Profile::Demo)
    };
    let mut generator = Generator::new(options).expect("valid options");
    let (mut malformed, mut vendor, mut repeated, mut unknown, mut refused) = (0, 0, 0, 0, 0);
    let (mut late, mut future, mut verified) = (0, 0, 0);
    let mut ids = BTreeSet::new();
    let mut last = Timestamp::MIN;
    for record in &mut generator {
        assert!(record.arrival >= last && !record.line.contains(&b'\n') && !record.line.is_empty());
        last = record.arrival;
        let Ok(event @ Value::Object(_)) = serde_json::from_slice::<Value>(&record.line) else {
            malformed += 1;
            continue;
        };
        vendor += u64::from(event.get("x_vendor").is_some());
        unknown += u64::from(
            text(&event, "to_state") == "SCANNED" || text(&event, "event_type") == "vendor.custom",
        );
        repeated += u64::from(!ids.insert(text(&event, "event_id").to_owned()));
        verified += u64::from(text(&event, "to_state") == "VERIFIED");
        let collected_with_assay =
            text(&event, "to_state") == "COLLECTED" && event.get("assay").is_some();
        refused += u64::from(collected_with_assay);
        match Timestamp::parse_rfc3339(text(&event, "event_time")) {
            None => future += 1,
            Some(at) if at.0 > record.arrival.0 + 3 * Span::MINUTE.0 => future += 1,
            // Later than a skewed clock and a repetition can explain.
            Some(at) if record.arrival.0 - at.0 > 5 * Span::MINUTE.0 => late += 1,
            Some(_) => {}
        }
    }
    let counters = generator.counters();
    assert_eq!(counters.events, 150_000);
    assert_eq!(counters.malformed, malformed);
    assert_eq!(counters.unknown_field, vendor);
    assert_eq!(counters.unknown_status, unknown);
    assert_eq!(counters.repeated, repeated);
    assert_eq!(counters.refused, refused);
    assert_eq!(counters.future, future);
    let n = 150_000.0;
    assert_near("late", late as f64 / n, 0.01, 0.0012);
    assert_near("late, counted", counters.late as f64 / n, 0.01, 0.001);
    assert_near("repeated", repeated as f64 / n, 0.001, 0.0003);
    assert_near("malformed", malformed as f64 / n, 0.0005, 0.0002);
    assert_near("future", future as f64 / n, 0.0005, 0.0002);
    assert_near("unknown status", unknown as f64 / n, 0.0005, 0.0002);
    assert_near("unknown field", vendor as f64 / n, 0.001, 0.0003);
    assert_near("refused", refused as f64 / verified as f64, 0.01, 0.002);
}

#[test]
fn one_fault_leaves_the_others_and_the_events_where_they_were() {
    let with = |faults| {
        let options =
            GeneratorOptions { days: Some(0.5), faults, ..GeneratorOptions::new(Profile::Demo) };
        feed(options)
    };
    let clean = with(FaultRates::NONE);
    let mut late = with(FaultRates { late: 0.05, ..FaultRates::NONE });
    assert_ne!(clean, late);
    let mut sorted: Vec<_> = clean.iter().map(|record| record.line.clone()).collect();
    sorted.sort();
    let on_time: HashMap<&[u8], i64> =
        clean.iter().map(|record| (&record.line[..], record.arrival.0)).collect();
    let held = late.iter().map(|record| record.arrival.0 - on_time[&record.line[..]]);
    let held: Vec<i64> = held.filter(|held_us| *held_us != 0).collect();
    assert!(held.iter().all(|us| (5 * Span::MINUTE.0..=Span::HOUR.0).contains(us)));
    // 5 % of them, and 4 standard errors.
    let (n, share) = (clean.len() as f64, held.len() as f64 / clean.len() as f64);
    assert_near("late", share, 0.05, 4.0 * (0.05 * 0.95 / n).sqrt());
    late.sort_by(|a, b| a.line.cmp(&b.line));
    assert!(sorted.iter().eq(late.iter().map(|record| &record.line)));
}

#[test]
fn the_starter_kit_has_1200_specimens_a_day_and_7_percent_errors() {
    let rows: Vec<Value> = feed(perfect(Profile::StarterKit)).iter().map(json).collect();
    assert_eq!(rows.len(), 7200);
    let start = DEFAULT_FROM.0 / SECOND_US;
    let mut received_on = BTreeMap::new();
    let mut values: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    let mut errors = 0.0;
    for row in &rows {
        assert_eq!(text(row, "event_type"), "specimen.snapshot");
        for field in ["assay", "machine_id", "status", "error_code"] {
            values.entry(field).or_default().insert(text(row, field));
        }
        match text(row, "status") {
            "RECEIVED" => {
                let day = (seconds(row, "received_at") - start) / 86_400;
                *received_on.entry(day).or_insert(0) += 1;
                assert!(row.get("processed_at").is_none() && row.get("machine_id").is_none());
            }
            "ERROR" => errors += 1.0,
            _ => assert!(row.get("error_code").is_none()),
        }
    }
    assert_eq!(received_on, BTreeMap::from([(0, 1200), (1, 1200), (2, 1200)]));
    assert_near("errors", errors / 3600.0, 0.07, 0.013);
    let set = |items: &[&'static str]| items.iter().copied().collect::<BTreeSet<&str>>();
    assert_eq!(values["assay"], set(&["CBC", "Chem7", "PCR"]));
    assert_eq!(values["machine_id"], set(&["", "M1", "M2", "M3", "M4", "M5"]));
    assert_eq!(values["error_code"], set(&["", "E01", "E02", "E03", "E04", "E05"]));
    assert_eq!(values["status"], set(&["RECEIVED", "COMPLETED", "ERROR"]));
}

#[test]
fn the_demo_tells_of_a_slow_analyser_on_monday_afternoon_in_the_west() {
    // Monday 2026-03-02 12:30 to 17:00 in New York, UTC-5.
    let afternoon = 1_772_472_600..1_772_488_800;
    let (mut slow, mut usual, mut days) = (Vec::new(), Vec::new(), BTreeSet::new());
    for record in feed(perfect(Profile::Demo)) {
        let event = json(&record);
        days.insert((event_time_s(&event) * SECOND_US - DEFAULT_FROM.0) / Span::DAY.0);
        let chosen = text(&event, "lab_id") == "lab-west"
            && text(&event, "to_state") == "VERIFIED"
            && text(&event, "priority") == "R"
            && text(&event, "machine_id").starts_with("CH")
            && afternoon.contains(&seconds(&event, "received_at"));
        if chosen {
            let minutes = (event_time_s(&event) - seconds(&event, "received_at")) as f64 / 60.0;
            let on_slow = text(&event, "machine_id") == "CH1";
            if on_slow { slow.push(minutes) } else { usual.push(minutes) }
        }
    }
    assert_eq!(days, BTreeSet::from([0, 1, 2]));
    let ratio = median(&mut slow) / median(&mut usual);
    assert!((2.0..3.3).contains(&ratio), "{ratio} of {} and {}", slow.len(), usual.len());
}

#[test]
fn memory_follows_what_is_open_not_the_length_of_the_feed() {
    let options = GeneratorOptions {
        labs: Some(6),
        days: Some(12.0),
        ..GeneratorOptions::new(Profile::Network)
    };
    let mut generator = Generator::new(options).expect("valid options");
    let week = DEFAULT_FROM.plus(Span(7 * Span::DAY.0));
    let (mut first_week, mut later) = (0, 0);
    let (mut line, mut slots) = (Vec::new(), 0);
    while let Some(at) = generator.write_next(&mut line, None) {
        line.clear();
        if at < week {
            first_week = first_week.max(generator.open());
            slots = generator.tubes.len();
        } else {
            later = later.max(generator.open());
        }
    }
    assert!(first_week > 200 && later < first_week * 5 / 4, "{first_week}, then {later}");
    assert!(generator.tubes.len() < slots * 5 / 4, "{slots}, then {}", generator.tubes.len());
}

#[tokio::test]
async fn the_source_delivers_every_record_once_and_ends() {
    let options = GeneratorOptions { events: Some(9000), ..GeneratorOptions::new(Profile::Demo) };
    let expected = feed(options.clone());
    let mut source = GeneratorSource::new(options).expect("valid options");
    assert_eq!(source.partitions()[0].to_string(), "generator:demo-0");
    assert_eq!(source.generator().expected_events(), Some(9000));
    let (mut read, mut batches) = (Vec::new(), 0);
    loop {
        match source.next().await.expect("no fault") {
            SourceEvent::Batch(batch) => {
                batches += 1;
                let Framing::Records(frames) = batch.framing else { panic!("records") };
                for frame in frames {
                    assert_eq!(frame.offset, read.len() as i64);
                    read.push((frame.record_time, batch.bytes[frame.start..frame.end].to_vec()));
                }
            }
            SourceEvent::End => break,
            SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) | SourceEvent::Quiet => {}
        }
    }
    assert!(batches > 1);
    assert!(read.into_iter().eq(expected.into_iter().map(|record| (record.arrival, record.line))));
}

#[test]
fn wrong_options_are_refused_with_the_remedy() {
    let fault = |change: fn(&mut GeneratorOptions)| {
        let mut options = GeneratorOptions::new(Profile::Demo);
        change(&mut options);
        Generator::new(options).map(|_| ()).map_err(|fault| fault.to_string())
    };
    assert_eq!(fault(|_| {}), Ok(()));
    assert!(fault(|o| o.labs = Some(0)).is_err_and(|text| text.contains("write 1 to")));
    assert!(fault(|o| o.days = Some(f64::NAN)).is_err_and(|text| text.contains("above 0")));
    assert!(fault(|o| o.faults.late = 1.5).is_err_and(|text| text.contains("`late`")));
    assert!(fault(|o| o.from = Timestamp(-1)).is_err_and(|text| text.contains("1970")));
    let unknown = "demos".parse::<Profile>().map_err(|fault| fault.to_string());
    assert_eq!(
        unknown,
        Err("`demos` is not a profile; write demo, starter-kit or network".to_owned())
    );
}
