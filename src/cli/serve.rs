//! `serve`: the API over a lake, until it is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use super::WrongInput;
use super::check::wrong_project;
use super::launch::{Loaded, load, watch_for_stop};
use super::logging::{self, LogFormat};
use super::reading::wrong_lake;
use crate::api::follow::{FollowedLake, follow};
use crate::api::known::{KnownTable, KnownTables};
use crate::api::reading::AnswerBounds;
use crate::api::server::ListenError;
use crate::api::{routes, server};
use crate::clock::SystemClock;
use crate::config::settings::address;
use crate::config::{ColumnDoc, Flags, PipelineSpec, Project};
use crate::flow::{ReferenceRows, Span};
use crate::lake::encode::{ColumnNote, to_stored};
use crate::lake::read::reader::ReadBounds;
use crate::lake::read::{Beside, LakeReader, LakeViewError};
use crate::lake::store;
use crate::lake::store::Purpose;
use crate::plan::build;
use crate::plan::relations::shapes;
use crate::relate::RelationShape;
use crate::sql::aggregate::registry;
use crate::window::WindowKind;

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How many bytes of rows one answer may hold.
const ANSWER_BYTES: usize = 128 << 20;
/// How many questions are worked on at once, for each core.
const TURNS_A_CORE: usize = 2;
/// What sorting and grouping of all questions may take in memory.
const QUERY_BYTES: usize = 1 << 30;
/// What footers may take in memory: objects never change, so each is read once.
const FOOTER_BYTES: usize = 256 << 20;
/// A lake is not listed more often.
const LEAST_REFRESH: Span = Span::SECOND;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the Parquet is: a path, file:///…, s3://…, az://… or gs://… [default: turnaround-lake]
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// Where to listen; an address of this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: String,
    /// How often to look for new objects.
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    refresh: Span,
    /// The project whose tables, laboratories and meanings of columns are told.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// How logs are written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let wrong = |(what, remedy)| WrongInput(format!("--listen {what}. {remedy}"));
    let listen_on = address(&args.listen).map_err(wrong)?;
    if args.refresh < LEAST_REFRESH {
        let text = format!("--refresh is {}; write {LEAST_REFRESH} or more", args.refresh);
        return Err(WrongInput(text).into());
    }
    let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
    let loaded = load(args.project.as_deref(), None, &flags)?;
    logging::start(args.log_format, loaded.env.rust_log.as_deref(), false);
    let listener = server::listen(listen_on).await.map_err(wrong_address)?;
    let lake = Arc::new(followed(&loaded).await?);
    match lake.refresh().await {
        Err(error @ LakeViewError::OtherLayout(_)) => {
            return Err(WrongInput(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
        Ok(()) => {}
    }
    let stop = watch_for_stop()?;
    let bound = listener.local_addr().context("could not tell the address")?;
    let mut out = std::io::stdout();
    writeln!(out, "http://{bound}/api/v1")?;
    out.flush()?;
    tracing::info!(lake = %loaded.settings.lake, refresh = %args.refresh, "serving the API on http://{bound}/api/v1");
    let following = tokio::spawn(follow(Arc::clone(&lake), args.refresh.to_std()));
    server::serve(listener, routes::router(lake), stop).await;
    following.abort();
    Ok(ExitCode::SUCCESS)
}

fn wrong_address(error: ListenError) -> anyhow::Error {
    match error {
        ListenError::Open(_) => WrongInput(error.to_string()).into(),
        ListenError::Taken { .. } => error.into(),
    }
}

/// The lake that the settings name, with what the project knows of its tables.
async fn followed(loaded: &Loaded) -> anyhow::Result<FollowedLake> {
    let options = loaded.env.store_options();
    let options = options.map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned()));
    let store = store::open(&loaded.settings.lake, options, Purpose::Read).map_err(wrong_lake)?;
    let references = loaded.project.reference.iter();
    let references = references
        .map(|table| ReferenceRows { name: table.name.clone(), rows: table.rows.clone() });
    let beside = Beside { references: references.collect(), functions: registry::register };
    let bounds = ReadBounds { query_bytes: QUERY_BYTES, footer_bytes: FOOTER_BYTES };
    let reader = LakeReader::new(Arc::clone(&store.objects), &store.prefix, beside, bounds)?;
    let bounds = AnswerBounds {
        time: ANSWER_TIME,
        bytes: ANSWER_BYTES,
        turns: Arc::new(Semaphore::new(TURNS_A_CORE * crate::cores::count())),
    };
    let known = known(loaded).await?;
    Ok(FollowedLake::new((store, reader), known, bounds, Arc::new(SystemClock)))
}

/// What a project knows of its tables.
async fn known(loaded: &Loaded) -> anyhow::Result<KnownTables> {
    let schemas = schemas(loaded).await?;
    let relations = shapes(&loaded.project);
    let mut tables = BTreeMap::new();
    for spec in &loaded.project.pipelines {
        for window in &spec.windows {
            let name = spec.table_name(window);
            let time = match window.kind {
                WindowKind::RowLevel => row_time(spec, &relations),
                WindowKind::Tumbling { .. }
                | WindowKind::Hopping { .. }
                | WindowKind::Session { .. }
                | WindowKind::Calendar { .. } => None,
            };
            let table = KnownTable {
                description: spec.description.clone(),
                owner: spec.alerts.iter().find_map(|rule| rule.owner.clone()),
                grain: spec.grain.clone(),
                time,
                columns: spec.columns.iter().map(|(name, doc)| (name.clone(), note(doc))).collect(),
                schema: schemas.get(&name).map(Arc::clone),
            };
            tables.insert(name, table);
        }
    }
    Ok(KnownTables { tables, labs: labs(&loaded.project) })
}

/// The columns of every table of a project, as they are stored.
async fn schemas(loaded: &Loaded) -> anyhow::Result<BTreeMap<String, SchemaRef>> {
    let planned = build::plan(&loaded.project, &loaded.settings, None, false).await;
    let planned = planned.map_err(|unplanned| wrong_project(&unplanned.faults))?;
    let mut schemas = BTreeMap::new();
    for pipeline in &planned.pipelines {
        for name in pipeline.spec.tables() {
            let Some(schema) = pipeline.table_schema(&name) else { continue };
            let stored = to_stored(&[RecordBatch::new_empty(schema)])?;
            schemas.extend(stored.first().map(|rows| (name, rows.schema())));
        }
    }
    Ok(schemas)
}

/// The column that is the time of a row-level table's rows: that of the relation it reads.
fn row_time(spec: &PipelineSpec, relations: &[RelationShape]) -> Option<String> {
    let lines = || spec.sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let reads = |relation: &&RelationShape| {
        let words =
            lines().flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        let mut words = words.filter(|word| !word.is_empty());
        words.any(|word| word == relation.name)
    };
    let relation = relations.iter().find(reads)?;
    Some(relation.event_time.to_owned())
}

fn note(doc: &ColumnDoc) -> ColumnNote {
    let ColumnDoc { description, unit, additive } = doc.clone();
    ColumnNote { description, unit, additive }
}

/// The laboratories that a project lists.
fn labs(project: &Project) -> BTreeSet<String> {
    let labs = project.reference.iter().find(|table| table.name == "labs");
    let column = labs.and_then(|table| table.rows.column_by_name("lab_id"));
    let texts = column.and_then(|column| column.as_string_opt::<i32>());
    texts.into_iter().flatten().flatten().map(str::to_owned).collect()
}
