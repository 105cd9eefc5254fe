//! Where the events and the rejected rows go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Args, EventOut};
use crate::cli::WrongInput;
use crate::source::csv::CsvRow;
use crate::source::kafka_out::KafkaOut;

/// The rows that became no event; the file is made with the first one.
pub(super) struct Rejected {
    pub(super) path: PathBuf,
    pub(super) file: Option<BufWriter<File>>,
}

impl Rejected {
    /// Writes a row with the reason.
    pub(super) fn write(&mut self, row: &CsvRow, why: &str) -> anyhow::Result<()> {
        let context = || format!("could not write rejected rows to `{}`", self.path.display());
        let file = match &mut self.file {
            Some(file) => file,
            slot @ None => {
                let mut file = BufWriter::new(File::create(&self.path).with_context(context)?);
                file.write_all(b"line,reason,row\n").with_context(context)?;
                slot.insert(file)
            }
        };
        let mut line = format!("{},", row.line).into_bytes();
        quote(why.as_bytes(), &mut line);
        line.push(b',');
        quote(&row.raw, &mut line);
        line.push(b'\n');
        file.write_all(&line).with_context(context)
    }

    /// Writes what is buffered.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let context = || format!("could not write rejected rows to `{}`", self.path.display());
        self.file.as_mut().map_or(Ok(()), Write::flush).with_context(context)
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// The open output.
pub(super) enum EventSink {
    /// `unfinished` is what the file is called until it is complete; none for a device or a pipe,
    /// which is written as it stands and never replaced.
    File {
        path: PathBuf,
        unfinished: Option<Unfinished>,
        file: BufWriter<File>,
    },
    StandardOutput(BufWriter<io::Stdout>),
    Kafka(KafkaOut),
}

impl EventSink {
    /// Opens the output.
    pub(super) fn open(out: &EventOut, args: &Args) -> anyhow::Result<EventSink> {
        match out {
            EventOut::File(path) => {
                let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
                let written = if special { path.clone() } else { partial(path, "partial") };
                let file = File::options()
                    .write(true)
                    .create(!special)
                    .truncate(!special)
                    .open(&written)
                    .map_err(|error| {
                        WrongInput(format!("could not write to `{}`: {error}", written.display()))
                    })?;
                let file = BufWriter::with_capacity(1 << 20, file);
                let unfinished = (!special).then(|| Unfinished(written));
                Ok(EventSink::File { path: path.clone(), unfinished, file })
            }
            EventOut::StandardOutput => Ok(EventSink::StandardOutput(BufWriter::new(io::stdout()))),
            EventOut::Kafka(topic) => {
                let brokers = args.brokers.as_deref().ok_or_else(|| {
                    WrongInput(
                        "no Kafka brokers are named; set KAFKA_BROKERS or --brokers".to_owned(),
                    )
                })?;
                let options = kafka_options(&args.kafka_options)?;
                Ok(EventSink::Kafka(KafkaOut::connect(brokers, topic, &options)?))
            }
        }
    }

    /// Writes an event.
    pub(super) fn write(&mut self, key: &[u8], json: &[u8]) -> anyhow::Result<()> {
        match self {
            EventSink::File { path, file, .. } => file
                .write_all(json)
                .and_then(|()| file.write_all(b"\n"))
                .with_context(|| format!("could not write events to `{}`", path.display())),
            EventSink::StandardOutput(out) => out
                .write_all(json)
                .and_then(|()| out.write_all(b"\n"))
                .context("could not write events to standard output"),
            EventSink::Kafka(kafka) => Ok(kafka.send(key, json)?),
        }
    }

    /// Makes what was written last and visible.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            EventSink::File { path, unfinished, mut file } => {
                let context = || format!("could not write events to `{}`", path.display());
                file.flush().with_context(context)?;
                let Some(unfinished) = unfinished else { return Ok(()) };
                file.get_ref().sync_all().with_context(context)?;
                std::fs::rename(&unfinished.0, &path).with_context(context)
            }
            EventSink::StandardOutput(mut out) => {
                out.flush().context("could not write events to standard output")
            }
            EventSink::Kafka(kafka) => {
                kafka.finish()?;
                Ok(())
            }
        }
    }
}

fn kafka_options(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let split = |option: &String| match option.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(WrongInput("a --kafka-option has no `=`; write name=value".to_owned()).into()),
    };
    given.iter().map(split).collect()
}

/// A file that goes away unless it was given its final name.
pub(super) struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %self.0.display(), %error, "could not remove it");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// The name of a file that is not finished.
pub(super) fn partial(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}
