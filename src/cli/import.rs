//! `import`: a CSV file into events, sorted by event time.
//!
//! The edge around `source/csv`: opens the files, shows the progress, writes what was rejected and
//! counts. A file appears under its name only when it is complete.

mod output;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::output::{EventSink, Rejected, partial};
use super::WrongInput;
use crate::config::csv_map::CsvMapFile;
use crate::flow::Timestamp;
use crate::source::csv::infer::{SAMPLED_ROWS, Sample};
use crate::source::csv::map::{CsvForm, map_of_own_names};
use crate::source::csv::{Converter, CsvRead, CsvRow, EventSorter, RowReader, sort};

/// The lab of a file that names none and needs no map.
const DEFAULT_LAB: &str = "lab-1";

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The CSV file; `-` is standard input.
    file: PathBuf,
    /// Which column becomes which field. Not needed for the starter kit's columns.
    #[arg(long, value_name = "MAP.yaml")]
    map: Option<PathBuf>,
    /// Draft a map from the header and the first 10,000 rows, to standard output.
    #[arg(long, conflicts_with_all = ["map", "out"])]
    infer: bool,
    /// The laboratory of rows that name none.
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// Where the events go: `file:PATH`, `file:-` for standard output, or `kafka:TOPIC`.
    #[arg(long, value_name = "OUT", required_unless_present = "infer")]
    out: Option<String>,
    /// Where bad rows go [default: OUT.rejected.csv].
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Kafka's brokers, for `kafka:TOPIC`.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// A librdkafka setting as `name=value`, for TLS and SASL; may be repeated.
    #[arg(long = "kafka-option", value_name = "NAME=VALUE")]
    kafka_options: Vec<String>,
    /// End with one JSON object of counters (standard error when events go to standard output).
    #[arg(long)]
    json: bool,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EventOut {
    File(PathBuf),
    StandardOutput,
    Kafka(String),
}

/// What happened.
#[derive(Debug, Default)]
struct ImportCounts {
    rows: u64,
    rejected: u64,
    events: u64,
    by_status: BTreeMap<String, u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Ctrl-C was pressed.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was written under the output's name")]
struct Interrupted;

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let mut work = tokio::task::spawn_blocking(move || work(&args, &flag));
    let outcome = tokio::select! {
        done = &mut work => done,
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("could not listen for Ctrl-C")?;
            stop.store(true, Ordering::Relaxed);
            work.await
        }
    };
    match outcome.context("the import ended early")? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            Ok(ExitCode::from(130))
        }
        Err(error) => Err(error),
    }
}

fn work(args: &Args, stop: &AtomicBool) -> anyhow::Result<()> {
    if args.infer {
        return infer(args);
    }
    let out = parse_out(args.out.as_deref().unwrap_or_default())?;
    let map = args.map.as_deref().map(CsvMapFile::read);
    let mut input = open(&args.file)?;
    let form = map.as_ref().map(|map| map.map.source.clone());
    let delimiter = form.map_or_else(|| sniff(&mut input), |form: CsvForm| Ok(form.delimiter))?;
    let mut rows = RowReader::new(input, delimiter);
    let header = read_header(&mut rows, &args.file)?;
    let converter = converter(args, map.as_ref(), &header, delimiter)?;
    let rejected_path = args.rejected.clone().unwrap_or_else(|| rejected_path(&out, &args.file));
    let mut rejected = Rejected { path: rejected_path, file: None };
    let mut sink = EventSink::open(&out, args)?;
    let mut sorter = EventSorter::new(&spill_dir(&out), sort::BUFFER_BYTES);
    let mut counts = ImportCounts::default();
    convert_all(&mut rows, &converter, &mut sorter, &mut rejected, &mut counts, stop)?;
    rejected.finish()?;
    sorter.drain(|_, key, json| {
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        sink.write(key, json)
    })?;
    sink.finish()?;
    summarise(args, &out, &rejected.path, &counts)
}

/// Moves every row into the sorter or to the rejected ones.
fn convert_all<R: BufRead>(
    rows: &mut RowReader<R>,
    converter: &Converter,
    sorter: &mut EventSorter,
    rejected: &mut Rejected,
    counts: &mut ImportCounts,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
    progress.set_style(ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}")?);
    let mut row = CsvRow::default();
    loop {
        let read = rows.read(&mut row).context("could not read the CSV file")?;
        let converted = match read {
            CsvRead::End => break,
            CsvRead::Bad(why) => Err(why),
            CsvRead::Row => converter.convert(&row, counts.rows + 1),
        };
        counts.rows += 1;
        progress.inc(1);
        match converted {
            Ok(events) => {
                for event in &events {
                    counts.count(event.at);
                    sorter.push(event).context("could not spill events to disk while sorting")?;
                }
                if let Some(last) = events.last() {
                    *counts.by_status.entry(last.status.to_owned()).or_default() += 1;
                }
            }
            Err(why) => {
                counts.rejected += 1;
                rejected.write(&row, &why)?;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
    }
    progress.finish_and_clear();
    Ok(())
}

impl ImportCounts {
    fn count(&mut self, at: Timestamp) {
        self.events += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

fn parse_out(text: &str) -> anyhow::Result<EventOut> {
    match text.split_once(':') {
        Some(("file", "-")) => Ok(EventOut::StandardOutput),
        Some(("file", path)) if !path.is_empty() => Ok(EventOut::File(PathBuf::from(path))),
        Some(("kafka", topic)) if !topic.is_empty() => Ok(EventOut::Kafka(topic.to_owned())),
        Some(_) | None => Err(WrongInput(format!(
            "`--out {text}` is not a place for events; write file:PATH, file:- or kafka:TOPIC"
        ))
        .into()),
    }
}

fn open(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).map_err(|error| {
        WrongInput(format!("could not open `{}`: {error}; check the path", file.display()))
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, opened)))
}

/// The delimiter that the first line holds most of.
fn sniff(input: &mut dyn BufRead) -> anyhow::Result<u8> {
    let start = input.fill_buf().context("could not read the CSV file")?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    let most = [b'|', b'\t', b';', b','].into_iter().max_by_key(|byte| count(*byte));
    Ok(most.unwrap_or(b','))
}

fn read_header<R: BufRead>(rows: &mut RowReader<R>, file: &Path) -> anyhow::Result<Vec<String>> {
    let mut row = CsvRow::default();
    let wrong = |what: &str| WrongInput(format!("`{}` {what}", file.display()));
    match rows.read(&mut row).context("could not read the CSV file")? {
        CsvRead::Row => Ok(row.fields().map(str::to_owned).collect()),
        CsvRead::End => Err(wrong("is empty; its first line has to name the columns").into()),
        CsvRead::Bad(_) if row.raw.starts_with(b"\xff\xfe") || row.raw.starts_with(b"\xfe\xff") => {
            Err(wrong("is written in UTF-16; save it as UTF-8").into())
        }
        CsvRead::Bad(why) => Err(wrong(&format!(
            "has no header that can be read: {why}; its first line has to name the columns, in UTF-8"
        ))
        .into()),
    }
}

fn converter(
    args: &Args,
    map: Option<&CsvMapFile>,
    header: &[String],
    delimiter: u8,
) -> anyhow::Result<Converter> {
    let list = |faults: Vec<String>| WrongInput(faults.join("\n"));
    if let Some(map) = map {
        let made = map.converter(header, args.lab.as_deref());
        return made.map_err(|faults| {
            let lines = faults.iter().map(ToString::to_string).collect();
            list(
                std::iter::once("the map has mistakes:".to_owned())
                    .chain::<Vec<_>>(lines)
                    .collect(),
            )
            .into()
        });
    }
    let file = args.file.display();
    let map = map_of_own_names(header, delimiter).map_err(|wrong| {
        WrongInput(format!(
            "the columns of `{file}` are not the starter kit's: {wrong}; draft a map with \
             `turnaround import {file} --infer > map.yaml`, read it, and pass `--map map.yaml`"
        ))
    })?;
    let lab = args.lab.as_deref().unwrap_or(DEFAULT_LAB);
    Converter::new(&map, header, Some(lab)).map_err(|faults| {
        list(
            faults
                .iter()
                .map(|fault| format!("`{file}`: {}; {}", fault.what, fault.remedy))
                .collect(),
        )
        .into()
    })
}

fn infer(args: &Args) -> anyhow::Result<()> {
    let mut input = open(&args.file)?;
    let delimiter = sniff(&mut input)?;
    let mut rows = RowReader::new(input, delimiter);
    let header = read_header(&mut rows, &args.file)?;
    let mut sample = Sample::new(header, delimiter);
    let mut row = CsvRow::default();
    let mut seen = 0;
    while seen < SAMPLED_ROWS {
        match rows.read(&mut row).context("could not read the CSV file")? {
            CsvRead::Row => sample.add(&row),
            CsvRead::Bad(_) => {}
            CsvRead::End => break,
        }
        seen += 1;
    }
    io::stdout().write_all(sample.draft().as_bytes()).context("could not write the draft")
}

/// `<out>.rejected.csv`; beside nothing but here where the output is no file.
fn rejected_path(out: &EventOut, input: &Path) -> PathBuf {
    let with_suffix = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".rejected.csv");
        PathBuf::from(name)
    };
    match out {
        EventOut::File(path) => with_suffix(path),
        EventOut::StandardOutput | EventOut::Kafka(_) => match input.file_name() {
            Some(name) => with_suffix(Path::new(name)),
            None => PathBuf::from("import.rejected.csv"),
        },
    }
}

/// A folder that only this process uses: beside the output, since there is room for it there.
fn spill_dir(out: &EventOut) -> PathBuf {
    let id = std::process::id();
    match out {
        EventOut::File(path) => partial(path, &format!("sorting-{id}")),
        EventOut::StandardOutput | EventOut::Kafka(_) => {
            std::env::temp_dir().join(format!("turnaround-sorting-{id}"))
        }
    }
}

fn summarise(
    args: &Args,
    out: &EventOut,
    rejected: &Path,
    counts: &ImportCounts,
) -> anyhow::Result<()> {
    let span = counts.first.zip(counts.last);
    if args.json {
        let object = serde_json::json!({
            "rows": counts.rows,
            "events": counts.events,
            "rejected": counts.rejected,
            "rejected_file": (counts.rejected > 0).then(|| rejected.display().to_string()),
            "by_status": counts.by_status,
            "first_event_time": span.map(|(first, _)| first.to_rfc3339()),
            "last_event_time": span.map(|(_, last)| last.to_rfc3339()),
        });
        match out {
            EventOut::StandardOutput => writeln!(io::stderr(), "{object}"),
            EventOut::File(_) | EventOut::Kafka(_) => writeln!(io::stdout(), "{object}"),
        }
        .context("could not print the counters")?;
    } else {
        let statuses: Vec<String> =
            counts.by_status.iter().map(|(status, n)| format!("{n} {status}")).collect();
        eprintln!("{} rows: {}", counts.rows, statuses.join(", "));
        if let Some((first, last)) = span {
            eprintln!("{} events from {first} to {last}", counts.events);
        }
    }
    if counts.rejected > 0 {
        eprintln!(
            "warning: {} of {} rows were rejected; they stand with line and reason in `{}`",
            counts.rejected,
            counts.rows,
            rejected.display()
        );
    }
    Ok(())
}
