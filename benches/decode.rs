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
use turnaround::decode::{DecodeOptions, Decoded, Repeats, decode};
use turnaround::flow::event::{EVENT_FIELDS, EVENT_SCHEMA};
use turnaround::flow::{Framing, Partition, RawBatch, Span, Timestamp};
use turnaround::reference::{Target, Targets};
use turnaround::relate::{Relation, event_columns, relate};

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

/// The columns that turnaround-time percentiles by lab and assay need.
fn percentiles() -> Vec<usize> {
    let wanted = ["lab_id", "assay", "tat_minutes"];
    let columns = Relation::Completions.columns();
    (0..columns.len()).filter(|i| wanted.contains(&columns[*i].name)).collect()
}

fn decoded() -> Decoded {
    let columns = event_columns(Relation::Completions, &percentiles());
    decode(&BATCH, &options(Some(columns)))
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
fn columns_of_percentiles(bencher: Bencher) {
    let options = options(Some(event_columns(Relation::Completions, &percentiles())));
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
fn completions_of_percentiles(bencher: Bencher) {
    let (decoded, needed) = (decoded(), percentiles());
    let targets = Targets::new(&[], 4.0);
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench(|| relate(&decoded.events, Relation::Completions, &needed, &targets));
}

#[divan::bench]
fn completions_with_targets(bencher: Bencher) {
    let columns = Relation::Completions.columns();
    let needed: Vec<usize> = (0..columns.len()).collect();
    let decoded = decode(&BATCH, &options(None));
    let target = |assay: u64, priority: &str| Target {
        lab_id: None,
        assay: Some(format!("A{assay:02}")),
        priority: Some(priority.to_owned()),
        patient_class: None,
        target_minutes: Some(60.0),
        ..Target::default()
    };
    let rows: Vec<Target> =
        (0..20).flat_map(|assay| ["S", "R"].map(|priority| target(assay, priority))).collect();
    let targets = Targets::new(&rows, 4.0);
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench(|| relate(&decoded.events, Relation::Completions, &needed, &targets));
}
