//! throwaway
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use turnaround::decode::{DecodeOptions, decode};
use turnaround::flow::event::*;
use turnaround::flow::*;
use turnaround::relate::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let bytes = Bytes::from(std::fs::read(&args[1]).unwrap());
    let size: usize = args[2].parse().unwrap();
    let rounds: usize = args[3].parse().unwrap();
    let what = args[4].as_str();
    let wanted = ["lab_id", "assay", "tat_minutes"];
    let columns = Relation::Completions.columns();
    let needed: Vec<usize> =
        (0..columns.len()).filter(|i| wanted.contains(&columns[*i].name)).collect();
    let cols: Option<BTreeSet<usize>> =
        if what == "few" { Some(event_columns(Relation::Completions, &needed)) } else { None };
    let options =
        DecodeOptions { default_lab: None, max_future: Span(5 * Span::MINUTE.0), columns: cols };
    let mut batches = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let end = (at + size).min(bytes.len());
        let end = memchr::memchr(b'\n', &bytes[end.saturating_sub(1)..])
            .map_or(bytes.len(), |p| end.saturating_sub(1) + p + 1);
        batches.push(RawBatch {
            partition: Arc::new(Partition { topic: "f".into(), index: 0 }),
            bytes: bytes.slice(at..end),
            framing: Framing::Lines {
                first_offset: 0,
                record_time: Timestamp(1_900_000_000_000_000),
            },
        });
        at = end;
    }
    let mut mins = vec![f64::MAX; batches.len()];
    let mut all = 0.0;
    let mut rows = 0u64;
    for _ in 0..rounds {
        rows = 0;
        let mut best_sum = 0.0;
        for (i, b) in batches.iter().enumerate() {
            let t = Instant::now();
            if what == "arrow" {
                let feed = [
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
                let f: Vec<usize> = feed
                    .iter()
                    .filter_map(|n| EVENT_FIELDS.iter().position(|(x, _)| x == n))
                    .collect();
                let schema = Arc::new(EVENT_SCHEMA.project(&f).unwrap());
                let mut d = arrow::json::ReaderBuilder::new(schema)
                    .with_batch_size(1 << 22)
                    .build_decoder()
                    .unwrap();
                d.decode(&b.bytes).unwrap();
                rows += d.flush().unwrap().unwrap().num_rows() as u64;
            } else {
                rows += decode(b, &options).events.rows.num_rows() as u64;
            }
            let e = t.elapsed().as_secs_f64(); best_sum += e; mins[i] = mins[i].min(e);
        }
        all += best_sum;
    }
    println!(
        "{what} size {size}: best {:.1} ns/row {:.0} MB/s; mean {:.1} ns/row; rows {rows}",
        best * 1e9 / rows as f64,
        bytes.len() as f64 / best / 1e6,
        all / rounds as f64 * 1e9 / rows as f64
    );
}
