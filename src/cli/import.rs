//! `import`: a CSV file into events, sorted by event time.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::WrongInput;
use super::launch::feed_error;
use crate::config::csv_map::CsvMapFile;
use crate::feed::lines::beside;
use crate::feed::target::{FeedTarget, KafkaTarget, parse_option};
use crate::feed::writer::FeedWriter;
use crate::import::job::{ImportCounts, import};
use crate::import::map::{CsvForm, map_of_own_names};
use crate::import::rejected::Rejected;
use crate::import::{Converter, CsvFile, ImportError};

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
    out: Option<FeedTarget>,
    /// Where bad rows go [default: OUT.rejected.csv].
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Kafka's brokers, for `kafka:TOPIC`.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// A librdkafka setting as `name=value`, for TLS and SASL; may be repeated.
    #[arg(long = "kafka-option", value_name = "NAME=VALUE", value_parser = parse_option)]
    kafka_options: Vec<(String, String)>,
    /// End with one JSON object of counters (standard error when events go to standard output).
    #[arg(long)]
    json: bool,
}

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
        Err(error) if matches!(error.downcast_ref(), Some(ImportError::Interrupted)) => {
            eprintln!("{error}");
            Ok(ExitCode::from(130))
        }
        Err(error) => Err(error),
    }
}

/// Blocks until everything is written.
fn work(args: &Args, stop: &AtomicBool) -> anyhow::Result<()> {
    let map = args.map.as_deref().map(CsvMapFile::read);
    let form = map.as_ref().map(|map| map.map.source.clone());
    let delimiter = form.map(|form: CsvForm| form.delimiter);
    let file = CsvFile::open(&args.file, delimiter).map_err(import_error)?;
    // Clap sees to it that there is an output, unless a map is drafted.
    let Some(out) = &args.out else {
        let draft = file.draft().map_err(import_error)?;
        return io::stdout().write_all(draft.as_bytes()).context("could not write the draft");
    };
    let converter = converter(args, map.as_ref(), &file.header, file.delimiter)?;
    let rejected = args.rejected.clone().unwrap_or_else(|| rejected_path(out, &args.file));
    let settings = KafkaTarget {
        brokers: args.brokers.clone(),
        partitions: None,
        options: args.kafka_options.clone(),
        remedy: "create it with kafka-topics.sh --create",
    };
    let opening = FeedWriter::open(out, &settings);
    let writer = tokio::runtime::Handle::current().block_on(opening).map_err(feed_error)?;
    let to = (writer, Rejected::new(rejected.clone()));
    let counts = import(file, &converter, to, &spill_dir(out), stop).map_err(import_error)?;
    summarise(args, out, &rejected, &counts)
}

/// An import's error as the command's.
fn import_error(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Wrong(text) => WrongInput(text).into(),
        ImportError::Feed(error) => feed_error(error),
        other @ (ImportError::Interrupted | ImportError::Failed { .. }) => other.into(),
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

/// `<out>.rejected.csv`; beside nothing but here where the output is no file.
fn rejected_path(out: &FeedTarget, input: &Path) -> PathBuf {
    let with_suffix = |path: &Path| beside(path, "rejected.csv");
    match out {
        FeedTarget::File(path) => with_suffix(path),
        FeedTarget::StandardOutput | FeedTarget::Kafka(_) => match input.file_name() {
            Some(name) => with_suffix(Path::new(name)),
            None => PathBuf::from("import.rejected.csv"),
        },
    }
}

/// A folder that only this process uses: beside the output, since there is room for it there.
fn spill_dir(out: &FeedTarget) -> PathBuf {
    let id = std::process::id();
    match out {
        FeedTarget::File(path) => beside(path, &format!("sorting-{id}")),
        FeedTarget::StandardOutput | FeedTarget::Kafka(_) => {
            std::env::temp_dir().join(format!("turnaround-sorting-{id}"))
        }
    }
}

fn summarise(
    args: &Args,
    out: &FeedTarget,
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
            FeedTarget::StandardOutput => writeln!(io::stderr(), "{object}"),
            FeedTarget::File(_) | FeedTarget::Kafka(_) => writeln!(io::stdout(), "{object}"),
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
