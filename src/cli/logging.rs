//! Logs on standard error: text for people, JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts to log what `filter` (as RUST_LOG) lets through. A filter that cannot be read lets
/// `info` through and is complained of.
pub fn start(format: LogFormat, filter: Option<&str>, quiet: bool) {
    // The object store tells of every retry; the lake says once a minute what it waits for.
    let usual = if quiet { "warn" } else { "info,object_store=warn" };
    let wanted = filter.unwrap_or(usual);
    let (filter, complaint) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(usual), Some(error)),
    };
    let coloured = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(coloured);
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match format {
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    match (begun, complaint) {
        (Ok(()), None) => {}
        (Ok(()), Some(error)) => tracing::warn!(%error, "RUST_LOG cannot be read; using `{usual}`"),
        // Someone logs already, as in a test.
        (Err(_), _) => {}
    }
}
