//! `query`: one SQL query over a lake, its rows as a table, CSV, JSON or Parquet.
//!
//! CSV, JSON and Parquet are written while rows arrive, so a result may be larger than memory; a
//! table needs all rows for its column widths and stops at [`TABLE_ROWS`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
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
use secrecy::ExposeSecret;

use super::WrongInput;
use super::check::wrong_project;
use crate::config::{Env, Fault, Flags, Project, Settings};
use crate::flow::layout;
use crate::lake::encode::to_stored;
use crate::lake::store;
use crate::lake::store::Purpose;
use crate::lake::view::{LakeView, LakeViewError};
use crate::lake::{LakeError, Store};
use crate::plan::build;
use crate::sql::plan::planner::ReferenceRows;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One SELECT. Tables: `<pipeline>_<window>`, events, late, dead_letters, alerts, quality,
    /// ref.<name>; `SHOW TABLES` lists them.
    sql: String,
    /// Where the Parquet is: a path, file:///…, s3://…, az://… or gs://… [default: turnaround-lake]
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// The project whose reference tables are `ref.<name>`.
    #[arg(long)]
    project: Option<PathBuf>,
    /// How to write the rows [default: as the ending of --out says, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to this file instead of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// With a header.
    Csv,
    /// One array of objects.
    Json,
    /// One file.
    Parquet,
}

impl Format {
    fn of(args: &Args) -> Format {
        let ending = || args.out.as_deref()?.extension()?.to_str();
        args.format.unwrap_or(match ending() {
            Some("csv") => Format::Csv,
            Some("json") => Format::Json,
            Some("parquet") => Format::Parquet,
            Some(_) | None => Format::Table,
        })
    }
}

/// A table for people shows at most so many rows.
const TABLE_ROWS: usize = 10_000;

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args);
    if format == Format::Parquet && args.out.is_none() && io::stdout().is_terminal() {
        let text = "parquet does not belong on a terminal; add --out FILE";
        return Err(WrongInput(text.to_owned()).into());
    }
    let inputs = Inputs::read(&args)?;
    let opened = store::open(&inputs.lake, inputs.environment.clone(), Purpose::Read);
    let store = opened.map_err(wrong_lake)?;
    let references = inputs.project.reference.iter();
    let references = references
        .map(|table| ReferenceRows { name: table.name.clone(), rows: table.rows.clone() });
    let view = open_view(&store, references.collect()).await?;
    let frame = planned(&view, &args.sql, &inputs).await?;
    match &args.out {
        Some(path) => write_file(frame, format, path).await?,
        None => write_stdout(frame, format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Plans the query. A table of the project that has no object yet is an empty one: its columns
/// are those that its pipeline would write.
async fn planned(view: &LakeView, sql: &str, inputs: &Inputs) -> anyhow::Result<DataFrame> {
    let mut looked_for = BTreeSet::new();
    loop {
        match view.query(sql).await {
            Err(LakeViewError::UnknownTable { table, known })
                if looked_for.insert(table.clone()) =>
            {
                let Some(schema) = columns_of(&table, inputs).await? else {
                    return Err(wrong_query(LakeViewError::UnknownTable { table, known }));
                };
                view.plan_table(&table, schema);
            }
            asked => return asked.map_err(wrong_query),
        }
    }
}

/// The columns of a table of the project; none when no pipeline writes it. A fault of the pipeline
/// that would is told: without it the table would seem to be unknown.
async fn columns_of(table: &str, inputs: &Inputs) -> anyhow::Result<Option<SchemaRef>> {
    let mut pipelines = inputs.project.pipelines.iter();
    let Some(spec) = pipelines.find(|spec| spec.tables().any(|name| name == table)) else {
        let of_pipeline = |fault: &&Fault| {
            let pipeline = fault.file.file_stem().and_then(|stem| stem.to_str());
            pipeline.is_some_and(|pipeline| table.starts_with(pipeline))
        };
        let faults: Vec<Fault> = inputs.faults.iter().filter(of_pipeline).cloned().collect();
        return if faults.is_empty() { Ok(None) } else { Err(wrong_project(&faults).into()) };
    };
    let chosen = BTreeSet::from([spec.name.clone()]);
    let plan = build::plan(&inputs.project, &inputs.settings, Some(&chosen), false).await;
    let plan = plan.map_err(|unplanned| wrong_project(&unplanned.faults))?;
    let mut pipelines = plan.pipelines.iter();
    let schema = pipelines.find_map(|pipeline| pipeline.table_schema(table));
    let stored = schema.map(|schema| to_stored(&[RecordBatch::new_empty(schema)])).transpose()?;
    Ok(stored.and_then(|rows| rows.first().map(RecordBatch::schema)))
}

/// What the flags, the environment and the project say.
struct Inputs {
    lake: String,
    environment: Vec<(String, String)>,
    project: Project,
    /// What is wrong with the project.
    faults: Vec<Fault>,
    settings: Settings,
}

impl Inputs {
    /// A fault in a pipeline matters only where its table is asked for and has no rows yet, one in
    /// a reference table always does.
    fn read(args: &Args) -> anyhow::Result<Inputs> {
        let reading = Project::read(args.project.as_deref(), None);
        let no_project = args.project.is_some() && reading.project.folder.is_none();
        if reading.lacks_relations || no_project {
            return Err(wrong_project(&reading.faults).into());
        }
        let env = Env::from_process();
        let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
        let settings = Settings::resolve(reading.project.settings.as_ref(), &env, &flags)
            .map_err(|faults| wrong_project(&faults))?;
        let environment = env
            .store_options()
            .map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned()))
            .collect();
        Ok(Inputs {
            lake: settings.lake.clone(),
            environment,
            project: reading.project,
            faults: reading.faults,
            settings,
        })
    }
}

async fn open_view(store: &Store, references: Vec<ReferenceRows>) -> anyhow::Result<LakeView> {
    let opened = LakeView::open(Arc::clone(&store.objects), &store.prefix, references).await;
    let view = match opened {
        Err(LakeViewError::List(error)) => {
            return Err(wrong_lake(store.failed("list the tables".to_owned(), error)));
        }
        Err(LakeViewError::OtherLayout(found)) => {
            let (store, remedy) = (store.name.clone(), layout::REMEDY);
            return Err(wrong_lake(LakeError::OtherLayout { store, found, remedy }));
        }
        opened => opened?,
    };
    if view.is_empty() {
        let text = format!(
            "the lake `{}` is empty; check the path or URL, or fill it with `turnaround demo` or \
             `turnaround run`",
            store.name
        );
        return Err(WrongInput(text).into());
    }
    Ok(view)
}

/// A lake that is not there, or a location that is none, is wrong input.
fn wrong_lake(error: LakeError) -> anyhow::Error {
    match error {
        LakeError::BadLocation { .. }
        | LakeError::Missing { .. }
        | LakeError::OtherLayout { .. } => WrongInput(error.to_string()).into(),
        LakeError::Unreachable { .. }
        | LakeError::Denied { .. }
        | LakeError::NoSpace { .. }
        | LakeError::Conflict { .. }
        | LakeError::Unreadable { .. }
        | LakeError::Encode { .. }
        | LakeError::Stopped { .. }
        | LakeError::Interrupted { .. } => error.into(),
    }
}

/// A query that cannot be planned is wrong input; one that names an unreadable object is not.
fn wrong_query(error: LakeViewError) -> anyhow::Error {
    match &error {
        LakeViewError::UnknownTable { .. } | LakeViewError::OtherLayout(_) => {
            WrongInput(error.to_string()).into()
        }
        LakeViewError::Sql(source) | LakeViewError::NotAQuery(source) => {
            WrongInput(format!("{error}: {}", source.strip_backtrace())).into()
        }
        LakeViewError::Object(_) | LakeViewError::List(_) | LakeViewError::Setup(_) => error.into(),
    }
}

/// Writes beside the file first, so that nothing partial ever has its name.
async fn write_file(frame: DataFrame, format: Format, path: &Path) -> anyhow::Result<()> {
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
async fn write_stdout(frame: DataFrame, format: Format) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    use chrono::NaiveDate;

    use crate::flow::lake_key::{LakeKey, SafeName};
    use crate::lake::{Lake, ObjectNotes};

    /// A lake with one table of two rows: 12 and no tests of two labs.
    async fn filled(location: &str, environment: Vec<(String, String)>) -> Lake {
        let lake = Lake::open(location, environment).unwrap();
        let start = TimestampMicrosecondArray::from(vec![1_772_366_400_000_000; 2]);
        let columns: [(&str, ArrayRef); 3] = [
            ("window_start", Arc::new(start.with_timezone("UTC"))),
            ("lab_id", Arc::new(StringArray::from(vec!["north", "so,uth"]))),
            ("n", Arc::new(Int64Array::from(vec![Some(12), None]))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let date = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let key = LakeKey::Settled { table: SafeName::of("throughput_1h"), date, revision: 0 };
        lake.put(&key, vec![rows], ObjectNotes::default()).await.unwrap();
        lake
    }

    fn args(lake: &str, sql: &str, format: Option<Format>, out: Option<PathBuf>) -> Args {
        let (sql, lake) = (sql.to_owned(), Some(lake.to_owned()));
        Args { sql, lake, project: None, format, out }
    }

    /// The written file, or the error as a person sees it and whether the input was wrong.
    async fn asked(lake: &str, sql: &str, format: Format) -> Result<Vec<u8>, (String, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let outcome = run(args(lake, sql, Some(format), Some(out.clone()))).await;
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        match outcome {
            Ok(_) => {
                assert_eq!(left, 1, "only the file");
                Ok(std::fs::read(&out).unwrap())
            }
            Err(error) => {
                assert_eq!(left, 0, "nothing partial");
                let wrong = error.chain().any(|cause| cause.is::<WrongInput>());
                Err((format!("{error:#}"), wrong))
            }
        }
    }

    async fn text(lake: &str, sql: &str, format: Format) -> String {
        String::from_utf8(asked(lake, sql, format).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn rows_are_written_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().to_str().unwrap();
        filled(lake, Vec::new()).await;
        let sql = "SELECT window_start, lab_id, n FROM throughput_1h ORDER BY lab_id";
        assert_eq!(
            text(lake, sql, Format::Csv).await,
            "window_start,lab_id,n\n\
             2026-03-01T12:00:00Z,north,12\n\
             2026-03-01T12:00:00Z,\"so,uth\",\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&text(lake, sql, Format::Json).await).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                { "window_start": "2026-03-01T12:00:00Z", "lab_id": "north", "n": 12 },
                { "window_start": "2026-03-01T12:00:00Z", "lab_id": "so,uth", "n": null },
            ])
        );
        assert_eq!(
            text(lake, sql, Format::Table).await,
            "+----------------------+--------+----+\n\
             | window_start         | lab_id | n  |\n\
             +----------------------+--------+----+\n\
             | 2026-03-01T12:00:00Z | north  | 12 |\n\
             | 2026-03-01T12:00:00Z | so,uth |    |\n\
             +----------------------+--------+----+\n"
        );
        let parquet = asked(lake, sql, Format::Parquet).await.unwrap();
        let parquet = bytes::Bytes::from(parquet);
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet);
        let rows: Vec<RecordBatch> = reader.unwrap().build().unwrap().map(Result::unwrap).collect();
        let [rows] = rows.as_slice() else { panic!("two rows are one batch") };
        let start = TimestampMicrosecondArray::from(vec![1_772_366_400_000_000; 2]);
        assert_eq!(
            *rows.column(0).as_primitive::<TimestampMicrosecondType>(),
            start.with_timezone("UTC")
        );
        assert_eq!(*rows.column(1).as_string::<i32>(), StringArray::from(vec!["north", "so,uth"]));
        assert_eq!(
            *rows.column(2).as_primitive::<Int64Type>(),
            Int64Array::from(vec![Some(12), None])
        );
    }

    #[tokio::test]
    async fn no_rows_keep_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().to_str().unwrap();
        filled(lake, Vec::new()).await;
        let sql = "SELECT lab_id, n FROM throughput_1h WHERE n > 100";
        assert_eq!(text(lake, sql, Format::Csv).await, "lab_id,n\n");
        assert_eq!(text(lake, sql, Format::Json).await, "[]\n");
        let header = "+--------+---+\n| lab_id | n |\n+--------+---+\n+--------+---+\n";
        assert_eq!(text(lake, sql, Format::Table).await, header);
        let late = "SELECT count(*) AS n FROM late";
        assert_eq!(text(lake, late, Format::Csv).await, "n\n0\n");
    }

    #[tokio::test]
    async fn wrong_input_is_told_from_failure() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        let lake = lake.to_str().unwrap();
        let sql = "SELECT * FROM throughput_1h";
        let (missing, wrong) = asked(lake, sql, Format::Csv).await.unwrap_err();
        assert!(wrong && missing.contains("does not exist"), "{missing}");
        std::fs::create_dir(lake).unwrap();
        let (empty, wrong) = asked(lake, sql, Format::Csv).await.unwrap_err();
        assert!(wrong && empty.contains("is empty"), "{empty}");
        filled(lake, Vec::new()).await;
        let (typo, wrong) =
            asked(lake, "SELECT * FROM througput_1h", Format::Csv).await.unwrap_err();
        assert!(wrong && typo.contains("the lake has throughput_1h"), "{typo}");
        let (column, wrong) =
            asked(lake, "SELECT m FROM throughput_1h", Format::Csv).await.unwrap_err();
        assert!(wrong && column.contains("No field named m"), "{column}");
        let (write, wrong) =
            asked(lake, "DROP TABLE throughput_1h", Format::Csv).await.unwrap_err();
        assert!(wrong && write.contains("can only be read"), "{write}");
        let failing = "SELECT 1 / (n - 12) FROM throughput_1h";
        let (failure, wrong) = asked(lake, failing, Format::Csv).await.unwrap_err();
        assert!(!wrong && failure.contains("Divide by zero"), "{failure}");
    }

    #[test]
    fn an_empty_section_has_the_columns_that_its_writer_gives() {
        use crate::alert::log::ALERT_SCHEMA;
        use crate::flow::lake_key::Section;
        let columns = |schema: &arrow::datatypes::Schema| -> Vec<_> {
            let fields = schema.fields().iter();
            fields.map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        let empty = crate::lake::section::section_schema(Section::Alerts);
        assert_eq!(columns(&empty), columns(&ALERT_SCHEMA));
    }

    #[test]
    fn the_format_follows_the_files_ending() {
        let of = |format, out: Option<&str>| {
            Format::of(&args("lake", "SELECT 1", format, out.map(PathBuf::from)))
        };
        assert_eq!(of(None, None), Format::Table);
        assert_eq!(of(None, Some("a/b.parquet")), Format::Parquet);
        assert_eq!(of(None, Some("b.txt")), Format::Table);
        assert_eq!(of(Some(Format::Json), Some("b.csv")), Format::Json);
    }
}
