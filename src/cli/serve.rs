//! `serve`: the API over a lake, until it is stopped.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::routing::get;

use super::WrongInput;
use super::access::wrong_access;
use super::api_lake::{Api, ApiArgs, ApiBounds, wrong_address};
use super::check::wrong_project;
use super::launch::{load, watch_for_stop};
use super::logging::{self, LogFormat};
use crate::api::door::Asks;
use crate::api::server;
use crate::config::Flags;
use crate::config::settings::address;
use crate::lake::read::LakeViewError;
use crate::plan::build;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the Parquet is: a path, file:///…, s3://…, az://… or gs://… [default: turnaround-lake]
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: String,
    #[command(flatten)]
    api: ApiArgs,
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
    args.api.checked()?;
    let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
    let loaded = load(args.project.as_deref(), None, &flags)?;
    logging::start(args.log_format, loaded.env.rust_log.as_deref(), false);
    let planned = build::plan(&loaded.project, &loaded.settings, None, false).await;
    let plan = planned.map_err(|unplanned| wrong_project(&unplanned.faults))?;
    let api = Api::open((&loaded, &plan), &args.api, listen_on, ApiBounds::ALONE)?;
    match api.lake.refresh().await {
        Err(error @ LakeViewError::OtherLayout(_)) => {
            return Err(WrongInput(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
        Ok(()) => {}
    }
    api.door.refresh().await.map_err(wrong_access)?;
    let asks = api.door.has_tokens() || args.api.asks(listen_on) == Asks::FromTheFirstToken;
    server::refuse_open(listen_on, asks).map_err(wrong_address)?;
    let listener = server::listen(listen_on).await.map_err(wrong_address)?;
    let stop = watch_for_stop()?;
    let bound = listener.local_addr().context("could not tell the address")?;
    let url = api.url(bound);
    let mut out = std::io::stdout();
    writeln!(out, "{url}/api/v1")?;
    out.flush()?;
    tracing::info!(lake = %loaded.settings.lake, "serving the API on {url}/api/v1");
    api.warn(bound);
    let router = api.router().route("/healthz", get(|| async { "ok\n" }));
    api.serve(listener, router, stop).await;
    Ok(ExitCode::SUCCESS)
}
