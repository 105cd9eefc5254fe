//! `query`: one SQL query over a lake, its rows as a table, CSV, JSON or Parquet.

mod rows;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use arrow::datatypes::SchemaRef;
use secrecy::ExposeSecret;

use super::WrongInput;
use super::check::wrong_project;
use super::reading;
use crate::config::{Env, Fault, Flags, Project, Settings};
use crate::lake::read::LakeViewError;
use crate::lake::store;
use crate::lake::store::Purpose;
use crate::plan::columns::{NoColumns, columns_of};
use rows::{Format, write_file, write_stdout};

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

/// As `--format` says, else as the file ends.
fn format_of(args: &Args) -> Format {
    let ending = || args.out.as_deref()?.extension()?.to_str();
    args.format.unwrap_or(match ending() {
        Some("csv") => Format::Csv,
        Some("json") => Format::Json,
        Some("parquet") => Format::Parquet,
        Some(_) | None => Format::Table,
    })
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = format_of(&args);
    if format == Format::Parquet && args.out.is_none() && io::stdout().is_terminal() {
        let text = "parquet does not belong on a terminal; add --out FILE";
        return Err(WrongInput(text.to_owned()).into());
    }
    let inputs = Inputs::read(&args)?;
    let opened = store::open(&inputs.lake, inputs.environment.clone(), Purpose::Read);
    let store = opened.map_err(reading::wrong_lake)?;
    let view = reading::open(&store, &inputs.project).await?;
    let columns = async |table: &str| inputs.columns_of(table).await;
    let frame = view.query_or_empty(&args.sql, columns).await.map_err(wrong_query)?;
    match &args.out {
        Some(path) => write_file(frame, format, path).await?,
        None => write_stdout(frame, format).await?,
    }
    Ok(ExitCode::SUCCESS)
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

    /// The columns of a table of the project that has no rows yet; none when no pipeline writes it. A
    /// fault of the pipeline that would is told: without it the table would seem to be unknown.
    async fn columns_of(&self, table: &str) -> anyhow::Result<Option<SchemaRef>> {
        match columns_of(&self.project, &self.settings, table).await {
            Ok(Some(schema)) => Ok(Some(schema)),
            Ok(None) => {
                let of_pipeline = |fault: &&Fault| {
                    let pipeline = fault.file.file_stem().and_then(|stem| stem.to_str());
                    pipeline.is_some_and(|pipeline| table.starts_with(pipeline))
                };
                let faults: Vec<Fault> = self.faults.iter().filter(of_pipeline).cloned().collect();
                if faults.is_empty() { Ok(None) } else { Err(wrong_project(&faults).into()) }
            }
            Err(NoColumns::Faults(faults)) => Err(wrong_project(&faults).into()),
            Err(NoColumns::Stored(error)) => Err(error.into()),
        }
    }
}

/// A query that cannot be planned is wrong input; one that names an unreadable object is not.
fn wrong_query(error: anyhow::Error) -> anyhow::Error {
    let error = match error.downcast::<LakeViewError>() {
        Ok(error) => error,
        Err(other) => return other,
    };
    match &error {
        LakeViewError::UnknownTable { .. } | LakeViewError::OtherLayout(_) => {
            WrongInput(error.to_string()).into()
        }
        LakeViewError::Sql(source) | LakeViewError::NotAQuery(source) => {
            WrongInput(format!("{error}: {}", source.strip_backtrace())).into()
        }
        LakeViewError::Object(_)
        | LakeViewError::List(_)
        | LakeViewError::Run(_)
        | LakeViewError::Setup(_) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::RecordBatch;

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
            format_of(&args("lake", "SELECT 1", format, out.map(PathBuf::from)))
        };
        assert_eq!(of(None, None), Format::Table);
        assert_eq!(of(None, Some("a/b.parquet")), Format::Parquet);
        assert_eq!(of(None, Some("b.txt")), Format::Table);
        assert_eq!(of(Some(Format::Json), Some("b.csv")), Format::Json);
    }
}
