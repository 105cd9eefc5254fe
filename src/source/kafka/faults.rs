//! What goes wrong with Kafka, told to a person: what was attempted, on what, what to do. Pure.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::TopicSettings;
use crate::source::SourceError;

/// The broker refuses our credentials.
pub(super) fn refused(brokers: &str, reason: &str) -> SourceError {
    SourceError::Wrong(format!(
        "Kafka at `{brokers}` refuses the credentials: {reason}; look at `security.protocol` and \
         the `sasl.` settings in `kafka.options`"
    ))
}

/// The error to end with when `error` says that we lack a right, or that the topic is gone.
pub(super) fn refusal(
    error: &KafkaError,
    settings: &TopicSettings,
    topic: &str,
) -> Option<SourceError> {
    let group = &settings.group;
    let wrong = |what: String| Some(SourceError::Wrong(what));
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            Some(refused(&settings.brokers, &error.to_string()))
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => wrong(format!(
            "this Kafka user may not read topic `{topic}`; grant it Read and Describe on the topic"
        )),
        RDKafkaErrorCode::GroupAuthorizationFailed => wrong(format!(
            "this Kafka user may not use group `{group}`; grant it Read on the group, or name \
             another with `kafka.group`"
        )),
        RDKafkaErrorCode::InvalidGroupId => {
            wrong(format!("`{group}` cannot be the name of a consumer group; mend `kafka.group`"))
        }
        _ => None,
    }
}

/// The error to end with when reading reports `error`; `None` when librdkafka tries again.
/// `reason` is what it said last.
pub(super) fn verdict(
    error: &KafkaError,
    reason: Option<String>,
    settings: &TopicSettings,
    topic: &str,
) -> Option<SourceError> {
    if let Some(refusal) = refusal(error, settings, topic) {
        return Some(refusal);
    }
    let failed = |attempted: String| {
        let source = anyhow::anyhow!(reason.unwrap_or_else(|| error.to_string()));
        Some(SourceError::Failed { attempted, source })
    };
    if let KafkaError::MessageConsumptionFatal(_) = error {
        return failed(format!("read on from topic `{topic}`; start again"));
    }
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => failed(format!(
            "read on from topic `{topic}`: records were deleted before they were read; lengthen \
             the topic's retention, and start again from the earliest that is left"
        )),
        RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition => Some(SourceError::Wrong(format!(
            "topic `{topic}` was deleted while it was read; create it and start again"
        ))),
        RDKafkaErrorCode::BadMessage
        | RDKafkaErrorCode::BadCompression
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::NotImplemented => failed(format!(
            "unpack what the broker sent of topic `{topic}`; the segment may be damaged"
        )),
        _ => None,
    }
}

/// Another instance is in the group.
pub(super) fn several_instances(group: &str, topic: &str, found: &str) -> SourceError {
    SourceError::Wrong(format!(
        "several instances read topic `{topic}` in group `{group}` ({found}): sharing partitions \
         needs checkpoints, which are not there yet, and without them the results would be wrong; \
         run one instance per group, or name another group with `kafka.group`"
    ))
}

/// The topic got a partition that was not there at the start.
pub(super) fn new_partition(topic: &str, index: i32) -> SourceError {
    SourceError::Wrong(format!(
        "topic `{topic}` got partition {index} while it was read, and events of one specimen may \
         now stand on two partitions; start again over a new topic with the new count"
    ))
}

/// Why the reading ends.
pub(super) enum ReadEnd {
    /// Nobody waits for it any more.
    Unwanted,
    /// It cannot go on.
    Failed(SourceError),
}

impl From<SourceError> for ReadEnd {
    fn from(error: SourceError) -> ReadEnd {
        ReadEnd::Failed(error)
    }
}
