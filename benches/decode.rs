//! Decoding alone, beside arrow-json on the same bytes, and what follows it up to the windows.
//!
//! `make bench` runs it. Throughput is in bytes of NDJSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::Schema;
use arrow::json::ReaderBuilder;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use turnaround::config::Project;
use turnaround::decode::{DecodeOptions, Decoded, Repeats, decode};
use turnaround::flow::event::{EVENT_FIELDS, EVENT_SCHEMA};
use turnaround::flow::{Framing, Partition, RawBatch, Span, Timestamp};
use turnaround::lifecycle::WantedRows;
use turnaround::lifecycle::cut::BatchRises;
use turnaround::lifecycle::{
    self, JudgedEvents, Lifecycle, LifecycleShared, Prepared, TestSettings,
};
use turnaround::reference::Reference;

fn main() {
    divan::main();
}

const ROWS: u64 = 30_000;

/// The fields of the feed's rows.
const FEED: [&str; 11] = [
    "event_id",
    "specimen_id",
    "lab_id",
    "assay",
    "machine_id",
    "operator_id",
    "priority",
    "status",
    "error_code",
    "received_at",
    "processed_at",
];

/// Rows as a laboratory system writes them: 50 labs, 20 assays, ordered by completion.
static BATCH: LazyLock<RawBatch> = LazyLock::new(|| {
    let mut text = String::new();
    for i in 0..ROWS {
        let h = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let processed = Timestamp(1_772_323_200_000_000 + i as i64 * 2 * Span::SECOND.0);
        let received = processed.minus(Span((1800 + (h % 5000) as i64) * Span::SECOND.0));
        let (lab, assay, machine, operator) =
            (1 + h % 50, h / 7 % 20, 1 + h / 11 % 40, h / 13 % 200);
        let priority = if h / 17 % 5 == 0 { "STAT" } else { "ROUTINE" };
        let (status, code) =
            if h / 19 % 40 == 0 { ("ERROR", "\"E03\"") } else { ("COMPLETED", "null") };
        let written = writeln!(
            text,
            "{{\"event_id\":\"E{i}\",\"specimen_id\":\"S{i:09}\",\"lab_id\":\"lab-{lab:02}\",\
             \"assay\":\"A{assay:02}\",\"machine_id\":\"M-{machine:02}\",\
             \"operator_id\":\"OP-{operator:03}\",\"priority\":\"{priority}\",\
             \"status\":\"{status}\",\"error_code\":{code},\"received_at\":\"{received}\",\
             \"processed_at\":\"{processed}\"}}"
        );
        written.expect("a String takes every text");
    }
    RawBatch {
        partition: Arc::new(Partition { topic: "feed".into(), index: 0 }),
        bytes: Bytes::from(text),
        framing: Framing::Lines { first_offset: 0, record_time: Timestamp(1_900_000_000_000_000) },
    }
});

fn options(columns: Option<BTreeSet<usize>>) -> DecodeOptions {
    DecodeOptions { default_lab: None, max_future: Span(5 * Span::MINUTE.0), columns }
}

/// The columns that tests are followed by.
fn followed() -> BTreeSet<usize> {
    let columns = lifecycle::columns(shared().machine());
    let fields = EVENT_FIELDS.iter().enumerate();
    fields.filter(|(_, (name, _))| columns.contains(*name)).map(|(place, _)| place).collect()
}

fn shared() -> LifecycleShared {
    let project = Project::load(None).expect("the shipped project has no faults");
    let machine = project.machines.iter().find(|machine| machine.spec.name == "test");
    let settings = TestSettings {
        reference: Arc::new(Reference::new(&project.reference_rows, 4.0)),
        at_risk_share: 0.8,
        keep_finished: Span(48 * Span::HOUR.0),
    };
    LifecycleShared::new(machine.expect("it is shipped").clone(), settings).expect("it is whole")
}

fn decoded() -> Decoded {
    decode(&BATCH, &options(Some(followed())))
}

#[divan::bench]
fn all_columns(bencher: Bencher) {
    let options = options(None);
    bencher
        .counter(BytesCount::new(BATCH.bytes.len()))
        .counter(ItemsCount::new(ROWS))
        .bench(|| decode(&BATCH, &options));
}

#[divan::bench]
fn columns_of_tests(bencher: Bencher) {
    let options = options(Some(followed()));
    bencher
        .counter(BytesCount::new(BATCH.bytes.len()))
        .counter(ItemsCount::new(ROWS))
        .bench(|| decode(&BATCH, &options));
}

#[divan::bench]
fn arrow_json(bencher: Bencher) {
    let position = |name: &&str| EVENT_FIELDS.iter().position(|(field, _)| field == name);
    let fields: Vec<usize> = FEED.iter().filter_map(position).collect();
    let schema: Arc<Schema> =
        Arc::new(EVENT_SCHEMA.project(&fields).expect("the feed's fields are the schema's"));
    bencher.counter(BytesCount::new(BATCH.bytes.len())).counter(ItemsCount::new(ROWS)).bench(
        || {
            let reader = ReaderBuilder::new(schema.clone()).with_batch_size(ROWS as usize);
            let mut decoder = reader.build_decoder().expect("the schema can be read");
            decoder.decode(&BATCH.bytes).expect("the feed is well formed");
            decoder.flush().expect("the feed is well typed")
        },
    );
}

#[divan::bench]
fn repeats(bencher: Bencher) {
    let decoded = decoded();
    let (times, watermarks) = (vec![0; ROWS as usize], vec![0; ROWS as usize]);
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| Repeats::new(Span::HOUR))
        .bench_values(|mut repeats| repeats.find(&decoded.identities, &times, &watermarks));
}

#[divan::bench]
fn steps_of_tests(bencher: Bencher) {
    let (decoded, shared) = (decoded(), shared());
    let times = decoded.events.times().expect("events have times");
    let watermarks: Vec<i64> = times.iter().map(|time| time - Span::MINUTE.0).collect();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| prepared(&shared, &decoded, &watermarks));
}

/// Tests that are each told of by one row: the receipt is implied, and each completes.
#[divan::bench]
fn tests_of_rows(bencher: Bencher) {
    let (decoded, shared) = (decoded(), shared());
    let times = decoded.events.times().expect("events have times");
    let watermarks: Vec<i64> = times.iter().map(|time| time - Span::MINUTE.0).collect();
    let last = times.last().copied().unwrap_or_default();
    let rises = BatchRises::of(decoded.events.offsets.iter().copied().zip(watermarks.clone()));
    let wanted = WantedRows { completions: true, ..WantedRows::default() };
    let inputs =
        || (Lifecycle::new(shared.clone(), wanted), prepared(&shared, &decoded, &watermarks));
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(inputs).bench_values(
        |(mut tests, steps)| tests.batch(&decoded.events.partition, (steps, &rises), last),
    );
}

fn prepared(shared: &LifecycleShared, decoded: &Decoded, watermarks: &[i64]) -> Prepared {
    let events = JudgedEvents {
        rows: &decoded.events.rows,
        offsets: &decoded.events.offsets,
        times: decoded.events.times().expect("events have times"),
        watermark_before: watermarks,
        guards: &[],
        counted: None,
    };
    shared.prepare(events).expect("columns are of their types")
}
