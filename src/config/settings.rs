//! The settings of a run, their defaults, and what their values may be.
//!
//! Passwords of Kafka options and webhooks never reach `Debug` or a fault. `resolve` puts together
//! what is said in several places.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use secrecy::SecretString;

use crate::alert::rule::AlertSettings;
use crate::flow::Span;

use super::fault::{Fault, quoted};

/// Everything that a run can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where records come from. No default: `run` asks for it.
    pub source: Option<SourceSpec>,
    /// Where the Parquet goes, a URL or a path. Default `turnaround-lake`.
    pub lake: String,
    /// How long a lake that is away is waited for at the start, and by a run that ends with its
    /// input; a stream that has begun waits without end. Default 1 min.
    pub lake_patience: Span,
    /// The lab of events that name none. No default: such an event is a dead letter.
    pub default_lab: Option<String>,
    /// The target in hours of tests that have none of their own. Default 4.
    pub sla_hours: f64,
    /// How Kafka is read.
    pub kafka: KafkaSettings,
    /// How event time is judged.
    pub time: TimeSettings,
    /// How cards are made and where they go. Defaults: no routes, a reminder every 4 h, nothing
    /// older than 1 h is posted, cards are posted when a webhook is set.
    pub alerts: AlertSettings,
    /// How many bytes a run may hold for open windows, days and what waits. Default: any number.
    pub memory: Option<u64>,
    /// When state is written down.
    pub checkpoint: CheckpointSettings,
    /// Days that objects are kept, by prefix of the lake. Default: for ever.
    pub retention: BTreeMap<String, u32>,
    /// Where dead letters go, a URL or a path. Default: `dead_letters/` of the lake.
    pub dead_letters: Option<String>,
    /// Where metrics and health are served. Default: nowhere.
    pub listen: Option<SocketAddr>,
    /// What is accepted but has no effect yet, or looks like a mistake and may be none.
    pub notes: Vec<Fault>,
}

/// How Kafka is read.
#[derive(Clone)]
pub struct KafkaSettings {
    /// Host and port pairs with commas between. Default: what `KAFKA_BROKERS` says.
    pub brokers: Option<String>,
    /// The consumer group. Default `turnaround`.
    pub group: String,
    /// Any settings of librdkafka, by its own names; values may be secrets.
    pub options: BTreeMap<String, SecretString>,
}

/// How event time is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSettings {
    /// The watermark trails the largest event time by this. Default 1 min.
    pub max_disorder: Span,
    /// An event further ahead of its record's own time is a dead letter. Default 5 min.
    pub max_future: Span,
    /// An event further ahead of the others moves time on only when it is borne out. Default 15 min.
    pub max_leap: Span,
    /// A partition that is silent and fully read for so long no longer holds time back. Default
    /// 30 s.
    pub idle_after: Span,
    /// How long a finished test is remembered, in event time. Default 48 h.
    pub keep_finished: Span,
}

/// When state is written down: whichever comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// After so much clock time. Default 10 s.
    pub every: Span,
    /// After so many bytes of new state. Default 64 MiB.
    pub bytes: u64,
}

/// What the command line says; it goes before everything else.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--source`.
    pub source: Option<String>,
    /// `--lake`.
    pub lake: Option<String>,
    /// `--lab`.
    pub default_lab: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// `kafka:TOPIC[,TOPIC]`.
    Kafka {
        /// The topics, at least one.
        topics: Vec<String>,
    },
    /// `file:PATH` or a glob; `-` is standard input.
    File {
        /// The path or glob.
        pattern: String,
    },
    /// `generator:PROFILE`.
    Generator {
        /// The profile.
        profile: String,
    },
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            source: None,
            lake: "turnaround-lake".to_owned(),
            lake_patience: Span::MINUTE,
            default_lab: None,
            sla_hours: 4.0,
            kafka: KafkaSettings {
                brokers: None,
                group: "turnaround".to_owned(),
                options: BTreeMap::new(),
            },
            time: TimeSettings {
                max_disorder: Span::MINUTE,
                max_future: Span(5 * Span::MINUTE.0),
                max_leap: Span(15 * Span::MINUTE.0),
                idle_after: Span(30 * Span::SECOND.0),
                keep_finished: Span(48 * Span::HOUR.0),
            },
            alerts: AlertSettings::default(),
            memory: None,
            checkpoint: CheckpointSettings { every: Span(10 * Span::SECOND.0), bytes: 64 << 20 },
            retention: BTreeMap::new(),
            dead_letters: None,
            listen: None,
            notes: Vec::new(),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What is wrong with a value, and how to mend it.
pub(crate) type Wrong = (String, String);

impl SourceSpec {
    /// Reads `kafka:TOPIC[,TOPIC]`, `file:PATH` or `generator:PROFILE`.
    pub(crate) fn parse(text: &str) -> Result<SourceSpec, Wrong> {
        const REMEDY: &str = "write kafka:TOPIC, file:PATH or generator:PROFILE";
        let wrong = || (format!("is no source: {}", quoted(text)), REMEDY.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        match kind {
            "kafka" => {
                let topics: Vec<String> =
                    rest.split(',').map(|topic| topic.trim().to_owned()).collect();
                if topics.iter().any(String::is_empty) {
                    let what = format!("names an empty topic: {}", quoted(text));
                    return Err((what, "write the topics with one comma between".to_owned()));
                }
                Ok(SourceSpec::Kafka { topics })
            }
            "file" => Ok(SourceSpec::File { pattern: rest.to_owned() }),
            "generator" => Ok(SourceSpec::Generator { profile: rest.to_owned() }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Kafka { topics } => write!(f, "kafka:{}", topics.join(",")),
            SourceSpec::File { pattern } => write!(f, "file:{pattern}"),
            SourceSpec::Generator { profile } => write!(f, "generator:{profile}"),
        }
    }
}

/// Whether a text names a place for objects: a path, or a URL of a known kind without credentials.
/// The message never quotes the text, since it may hold a key.
pub(crate) fn location(text: &str) -> Result<(), Wrong> {
    const KINDS: &[&str] = &["file", "s3", "az", "gs"];
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.trim().is_empty() {
            Err(("is empty".to_owned(), "write a folder or a URL".to_owned()))
        } else {
            Ok(())
        };
    };
    if !KINDS.contains(&scheme) {
        let what = format!("is no place for objects: {} is not known", quoted(scheme));
        return Err((what, "write a folder, file://, s3://, az:// or gs://".to_owned()));
    }
    if scheme == "file" {
        return Ok(());
    }
    let (bucket, _) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') || rest.contains('?') {
        return Err((
            "holds credentials or a query".to_owned(),
            "write bucket and path alone; set keys as AWS_*, AZURE_* or GOOGLE_* variables"
                .to_owned(),
        ));
    }
    if bucket.is_empty() {
        let remedy = format!("write {scheme}://bucket/path");
        return Err(("names no bucket".to_owned(), remedy));
    }
    Ok(())
}

/// Whether a text can be the id of a lab (`docs/events.md#fields`: at most 64 bytes).
pub(crate) fn lab_id(text: &str) -> Result<(), Wrong> {
    if text.trim().is_empty() || text.len() > 64 {
        let what = format!("is no lab's id: {}", quoted(text));
        return Err((what, "write 1 to 64 characters".to_owned()));
    }
    Ok(())
}

/// Reads an address with a port; `localhost` is 127.0.0.1.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    let text = text.trim();
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        let what = format!("is no address with a port: {}", quoted(text));
        (what, "write it as 127.0.0.1:9464, or 0.0.0.0:9464 to be reached from outside".to_owned())
    })
}
