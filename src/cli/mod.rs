//! The command line: one file per command.

pub mod access;
pub mod ack;
pub mod api_lake;
pub mod beside;
pub mod center;
pub mod check;
pub mod demo;
pub mod diagram;
pub mod explain;
pub mod generate;
pub mod import;
pub mod launch;
pub mod logging;
pub mod query;
pub mod reading;
pub mod relations;
pub mod report;
pub mod run;
pub mod serve;
pub mod tenant;
pub mod test_alert;
pub mod token;
pub mod try_pipeline;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Laboratory-operations stream processor: specimen events in, turnaround-time indicators as
/// Parquet and Teams cards out.
#[derive(Debug, Parser)]
#[command(name = "turnaround", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate three days of three laboratories and run them through everything.
    Demo(demo::Args),
    /// Run the stream.
    Run(run::Args),
    /// Report every mistake of a project; touches no network.
    Check(check::Args),
    /// Show the result rows of one pipeline over a file.
    Try(try_pipeline::Args),
    /// Say how a pipeline will be computed, and why.
    Explain(explain::Args),
    /// Draw the state machines that tests, instruments and others follow.
    Diagram(diagram::Args),
    /// Write made-up but realistic events.
    Generate(generate::Args),
    /// Turn a CSV file into events.
    Import(import::Args),
    /// Ask the lake a question in SQL.
    Query(query::Args),
    /// Serve the API over a lake: what it holds, live.
    Serve(serve::Args),
    /// Write a lake's figures and charts as one page.
    Report(report::Args),
    /// List the relations and columns that SQL can read.
    Relations(relations::Args),
    /// Make, list and end the tokens with which people and programs ask the API.
    #[command(subcommand)]
    Token(token::TokenAsk),
    /// Say which laboratories a tenant has.
    #[command(subcommand)]
    Tenant(tenant::TenantAsk),
    /// Say that someone sees to what a card tells: nobody is reminded of it any more.
    Ack(ack::Args),
    /// Tell how a laboratory's own settings stand, and change them: edit, save, recover.
    Center(center::Args),
    /// Post one test card.
    TestAlert(test_alert::Args),
}

/// What a command's failure means to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongInput(pub String);

/// Blocking threads beside one for each core. Batches take one more than there are cores
/// (`pipeline/ahead.rs`); what is left encodes and puts objects, so that windows never wait for a
/// thread that waits for them.
const SPARE_THREADS: usize = 4;

/// Parses the arguments, runs the command, prints its error, returns the exit code: 0 done,
/// 1 failed while working, 2 wrong input or configuration, 130 interrupted.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Batches are computed on the runtime's blocking threads. Few more of these than cores: each
    // keeps memory of its own. The others serve the file system and name lookups meanwhile.
    let cores = crate::cores::count();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(cores + SPARE_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start the runtime: {error}");
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(dispatch(cli.command));
    match outcome {
        Ok(code) => code,
        Err(error) => told_and_coded(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Check(args) => printed(check::run(args).await),
        Command::Try(args) => printed(try_pipeline::run(args).await),
        Command::Explain(args) => printed(explain::run(args).await),
        Command::Diagram(args) => printed(diagram::run(args).await),
        Command::Generate(args) => generate::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Query(args) => query::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Report(args) => printed(report::run(args).await),
        Command::Relations(args) => printed(relations::run(args).await),
        Command::Token(ask) => printed(token::run(ask).await),
        Command::Tenant(ask) => printed(tenant::run(ask).await),
        Command::Ack(args) => printed(ack::run(args).await),
        Command::Center(args) => printed(center::run(args).await),
        Command::TestAlert(args) => test_alert::run(args).await,
    }
}

/// An error and its causes in one line; a cause that is told already is not told again.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What a command gives that only prints: a reader who has seen enough (`… | head`) is no failure.
fn printed(outcome: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let is_gone = |error: &anyhow::Error| {
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    match outcome {
        Err(error) if is_gone(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome,
    }
}

/// Prints an error and its causes, and chooses the exit code.
fn told_and_coded(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", told(error));
    let wrong = error.chain().any(|cause| cause.is::<WrongInput>());
    ExitCode::from(if wrong { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_reader_who_has_seen_enough_is_no_failure() {
        let failed = |kind| printed(Err(anyhow::Error::new(Error::from(kind)).context("printing")));
        assert!(failed(ErrorKind::BrokenPipe).is_ok());
        assert!(failed(ErrorKind::PermissionDenied).is_err());
    }
}
