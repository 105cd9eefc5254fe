//! The rows of an answer → a table, CSV, JSON or Parquet, in a file or on standard output.
//!
//! CSV, JSON and Parquet are written while rows arrive, so a result may be larger than memory; a
//! table needs all rows for its column widths and stops at [`TABLE_ROWS`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// With a header.
    Csv,
    /// One array of objects.
    Json,
    /// One file.
    Parquet,
}

/// A table for people shows at most so many rows.
const TABLE_ROWS: usize = 10_000;

/// Writes beside the file first, so that nothing partial ever has its name.
pub(super) async fn write_file(
    frame: DataFrame,
    format: Format,
    path: &Path,
) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = async {
        let file = File::create(&partial)
            .with_context(|| format!("could not create `{}`", partial.display()))?;
        write_rows(frame, format, Box::new(BufWriter::new(file)))
            .await
            .with_context(|| format!("could not write `{}`", path.display()))?;
        std::fs::rename(&partial, path)
            .with_context(|| format!("could not write `{}`", path.display()))
    };
    let outcome = written.await;
    if outcome.is_err() && partial.exists() {
        std::fs::remove_file(&partial)
            .with_context(|| format!("could not remove `{}`", partial.display()))?;
    }
    outcome
}

/// A reader that has seen enough (`| head`) ends the output, and is no failure.
pub(super) async fn write_stdout(frame: DataFrame, format: Format) -> anyhow::Result<()> {
    let closed = Arc::new(AtomicBool::new(false));
    let out = Pipe { inner: BufWriter::new(io::stdout()), closed: Arc::clone(&closed) };
    match write_rows(frame, format, Box::new(out)).await {
        Err(_) if closed.load(Ordering::Relaxed) => Ok(()),
        outcome => outcome,
    }
}

/// Notes that the reader has gone: the encoders' errors do not tell.
struct Pipe<W> {
    inner: W,
    closed: Arc<AtomicBool>,
}

impl<W> Pipe<W> {
    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            self.closed.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.inner.write(bytes);
        self.note(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.inner.flush();
        self.note(outcome)
    }
}

type AnswerOut = Box<dyn Write + Send>;

async fn write_rows(frame: DataFrame, format: Format, out: AnswerOut) -> anyhow::Result<()> {
    let schema: SchemaRef = Arc::clone(frame.schema().inner());
    let mut rows = frame.execute_stream().await.context("could not run the query")?;
    let mut writer = RowWriter::new(format, out, schema)?;
    while let Some(batch) = rows.next().await {
        let batch = batch.context("could not run the query")?;
        if !writer.write(&batch)? {
            break;
        }
    }
    writer.finish()
}

/// One encoder per format.
enum RowWriter {
    Table { out: AnswerOut, schema: SchemaRef, batches: Vec<RecordBatch>, rows: usize },
    Csv(Box<arrow::csv::Writer<AnswerOut>>),
    Json(Box<arrow::json::ArrayWriter<AnswerOut>>),
    Parquet(Box<ArrowWriter<AnswerOut>>),
}

impl RowWriter {
    fn new(format: Format, out: AnswerOut, schema: SchemaRef) -> anyhow::Result<RowWriter> {
        Ok(match format {
            Format::Table => RowWriter::Table { out, schema, batches: Vec::new(), rows: 0 },
            Format::Csv => {
                let mut writer = arrow::csv::Writer::new(out);
                // The header stands there without rows too.
                writer.write(&RecordBatch::new_empty(schema))?;
                RowWriter::Csv(Box::new(writer))
            }
            Format::Json => {
                let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                RowWriter::Json(Box::new(builder.build(out)))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
                    .build();
                RowWriter::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
        })
    }

    /// Takes rows; false when no more are wanted.
    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<bool> {
        match self {
            RowWriter::Table { batches, rows, .. } => {
                let room = TABLE_ROWS - *rows;
                let fits = batch.num_rows() <= room;
                batches.push(batch.slice(0, batch.num_rows().min(room)));
                *rows += batch.num_rows().min(room);
                if !fits {
                    eprintln!(
                        "only the first {TABLE_ROWS} rows are shown; use --format csv, json or \
                         parquet for all"
                    );
                }
                return Ok(fits);
            }
            RowWriter::Csv(writer) => writer.write(batch)?,
            RowWriter::Json(writer) => writer.write(batch)?,
            RowWriter::Parquet(writer) => writer.write(batch)?,
        }
        Ok(true)
    }

    fn finish(self) -> anyhow::Result<()> {
        let mut out = match self {
            RowWriter::Table { mut out, schema, batches, .. } => {
                let table = pretty_format_batches_with_schema(schema, &batches)?;
                writeln!(out, "{table}")?;
                out
            }
            RowWriter::Csv(writer) => writer.into_inner(),
            RowWriter::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                writeln!(out)?;
                out
            }
            RowWriter::Parquet(writer) => writer.into_inner()?,
        };
        out.flush()?;
        Ok(())
    }
}
