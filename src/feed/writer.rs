//! The one writer of event lines.

use super::kafka::KafkaFeed;
use super::lines::Lines;
use super::target::{FeedTarget, KafkaTarget};
use super::{FeedError, WriteOutcome};
use crate::flow::Timestamp;

/// Writes a feed, record by record.
pub enum FeedWriter {
    /// Lines of a file or of standard output.
    Lines(Lines),
    /// Messages.
    Kafka(KafkaFeed),
}

impl FeedWriter {
    /// Opens the target: creates the file and its folders, or finds the topic.
    ///
    /// # Errors
    /// Where the target cannot be written, with the remedy.
    pub async fn open(
        target: &FeedTarget,
        settings: &KafkaTarget,
    ) -> Result<FeedWriter, FeedError> {
        match target {
            FeedTarget::Kafka(topic) => {
                Ok(FeedWriter::Kafka(KafkaFeed::open(topic, settings).await?))
            }
            FeedTarget::StandardOutput => Ok(FeedWriter::Lines(Lines::standard_output())),
            FeedTarget::File(path) => Ok(FeedWriter::Lines(Lines::create(path)?)),
        }
    }

    /// As [`FeedWriter::open`], where a file that is there is not written anew: records are added to it.
    ///
    /// # Errors
    /// Where the target cannot be written, with the remedy.
    pub async fn open_to_append(
        target: &FeedTarget,
        settings: &KafkaTarget,
    ) -> Result<FeedWriter, FeedError> {
        match target {
            FeedTarget::File(path) => Ok(FeedWriter::Lines(Lines::append(path)?)),
            FeedTarget::Kafka(_) | FeedTarget::StandardOutput => {
                FeedWriter::open(target, settings).await
            }
        }
    }

    /// Whether [`FeedWriter::write`] looks at the key.
    pub fn needs_keys(&self) -> bool {
        match self {
            FeedWriter::Lines(_) => false,
            FeedWriter::Kafka(_) => true,
        }
    }

    /// Writes one record; `line` has no line feed. A message without a time bears that of its sending.
    /// Blocks while the target is full.
    ///
    /// # Errors
    /// Where the target cannot be written, or an earlier message could not be delivered.
    pub fn write(
        &mut self,
        key: &[u8],
        line: &[u8],
        at: Option<Timestamp>,
    ) -> Result<WriteOutcome, FeedError> {
        match self {
            FeedWriter::Lines(lines) => lines.write(line),
            FeedWriter::Kafka(feed) => feed.send(key, line, at).map(|()| WriteOutcome::Taken),
        }
    }

    /// Waits until everything has been taken; a file then bears its name.
    ///
    /// # Errors
    /// Where something could not be written.
    pub fn finish(self) -> Result<(), FeedError> {
        match self {
            FeedWriter::Lines(lines) => lines.finish(),
            FeedWriter::Kafka(feed) => feed.finish(),
        }
    }
}
