//! Where a feed goes, as `--out` says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::FeedError;

/// Where a feed is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedTarget {
    /// A file, written anew.
    File(PathBuf),
    /// Standard output.
    StandardOutput,
    /// A Kafka topic.
    Kafka(String),
}

impl FromStr for FeedTarget {
    type Err = FeedError;

    fn from_str(text: &str) -> Result<FeedTarget, FeedError> {
        match text.split_once(':') {
            Some(("file", "-")) => Ok(FeedTarget::StandardOutput),
            Some(("file", path)) if !path.is_empty() => Ok(FeedTarget::File(path.into())),
            Some(("kafka", topic)) if !topic.is_empty() => Ok(FeedTarget::Kafka(topic.to_owned())),
            Some(_) | None => Err(FeedError::Wrong(
                "write file:PATH, file:- for standard output, or kafka:TOPIC".to_owned(),
            )),
        }
    }
}

impl fmt::Display for FeedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedTarget::File(path) => write!(f, "{}", path.display()),
            FeedTarget::StandardOutput => f.write_str("standard output"),
            FeedTarget::Kafka(topic) => write!(f, "topic {topic}"),
        }
    }
}

/// What a Kafka target needs beside its topic.
#[derive(Clone, Debug, Default)]
pub struct KafkaTarget {
    /// Bootstrap servers.
    pub brokers: Option<String>,
    /// Create the topic with so many partitions when it does not exist.
    pub partitions: Option<u16>,
    /// Any librdkafka setting.
    pub options: Vec<(String, String)>,
    /// What to do where the topic does not exist.
    pub remedy: &'static str,
}

/// Reads a librdkafka setting, for the command line.
///
/// # Errors
/// Where it has no name or no `=`; the text says how to write it.
pub fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        Some(_) | None => Err("write KEY=VALUE, as security.protocol=SASL_SSL".to_owned()),
    }
}
