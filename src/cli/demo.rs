//! `demo`: the generator through every stage into a folder, then a summary and `report.html`.
//!
//! The feed is always the same, so running it again over the same folder finds every object there
//! with the same rows. The report is made from what the lake holds, not from what the run counted,
//! but for the books of the records that were read. No card is posted.

pub mod columns;
pub mod follow;
pub mod terminal;

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::WrongInput;
use super::launch::{self, Loaded, Request};
use super::logging::{self, LogFormat};
use super::reading;
use crate::config::{Flags, Project};
use crate::flow::Span;
use crate::lake::Lake;
use crate::lake::read::sizes::sizes;
use crate::pipeline;
use crate::pipeline::progress::{Progress, Summary};
use crate::report::ask::ask;
use crate::report::books::Books;
use crate::report::charts::ShownPeriod;
use crate::report::html::{Report, ReportSource};
use crate::report::reading::figures;
use crate::source::generator::{GeneratorOptions, GeneratorSource, Profile};
use columns::Paint;
use terminal::Terminal;

/// The watermark trails by this: more than twice what the instruments' clocks, up to two minutes
/// wrong either way, can set records apart, so that wrong clocks make no late events.
const MAX_DISORDER: Span = Span(5 * Span::MINUTE.0);
/// The exit code of a run that the user interrupted.
const INTERRUPTED: u8 = 130;
/// What the report is made from.
const TABLES: [&str; 7] = [
    "completions",
    "error_rates_1h",
    "error_rates_day",
    "rejection_rates_day",
    "rejection_reasons_day",
    "sla_breaches_1h",
    "throughput_1h",
];

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the Parquet and report.html; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "turnaround-lake")]
    dir: String,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.dir.contains("://") {
        let text = format!(
            "`{}` is no folder; the demo writes into one, as --dir turnaround-lake",
            args.dir
        );
        return Err(WrongInput(text).into());
    }
    let request = Request {
        flags: Flags {
            source: Some("generator:demo".to_owned()),
            lake: Some(args.dir.clone()),
            ..Flags::default()
        },
        once: true,
        archive: true,
        dry_run: true,
        ..Request::default()
    };
    let mut loaded = launch::load(None, None, &request.flags)?;
    logging::start(LogFormat::Text, loaded.env.rust_log.as_deref(), true);
    only_shipped(&loaded.project)?;
    loaded.settings.time.max_disorder = MAX_DISORDER;
    loaded.settings.default_lab = None;
    loaded.settings.dead_letters = None;
    let options =
        GeneratorOptions { max_disorder: MAX_DISORDER, ..GeneratorOptions::new(Profile::Demo) };
    let to = options.end().unwrap_or(options.from);
    let demo = Demo {
        lake: launch::open_lake(&loaded, &args.dir)?,
        dir: args.dir,
        loaded,
        options: options.clone(),
        period: ShownPeriod { from: options.from, to },
    };
    let summary = demo.stream(&request).await?;
    if summary.interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    demo.refuse_conflicts(&summary)?;
    demo.tell(&summary).await?;
    Ok(ExitCode::SUCCESS)
}

/// The demo's questions are about the shipped pipelines.
fn only_shipped(project: &Project) -> Result<(), WrongInput> {
    let there: BTreeSet<String> = project.tables().collect();
    let lacking: Vec<&str> = TABLES.into_iter().filter(|table| !there.contains(*table)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(WrongInput(format!(
        "the demo shows the shipped pipelines, and the project in the current folder has no {}; \
         start it in another folder",
        lacking.join(", ")
    )))
}

/// A demo that is set up.
struct Demo {
    dir: String,
    loaded: Loaded,
    options: GeneratorOptions,
    period: ShownPeriod,
    lake: Lake,
}

impl Demo {
    /// Runs the feed through everything.
    async fn stream(&self, request: &Request) -> anyhow::Result<Summary> {
        let plan = launch::plan(&self.loaded, request).await?;
        let progress = Arc::new(Progress::default());
        let job =
            launch::job(&self.loaded, request, plan, self.lake.clone(), Arc::clone(&progress))?;
        let source = GeneratorSource::new(self.options.clone()).map_err(launch::source_error)?;
        let bar = std::io::stderr().is_terminal().then(|| follow::follow(progress, self.period));
        let stop = async {
            if let Err(error) = launch::stop_signal().await {
                tracing::error!("{error:#}");
                std::future::pending::<()>().await;
            }
        };
        let outcome = pipeline::run(job, Box::new(source), stop).await;
        if let Some((bar, task)) = bar {
            task.abort();
            bar.finish_and_clear();
        }
        outcome.map_err(launch::run_error)
    }

    /// A folder that holds the results of something else is left as it is.
    fn refuse_conflicts(&self, summary: &Summary) -> Result<(), WrongInput> {
        let Some((pipeline, reason)) = summary.stopped.first_key_value() else { return Ok(()) };
        let others = match summary.stopped.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        Err(WrongInput(format!(
            "`{}` holds the lake of another project, source or version: pipeline \
             `{pipeline}`{others}: {reason}. name an empty folder with --dir, or remove this one",
            self.dir
        )))
    }

    /// Writes the report and prints the summary.
    async fn tell(&self, summary: &Summary) -> anyhow::Result<()> {
        let view = reading::open(self.lake.store(), &self.loaded.project).await?;
        let figures = figures(&ask(&view).await?);
        let stored = sizes(&self.lake, &view, self.loaded.project.tables()).await?;
        let report = Report {
            figures: &figures,
            period: self.period,
            source: ReportSource::Demo {
                books: books(summary),
                seed: self.options.seed,
                max_disorder: MAX_DISORDER.to_string(),
            },
            lake: &self.dir,
        };
        let html = report.html().context("could not make the report")?;
        let path = Path::new(&self.dir).join("report.html");
        std::fs::write(&path, html)
            .with_context(|| format!("could not write `{}`", path.display()))?;
        let terminal = Terminal {
            figures: &figures,
            books: books(summary),
            stored: &stored,
            written: summary.objects,
            seconds: summary.seconds,
            days: report.days(),
            lake: &self.dir,
            paint: Paint { colour: std::io::stdout().is_terminal() },
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(terminal.text().as_bytes()).and_then(|()| out.flush()) {
            // A reader that has seen enough is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.context("could not print the summary"),
        }
    }
}

fn books(summary: &Summary) -> Books {
    let counts = &summary.counts;
    Books {
        records: counts.records,
        counted: counts.counted,
        late: counts.late_only,
        repeated: counts.repeated,
        refused: counts.refused,
        dead_letters: counts.dead_letters,
    }
}
