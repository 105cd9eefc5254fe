//! What stands on a lake, in the words of the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::case::clock_face;

/// A lake's folder.
pub(crate) struct Found<'a>(pub(crate) &'a Path);

/// A result row: its window and revision, and the row in the words of the cases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) window: (i64, i64),
    pub(crate) revision: i64,
    pub(crate) text: String,
}

impl Found<'_> {
    /// Every object's name below a folder of the lake, with its bytes.
    pub(crate) fn objects(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut paths = Vec::new();
        collect(&self.0.join(folder), &mut paths);
        let named = paths.into_iter().map(|path| {
            let name = path.strip_prefix(self.0).expect("it was found below");
            let name = name.to_string_lossy().into_owned();
            // An object that has left since has no bytes.
            (name, std::fs::read(&path).unwrap_or_default())
        });
        named.filter(|(name, _)| !name.contains('#')).collect()
    }

    /// A table's rows of days that have settled and of those that have not.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        let mut rows = BTreeSet::new();
        for folder in ["tables", "live"] {
            for batch in self.batches(&format!("{folder}/{table}")) {
                rows.extend((0..batch.num_rows()).map(|row| result_row(&batch, row)));
            }
        }
        rows.into_iter().collect()
    }

    /// Days that have settled.
    pub(crate) fn settled(&self) -> Vec<String> {
        let names = self.objects("tables").into_keys();
        let mut days: Vec<String> = names
            .filter_map(|name| {
                let (table, rest) = name.strip_prefix("tables/")?.split_once("/day=")?;
                Some(format!("{table} {}", rest.split('/').next()?))
            })
            .collect();
        days.sort();
        days
    }

    /// Rows that missed every window of a table.
    pub(crate) fn late(&self) -> Vec<String> {
        self.each("late", |batch, row| {
            let table = batch["table_name"].as_string::<i32>().value(row);
            let [time, watermark] =
                ["event_time", "watermark"].map(|name| clock_face(micros(batch, name, row)));
            format!("{table} {} {time} watermark={watermark}", position(batch, row))
        })
    }

    /// Records that could not become events.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        self.each("dead_letters", |batch, row| {
            let reason = batch["reason"].as_string::<i32>().value(row);
            format!("{} {reason}", position(batch, row))
        })
    }

    /// What was odd in the stream.
    pub(crate) fn quality(&self) -> Vec<String> {
        self.each("quality", |batch, row| {
            let text = |name: &str| batch[name].as_string::<i32>().value(row).to_owned();
            let [time, line] =
                ["event_time", "line"].map(|name| clock_face(micros(batch, name, row)));
            let noticed = batch["noticed_offset"].as_primitive::<Int64Type>().value(row);
            let [kind, lab, machine] = ["kind", "lab_id", "machine_id"].map(text);
            let place = position(batch, row);
            format!("{kind} {place} {lab}/{machine} {time} line={line} noticed@{noticed}")
        })
    }

    /// The journal: of each offset the largest watermark.
    pub(crate) fn journal(&self) -> Vec<String> {
        let mut largest: BTreeMap<(String, i64), i64> = BTreeMap::new();
        for name in self.objects("_turnaround/journal").keys() {
            let entry = name.trim_start_matches("_turnaround/journal/lab-");
            let (partition, entry) = entry.split_once('/').expect("a folder per partition");
            let (next, watermark) =
                entry.trim_end_matches(".json").split_once('-').expect("offset and watermark");
            let [next, watermark] = [next, watermark].map(|text| text.parse().expect("a number"));
            let held = largest.entry((partition.to_owned(), next)).or_insert(watermark);
            *held = watermark.max(*held);
        }
        let entries = largest.into_iter();
        entries.map(|((p, next), time)| format!("p{p}@{next} {}", clock_face(time))).collect()
    }

    fn each(&self, folder: &str, text: impl Fn(&RecordBatch, usize) -> String) -> Vec<String> {
        let batches = self.batches(folder);
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |r| (batch, r)));
        let mut texts: Vec<String> = rows.map(|(batch, row)| text(batch, row)).collect();
        texts.sort();
        texts
    }

    fn batches(&self, folder: &str) -> Vec<RecordBatch> {
        let mut paths = Vec::new();
        collect(&self.0.join(folder), &mut paths);
        // A name with `#` is a put under way.
        paths.retain(|path| !path.to_string_lossy().contains('#'));
        let readers = paths.iter().filter_map(|path| File::open(path).ok()).map(|file| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
            reader.build().expect("it is Parquet")
        });
        readers.flatten().map(|batch| batch.expect("it is whole")).collect()
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

fn micros(batch: &RecordBatch, column: &str, row: usize) -> i64 {
    batch[column].as_primitive::<TimestampMicrosecondType>().value(row)
}

fn position(batch: &RecordBatch, row: usize) -> String {
    let partition = batch["partition"].as_primitive::<Int32Type>().value(row);
    let offset = batch["offset"].as_primitive::<Int64Type>().value(row);
    format!("p{partition}@{offset}")
}

/// Without what the last bits of two orders of adding may differ by.
fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

fn result_row(batch: &RecordBatch, row: usize) -> Row {
    let window = (micros(batch, "window_start", row), micros(batch, "window_end", row));
    let number = |name: &str| {
        let column = cast(&batch[name], &DataType::Float64).expect("a number");
        let column = column.as_primitive::<Float64Type>();
        if column.is_null(row) { "-".to_owned() } else { round(column.value(row)).to_string() }
    };
    let revision = number("revision");
    let mut text = format!("{}-{}", clock_face(window.0), clock_face(window.1));
    if revision != "0" {
        text.push_str(&format!(" r{revision}"));
    }
    let lab = batch["lab_id"].as_string::<i32>().value(row);
    let (n, p50, p90) = (number("n"), number("p50"), number("p90"));
    text.push_str(&format!(" {lab} n={n} p50={p50} p90={p90}"));
    Row { window, revision: revision.parse().expect("a whole number"), text }
}
