//! What `token` and `tenant` share: the lake, who has it done, how it is told.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::WrongInput;
use super::check::wrong_project;
use super::reading::wrong_lake;
use crate::access::desk::{AccessDesk, AccessError, Doer};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Env, Flags, Project, Settings};
use crate::flow::Timestamp;
use crate::lake::{Lake, LakeError, Purpose, Store, store};

/// Where, and by whom.
#[derive(Debug, clap::Args)]
pub struct DeskArgs {
    /// Where the Parquet is: a path, file:///…, s3://…, az://… or gs://… [default: turnaround-lake]
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// The project whose settings name the lake.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Who has it done, for the audit table [default: USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl DeskArgs {
    /// The project whose settings name the lake.
    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }
}

/// A lake's desk, and who stands at it.
pub struct AtDesk {
    /// The desk.
    pub desk: AccessDesk,
    /// Who has it done, and when.
    pub doer: Doer,
    /// The lake, for messages.
    pub lake: String,
}

impl AtDesk {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.doer.at
    }
}

/// Opens a lake's desk. For writing the lake is made where it is not there, and marked as ours.
///
/// # Errors
/// Where the lake cannot be opened. Faults of the project's pipelines do not matter.
pub async fn at_desk(args: &DeskArgs, purpose: Purpose) -> anyhow::Result<AtDesk> {
    let (opened, doer) = opened(args, purpose)?;
    let name = opened.name.clone();
    let lake = Lake::new(opened);
    match purpose {
        Purpose::Write => lake.claim().await.map_err(wrong_or_failed)?,
        Purpose::Read => {}
    }
    Ok(AtDesk { desk: AccessDesk::new(lake), doer, lake: name })
}

/// Opens a lake's store, and says who has it done.
///
/// # Errors
/// Where it cannot be opened.
pub fn opened(args: &DeskArgs, purpose: Purpose) -> anyhow::Result<(Store, Doer)> {
    let reading = Project::read(args.project.as_deref(), None);
    if args.project.is_some() && reading.project.folder.is_none() {
        return Err(wrong_project(&reading.faults).into());
    }
    let env = Env::from_process();
    let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
    let settings = Settings::resolve(reading.project.settings.as_ref(), &env, &flags)
        .map_err(|faults| wrong_project(&faults))?;
    let options = env.store_options();
    let options = options.map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned()));
    let opened = store::open(&settings.lake, options, purpose).map_err(wrong_lake)?;
    let who = args.by.clone().or(env.user).unwrap_or_else(|| "unknown".to_owned());
    let doer = Doer { who, tenant: None, at: SystemClock.now() };
    Ok((opened, doer))
}

fn wrong_or_failed(error: LakeError) -> anyhow::Error {
    match error {
        error @ LakeError::OtherLayout { .. } => WrongInput(error.to_string()).into(),
        error => wrong_lake(error),
    }
}

/// What cannot be is wrong input; a lake that does not answer is not.
pub fn wrong_access(error: AccessError) -> anyhow::Error {
    match error {
        AccessError::Wrong(text) => WrongInput(text).into(),
        AccessError::Lake(error) => wrong_lake(error),
        error @ (AccessError::Audit(_) | AccessError::Randomness(_) | AccessError::Json(_)) => {
            error.into()
        }
    }
}

/// Laboratories as they stand in a list.
pub fn labs_told(labs: &[String]) -> String {
    if labs.is_empty() { "none".to_owned() } else { labs.join(",") }
}

/// A table of texts with its columns aligned.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
