//! `report`: the page of the demo over any lake, as one file that asks nothing of anyone.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::NaiveDate;

use super::WrongInput;
use super::api_lake::schemas;
use super::launch::{self, Request};
use super::reading;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Flags;
use crate::flow::{Span, Timestamp};
use crate::lake::read::{LabScope, LakeView, Scope};
use crate::lake::{Purpose, store};
use crate::report::ask::{ask_within, last_days};
use crate::report::charts::ShownPeriod;
use crate::report::figures::Figures;
use crate::report::html::{Report, ReportSource};
use crate::report::reading::figures;

/// Days of a report at most: it shows hours.
const MOST_DAYS: i64 = 31;
/// Laboratories of a report at most.
const MOST_LABS: usize = 24;
/// Where nobody says, and no test was ever completed.
const DAYS: i64 = 7;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the Parquet is: a path, file:///…, s3://…, az://… or gs://… [default: turnaround-lake]
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// Only this laboratory; may stand more than once.
    #[arg(long, value_name = "LAB")]
    lab: Vec<String>,
    /// The first instant or day (UTC) within [default: a week before the end]
    #[arg(long, value_name = "T", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// The first instant or day (UTC) behind [default: after the last day that has completed tests]
    #[arg(long, value_name = "T", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Write to this file; `-` is standard output.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// The project whose tables and laboratories' names are shown.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Timestamp::midnight);
    Timestamp::parse_rfc3339(text)
        .or_else(day)
        .ok_or_else(|| format!("`{text}` is no time; write 2026-03-01 or 2026-03-01T00:00:00Z"))
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
    let loaded = launch::load(args.project.as_deref(), None, &flags)?;
    let request = Request { flags, ..Request::default() };
    let plan = launch::plan(&loaded, &request).await?;
    let store = store::open(&loaded.settings.lake, loaded.store_options(), Purpose::Read);
    let store = store.map_err(reading::wrong_lake)?;
    let view = reading::open_any(&store, &loaded.project).await?;
    for (table, schema) in schemas(&plan)? {
        view.plan_table(&table, schema);
    }
    let view = scoped(&view, &args.lab)?;
    let period = period(&args, last_days(&view).await?)?;
    let (answers, lacking) = ask_within(&view, period).await?;
    let figures = figures(&answers);
    refuse_many(&figures)?;
    let report = Report {
        figures: &figures,
        period,
        source: ReportSource::Lake { lacking: lacking.into_iter().collect() },
        lake: &store.name,
    };
    let html = report.html().context("could not make the report")?;
    write(&args.out, &html)?;
    Ok(ExitCode::SUCCESS)
}

/// The rows of some laboratories alone, where any are named.
fn scoped(view: &LakeView, labs: &[String]) -> anyhow::Result<LakeView> {
    if labs.is_empty() {
        return Ok(view.clone());
    }
    let labs: BTreeSet<String> = labs.iter().cloned().collect();
    Ok(view.scoped(&Scope::of(LabScope::Labs(labs)))?)
}

/// What the flags say, else the last days that have tests, else the last days.
fn period(args: &Args, last: Option<ShownPeriod>) -> Result<ShownPeriod, WrongInput> {
    let tomorrow = || Timestamp::midnight(SystemClock.now().date()).plus(Span::DAY);
    let week = |to: Timestamp| to.minus(Span(DAYS * Span::DAY.0));
    let (from, to) = match (args.from, args.to) {
        (Some(from), Some(to)) => (from, to),
        (None, Some(to)) => (week(to), to),
        (Some(from), None) => {
            let end = last.map_or_else(tomorrow, |last| last.to);
            let week = from.plus(Span(DAYS * Span::DAY.0));
            (from, if end <= from { week } else { end.min(week) })
        }
        (None, None) => {
            let to = last.map_or_else(tomorrow, |last| last.to);
            (last.map_or_else(|| week(to), |last| last.from), to)
        }
    };
    if to <= from {
        let text = format!("--to is {to} and must come after --from, {from}");
        return Err(WrongInput(text));
    }
    if to.0 - from.0 > MOST_DAYS * Span::DAY.0 {
        let text = format!(
            "from {from} to {to} are more than {MOST_DAYS} days; a report shows hours: ask for fewer"
        );
        return Err(WrongInput(text));
    }
    Ok(ShownPeriod { from, to })
}

fn refuse_many(figures: &Figures) -> Result<(), WrongInput> {
    if figures.labs.len() <= MOST_LABS {
        return Ok(());
    }
    let some: Vec<&str> = figures.labs.iter().take(3).map(|lab| lab.id.as_str()).collect();
    Err(WrongInput(format!(
        "{} laboratories have rows in this period, and a report shows {MOST_LABS} at most; name some \
         with --lab, as --lab {}",
        figures.labs.len(),
        some.join(" --lab ")
    )))
}

fn write(out: &Path, html: &str) -> anyhow::Result<()> {
    let mut told = std::io::stdout();
    if out == Path::new("-") {
        told.write_all(html.as_bytes())?;
        return Ok(());
    }
    std::fs::write(out, html).with_context(|| format!("could not write `{}`", out.display()))?;
    writeln!(told, "{}", out.display())?;
    Ok(())
}
