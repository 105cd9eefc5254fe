//! `try`: the result rows of one pipeline over a file, as a table. Writes nothing.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;

use super::WrongInput;
use super::launch::{self, Request};
use super::logging::{self, LogFormat};
use crate::config::Flags;
use crate::lake::Lake;
use crate::lake::read::{Beside, LakeView};
use crate::pipeline;
use crate::pipeline::progress::Progress;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline.
    pipeline: String,
    /// Where events come from: file:PATH-or-glob (`-` is standard input) or generator:PROFILE.
    #[arg(long, value_name = "SOURCE")]
    source: String,
    /// Only this window's table.
    #[arg(long, value_name = "NAME")]
    window: Option<String>,
    /// At most so many rows of each table.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// The project's folder.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// The lab of events that name none.
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let request = Request {
        flags: Flags {
            source: Some(args.source.clone()),
            default_lab: args.lab.clone(),
            ..Flags::default()
        },
        pipelines: Some([args.pipeline.clone()].into()),
        once: true,
        dry_run: true,
        ..Request::default()
    };
    if args.source.starts_with("kafka:") {
        let text = "`try` reads files and the generator; use `run --once` for Kafka";
        return Err(WrongInput(text.to_owned()).into());
    }
    let loaded = launch::load(args.project.as_deref(), None, &request.flags)?;
    logging::start(LogFormat::Text, loaded.env.rust_log.as_deref(), true);
    let plan = launch::plan(&loaded, &request).await?;
    let tables = tables(&plan.pipelines[0].spec, args.window.as_deref())?;
    let source = launch::open_source(&loaded, &request).await?;
    let lake = Lake::in_memory();
    let job = launch::job(&loaded, &request, plan, lake.clone(), Arc::new(Progress::default()))?;
    let summary = pipeline::run(job, source, std::future::pending()).await;
    let summary = summary.map_err(launch::run_error)?;
    let store = lake.store();
    let view = LakeView::open(Arc::clone(&store.objects), &store.prefix, Beside::default()).await?;
    let held = view.tables();
    let mut out = std::io::stdout().lock();
    for table in tables {
        if !held.contains(&table) {
            writeln!(out, "{table}: no rows")?;
            continue;
        }
        let sql = format!("SELECT * FROM \"{table}\" LIMIT {}", args.limit);
        let rows = view.query(&sql).await?.collect().await?;
        let options = FormatOptions::default().with_null("");
        writeln!(out, "{table}\n{}", pretty_format_batches_with_options(&rows, &options)?)?;
    }
    if let Some((pipeline, reason)) = summary.stopped.first_key_value() {
        anyhow::bail!("pipeline `{pipeline}` was stopped: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(
    spec: &crate::config::PipelineSpec,
    window: Option<&str>,
) -> Result<Vec<String>, WrongInput> {
    let Some(name) = window else { return Ok(spec.tables().collect()) };
    match spec.windows.iter().find(|window| window.name == name) {
        Some(window) => Ok(vec![spec.table_name(window)]),
        None => {
            let names: Vec<&str> = spec.windows.iter().map(|window| window.name.as_str()).collect();
            let known = names.join(", ");
            Err(WrongInput(format!("`{}` has no window `{name}`; it has {known}", spec.name)))
        }
    }
}
