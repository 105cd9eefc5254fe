//! `run`: the stream.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::api_lake::{Api, ApiArgs, ApiBounds};
use super::beside;
use super::check::counted;
use super::launch::{self, Request};
use super::logging::{self, LogFormat};
use crate::config::{Flags, SourceSpec};
use crate::flow::Timestamp;
use crate::lifecycle::ScatteredTubes;
use crate::pipeline::progress::{Progress, Summary};
use crate::{pipeline, serve};

/// Interrupted by the user.
const INTERRUPTED: u8 = 130;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder. Without it: the current folder if it has `pipelines/`, else the
    /// shipped project.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// A settings file in place of the project's `turnaround.yaml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where events come from: kafka:TOPIC[,TOPIC], file:PATH-or-glob (`-` is standard input) or
    /// generator:PROFILE.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Where the Parquet goes: a path, file:///…, s3://…, az://… or gs://…
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Only these pipelines, with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pipelines: Vec<String>,
    /// The lab of events that name none.
    #[arg(long, value_name = "LAB")]
    lab: Option<String>,
    /// End with the input: files at their end, Kafka at the offsets it has now.
    #[arg(long)]
    once: bool,
    /// Keep no archive of events.
    #[arg(long)]
    no_archive: bool,
    /// Serve /healthz, /readyz, /metrics and the API over the lake here, as 127.0.0.1:9464.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
    /// Stands for now where files are judged, as 2026-03-04T00:00:00Z.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    as_of: Option<Timestamp>,
    /// Make cards but post none.
    #[arg(long)]
    dry_run: bool,
    /// Print the counters as one JSON object when the run ends.
    #[arg(long)]
    json: bool,
    /// How logs are written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

fn parse_instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| format!("`{text}` is not an instant; write it as 2026-03-01T00:00:00Z"))
}

impl Args {
    fn request(&self) -> Request {
        let pipelines: BTreeSet<String> = self.pipelines.iter().cloned().collect();
        Request {
            flags: Flags {
                source: self.source.clone(),
                lake: self.lake.clone(),
                default_lab: self.lab.clone(),
                listen: self.listen.clone(),
            },
            pipelines: (!pipelines.is_empty()).then_some(pipelines),
            once: self.once,
            archive: !self.no_archive,
            as_of: self.as_of,
            dry_run: self.dry_run,
        }
    }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let request = args.request();
    args.api.checked()?;
    let loaded = launch::load(args.project.as_deref(), args.config.as_deref(), &request.flags)?;
    let with_bar = args.once && !args.json && std::io::stderr().is_terminal();
    logging::start(args.log_format, loaded.env.rust_log.as_deref(), with_bar);
    for note in &loaded.settings.notes {
        tracing::warn!("{note}");
    }
    let plan = launch::plan(&loaded, &request).await?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let progress = Arc::new(Progress::default());
    let metrics = serve::install_recorder()?;
    let lake = launch::open_lake(&loaded, &loaded.settings.lake)?;
    let _served = match loaded.settings.listen {
        Some(address) => {
            let api = Api::open((&loaded, &plan), &args.api, address, ApiBounds::BESIDE_A_RUN)?;
            let of_run = serve::router(Arc::clone(&progress), metrics);
            Some(beside::serve(api, of_run, address).await?)
        }
        None => None,
    };
    let source = launch::open_source(&loaded, &request).await?;
    let job = launch::job(&loaded, &request, plan, lake, Arc::clone(&progress))?;
    tracing::info!(
        source = %described(loaded.settings.source.as_ref()),
        lake = %loaded.settings.lake,
        pipelines = job.plan.pipelines.len(),
        "running"
    );
    let bar = with_bar.then(|| watch(Arc::clone(&progress)));
    let stop = async {
        if let Err(error) = launch::stop_signal().await {
            tracing::error!("{error:#}");
            std::future::pending::<()>().await;
        }
    };
    let outcome = pipeline::run(job, source, stop).await;
    if let Some((bar, task)) = bar {
        task.abort();
        bar.finish_and_clear();
    }
    let summary = outcome.map_err(launch::run_error)?;
    report(&summary, args.json)?;
    Ok(exit_code(&summary, args.once))
}

fn described(source: Option<&SourceSpec>) -> String {
    match source {
        Some(SourceSpec::Kafka { topics }) => format!("kafka:{}", topics.join(",")),
        Some(SourceSpec::File { pattern }) => format!("file:{pattern}"),
        Some(SourceSpec::Generator { profile }) => format!("generator:{profile}"),
        None => "none".to_owned(),
    }
}

/// Conflicts and failed pipelines are wrong input when the input is finite: the remedy is the
/// user's.
fn exit_code(summary: &Summary, once: bool) -> ExitCode {
    if !summary.stopped.is_empty() {
        return ExitCode::from(if once { 2 } else { 1 });
    }
    if summary.interrupted && once {
        return ExitCode::from(INTERRUPTED);
    }
    ExitCode::SUCCESS
}

/// A progress bar that follows a run.
pub fn watch(progress: Arc<Progress>) -> (ProgressBar, tokio::task::JoinHandle<()>) {
    let bar = ProgressBar::no_length();
    let shape = "{spinner} {bar:30} {percent:>3}%  {msg}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(shape) {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let task = tokio::spawn(async move {
        loop {
            let total = progress.total.load(Ordering::Relaxed);
            if total > 0 {
                shown.set_length(total);
                shown.set_position(progress.done.load(Ordering::Relaxed));
            }
            let records = progress.records.load(Ordering::Relaxed);
            let watermark = progress.watermark.load(Ordering::Relaxed);
            let reached = if watermark == 0 {
                String::new()
            } else {
                format!(", event time {}", Timestamp(watermark))
            };
            let faults = match progress.faulty_rule_count() {
                0 => String::new(),
                faulty => format!(", {} with faults", counted(faulty, "alert rule")),
            };
            shown.set_message(format!("{records} records{reached}{faults}"));
            shown.tick();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    (bar, task)
}

fn report(summary: &Summary, as_json: bool) -> std::io::Result<()> {
    let mut errors = std::io::stderr().lock();
    for (pipeline, reason) in &summary.stopped {
        writeln!(errors, "error: pipeline `{pipeline}` was stopped: {reason}")?;
    }
    for (rule, fault) in &summary.rule_faults {
        let rows = counted(usize::try_from(fault.rows).unwrap_or(usize::MAX), "row");
        writeln!(
            errors,
            "warning: alert rule `{rule}` could not be evaluated on {rows}, which count as not in \
             breach: {}",
            fault.reason
        )?;
    }
    if summary.scattered.scattered > 0 {
        let ScatteredTubes { looked_at, scattered } = summary.scattered;
        writeln!(
            errors,
            "warning: the events of {scattered} of {looked_at} specimens that were looked at came on more \
             than one partition, and what is told of these is wrong; give messages the key lab_id, or lab_id \
             and specimen_id"
        )?;
    }
    let next = match summary.cards_kept {
        true => "the next start on this lake delivers it",
        false => "it could not be written down for the next start",
    };
    for title in &summary.undelivered {
        writeln!(errors, "warning: not delivered before the end: {title}; {next}")?;
    }
    if summary.held > 0 {
        let cards = counted(summary.held, "card");
        writeln!(errors, "note: quiet hours hold back {cards}; {next}")?;
    }
    if as_json {
        return writeln!(std::io::stdout(), "{}", to_json(summary));
    }
    let counts = &summary.counts;
    writeln!(
        errors,
        "{} records in {:.1} s: {} counted, {} too late for every table ({} for some), {} repeated, \
         {} refused, {} dead letters; {} objects ({} bytes) written, {} cards",
        counts.records,
        summary.seconds,
        counts.counted,
        counts.late_only,
        counts.late,
        counts.repeated,
        counts.refused,
        counts.dead_letters,
        summary.objects,
        summary.bytes,
        summary.cards,
    )
}

/// The counters as one JSON object: `events_in` is the sum of `counted`, `late_only`, `repeated`,
/// `refused`, `dead_letters`, `other` and, of a run that was stopped, `waiting`; `late` counts the events that some table missed.
pub fn to_json(summary: &Summary) -> Value {
    let counts = &summary.counts;
    let tables: Map<String, Value> = summary
        .tables
        .iter()
        .map(|(table, tally)| {
            (table.clone(), json!({ "counted": tally.counted, "late": tally.late }))
        })
        .collect();
    let rule_faults: Map<String, Value> = summary
        .rule_faults
        .iter()
        .map(|(rule, fault)| (rule.clone(), json!({ "rows": fault.rows, "reason": fault.reason })))
        .collect();
    json!({
        "events_in": counts.records,
        "counted": counts.counted,
        "late_only": counts.late_only,
        "repeated": counts.repeated,
        "refused": counts.refused,
        "dead_letters": counts.dead_letters,
        "other": counts.other,
        "waiting": counts.waiting(),
        "late": counts.late,
        "unknown_fields": counts.unknown_fields,
        "objects": summary.objects,
        "bytes": summary.bytes,
        "cards": summary.cards,
        "cards_delivered": summary.delivered,
        "cards_waiting": summary.undelivered.len() + summary.held,
        "seconds": summary.seconds,
        "interrupted": summary.interrupted,
        "stopped": summary.stopped,
        "rule_faults": rule_faults,
        "scattered": summary.scattered.scattered,
        "tables": tables,
    })
}
