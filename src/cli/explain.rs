//! `explain`: how a pipeline will be computed, and why.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::launch::{self, Request};
use crate::config::Flags;
use crate::plan::planned::PipelinePlan;
use crate::sql::plan::query::{Above, Below, Way};

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline.
    pipeline: String,
    /// The project's folder.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let request = Request {
        flags: Flags::default(),
        pipelines: Some([args.pipeline.clone()].into()),
        ..Request::default()
    };
    let loaded = launch::load(args.project.as_deref(), None, &request.flags)?;
    let plan = launch::plan(&loaded, &request).await?;
    let mut out = std::io::stdout().lock();
    for pipeline in &plan.pipelines {
        write!(out, "{}", explanation(pipeline))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explanation(pipeline: &PipelinePlan) -> String {
    let mut lines = vec![format!("{}: {}", pipeline.spec.name, pipeline.spec.description)];
    match &pipeline.query.way {
        Way::Incremental(incremental) => {
            lines.push(
                "way: incremental: partial states per pane or session, merged when a window fires"
                    .into(),
            );
            lines.push(match incremental.below {
                Below::Branches(ref branches) => format!(
                    "below the aggregate: {} row-wise chain(s), evaluated on each batch",
                    branches.len()
                ),
                Below::Plan(_) => {
                    "below the aggregate: a plan (it joins a reference table), run per pane or session".into()
                }
            });
            lines.push(match incremental.above {
                Above::Chain(_) => "above the aggregate: row-wise, many windows at once".into(),
                Above::Plan(_) => "above the aggregate: a plan, run window by window".to_owned(),
            });
            lines.push("state per group:".to_owned());
            lines.extend(incremental.slots.iter().map(|slot| format!("  {}", slot.describe())));
        }
        Way::Recompute(reason) => {
            lines.push(format!("way: recompute over the rows of each window, because {reason}"))
        }
        Way::RowLevel(_) => {
            lines.push("way: row by row; rows are appended as they become final".into())
        }
    }
    for (name, _) in &pipeline.query.reads {
        lines.push(format!("reads: {name}"));
    }
    lines.extend(tables(pipeline));
    lines.push(format!("fingerprint: {}", pipeline.fingerprint));
    lines.push("plan:".to_owned());
    lines.extend(pipeline.query.display().lines().map(|line| format!("  {line}")));
    lines.join("\n") + "\n"
}

fn tables(pipeline: &PipelinePlan) -> Vec<String> {
    let mut lines = Vec::new();
    for family in &pipeline.families {
        if let Some(width) = family.family.kind().pane_width() {
            lines.push(format!("panes: {width}"));
        }
    }
    for window in &pipeline.spec.windows {
        lines.push(format!(
            "table {}: {}",
            pipeline.spec.table_name(window),
            window.kind.words(pipeline.spec.allowed_lateness)
        ));
    }
    lines
}
