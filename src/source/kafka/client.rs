//! Finds the topics: their partitions, first and last offsets, and whether the group is free.
//!
//! Everything here happens before the first record, blocks, and gives up after
//! [`TopicSettings::start_timeout`]. It changes nothing on the brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::TopicSettings;
use super::consumer::{Share, consumer};
use super::context::{Context, Problem};
use super::faults;
use super::lane::Bounds;
use crate::flow::Partition;
use crate::source::SourceError;

/// The longest wait between two attempts to reach a broker.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// The longest wait for one answer, so that a refusal is heard soon.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long librdkafka may take to tell what went wrong.
const HEAR_TIMEOUT: Duration = Duration::from_millis(50);

/// How often a topic that is not there is looked for: one just created takes a moment to show.
const MISSING_TOPIC_ATTEMPTS: usize = 3;

/// A topic that was found.
pub(super) struct FoundTopic {
    pub(super) name: String,
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) bounds: Vec<Bounds>,
}

/// The topics of the settings with their partitions.
pub(super) fn find_topics(settings: &TopicSettings) -> Result<Vec<FoundTopic>, SourceError> {
    check_names(settings)?;
    let mut deadline = Instant::now() + settings.start_timeout;
    let mut found = Vec::new();
    for name in &settings.topics {
        let few = Share::of(1);
        let mut consumer = consumer(settings, name, few)?;
        let partitions =
            Start { settings, consumer: &consumer, topic: name, deadline }.partitions()?;
        let share = Share::of(partitions.len());
        if share != few {
            // How much is held ready is said when a consumer is made.
            consumer = super::consumer::consumer(settings, name, share)?;
        }
        let mut start = Start { settings, consumer: &consumer, topic: name, deadline };
        consumer.context().expect_partitions(partitions.len());
        let mut bounds = start.bounds(&partitions)?;
        if !(settings.once && bounds.iter().all(Bounds::is_empty)) {
            start.wait_for_empty_group()?;
            // Whoever was waited for has read on meanwhile, and filed what came: an end of before
            // would lie short of what the lake holds. The wait was not for a broker.
            deadline = Instant::now() + settings.start_timeout;
            start.deadline = deadline;
            bounds = start.bounds(&partitions)?;
        }
        found.push(FoundTopic { name: name.clone(), consumer: Arc::new(consumer), bounds });
    }
    Ok(found)
}

fn check_names(settings: &TopicSettings) -> Result<(), SourceError> {
    let wrong = |what: String| Err(SourceError::Wrong(what));
    if settings.brokers.trim().is_empty() {
        return wrong("no Kafka broker is named; set KAFKA_BROKERS or `kafka.brokers`".to_owned());
    }
    if settings.topics.is_empty() {
        return wrong("no Kafka topic is named; write `kafka:TOPIC`".to_owned());
    }
    let mut seen = BTreeSet::new();
    for topic in &settings.topics {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if topic.is_empty() || topic.len() > 249 || !topic.chars().all(legal) {
            return wrong(format!(
                "`{topic}` is not the name of a Kafka topic; use letters, digits, `.`, `_`, `-`, \
                 at most 249"
            ));
        }
        if !seen.insert(topic) {
            return wrong(format!("topic `{topic}` is named twice; name it once"));
        }
    }
    Ok(())
}

/// The questions asked before the first record.
struct Start<'a> {
    settings: &'a TopicSettings,
    consumer: &'a BaseConsumer<Context>,
    topic: &'a str,
    deadline: Instant,
}

impl Start<'_> {
    /// The topic's partitions, `0..n`.
    fn partitions(&self) -> Result<Vec<i32>, SourceError> {
        let topic = self.topic;
        let mut missing = 0;
        let found = self.ask("list the partitions", |timeout| {
            let metadata = self.consumer.fetch_metadata(Some(topic), timeout)?;
            let of_topic = metadata.topics().iter().find(|found| found.name() == topic);
            match of_topic.map(partitions_of) {
                Some(Ok(partitions)) if !partitions.is_empty() => Ok(Some(partitions)),
                Some(Err(error)) if error != RDKafkaErrorCode::UnknownTopicOrPartition => {
                    Err(KafkaError::MetadataFetch(error))
                }
                Some(_) | None => {
                    missing += 1;
                    if missing == MISSING_TOPIC_ATTEMPTS {
                        return Ok(None);
                    }
                    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition))
                }
            }
        })?;
        let mut partitions = found.ok_or_else(|| self.missing_topic())?;
        partitions.sort_unstable();
        Ok(partitions)
    }

    fn missing_topic(&self) -> SourceError {
        let known = match self.consumer.fetch_metadata(None, ANSWER_TIMEOUT) {
            Ok(metadata) => {
                let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
                let names: BTreeSet<String> = names.filter(|n| !n.starts_with("__")).collect();
                let shown: Vec<String> = names.into_iter().take(8).collect();
                if shown.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("among those it has are {}", shown.join(", "))
                }
            }
            Err(_) => "its topics could not be listed".to_owned(),
        };
        let (topic, brokers) = (self.topic, &self.settings.brokers);
        SourceError::Wrong(format!(
            "there is no topic `{topic}` on Kafka at `{brokers}` ({known}); create it, or name \
             another with `--source kafka:TOPIC`"
        ))
    }

    /// Where the partitions begin and end by now.
    fn bounds(&self, partitions: &[i32]) -> Result<Vec<Bounds>, SourceError> {
        let low = self.offsets(partitions, Offset::Beginning)?;
        let high = self.offsets(partitions, Offset::End)?;
        bounds_of(self.topic, partitions, &low, &high)
    }

    /// The first or last offset of each partition, asked for all at once.
    fn offsets(&self, partitions: &[i32], end: Offset) -> Result<BTreeMap<i32, i64>, SourceError> {
        self.ask("find the first and last offsets", |timeout| {
            let mut wanted = TopicPartitionList::with_capacity(partitions.len());
            for index in partitions {
                wanted.add_partition_offset(self.topic, *index, end)?;
            }
            let found = self.consumer.offsets_for_times(wanted, timeout)?;
            let offset = |element: TopicPartitionListElem<'_>| match element.offset() {
                Offset::Offset(offset) => element.error().map(|()| (element.partition(), offset)),
                _ => element.error().and(Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset))),
            };
            found.elements().into_iter().map(offset).collect()
        })
    }

    /// Waits for another instance to leave the group: joining would take partitions from it.
    fn wait_for_empty_group(&self) -> Result<(), SourceError> {
        let group = self.settings.group.as_str();
        let until = Instant::now() + self.settings.linger_timeout;
        let mut told = false;
        loop {
            let groups = match self.consumer.fetch_group_list(Some(group), ANSWER_TIMEOUT) {
                Ok(groups) => groups,
                Err(error) if Instant::now() < until && passes(&error) => {
                    tracing::debug!(group, %error, "could not look at the group's members yet");
                    wait(Duration::from_millis(500));
                    continue;
                }
                Err(error) => {
                    // Without the right to look, a rebalance tells.
                    tracing::debug!(group, %error, "could not look at the group's members");
                    return Ok(());
                }
            };
            let found = groups.groups().iter().find(|found| found.name() == group);
            let Some(rival) = found.and_then(|found| self.rival(found)) else { return Ok(()) };
            if Instant::now() >= until {
                return Err(faults::several_instances(group, self.topic, &rival));
            }
            if !told {
                told = true;
                tracing::info!(
                    group,
                    topic = self.topic,
                    found = rival,
                    "another member of the group reads this topic, or may; waiting for it to leave, \
                     as a killed one does after its session ends"
                );
            }
            wait(Duration::from_millis(500));
        }
    }

    /// Who of the group reads this topic, or may.
    fn rival(&self, group: &GroupInfo) -> Option<String> {
        // Only of a settled group do brokers tell what its members read.
        if !group.members().is_empty() && group.state() != "Stable" {
            return Some("it shares out its partitions anew all the time".to_owned());
        }
        let rival = group.members().iter().find(|member| reads_topic(member, self.topic))?;
        Some(format!("one is on {}", rival.client_host().trim_start_matches('/')))
    }

    /// Asks until there is an answer, or the time is up, or the brokers refuse us.
    fn ask<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut(Duration) -> KafkaResult<T>,
    ) -> Result<T, SourceError> {
        let mut backoff = Duration::from_millis(100);
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let error = match attempt(left.clamp(Duration::from_millis(500), ANSWER_TIMEOUT)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.hear_out()?;
            if let Some(refusal) = faults::refusal(&error, self.settings, self.topic) {
                return Err(refusal);
            }
            if Instant::now() >= self.deadline {
                let (topic, brokers) = (self.topic, &self.settings.brokers);
                let seconds = self.settings.start_timeout.as_secs();
                let reason = self.consumer.context().last_failure();
                return Err(SourceError::Failed {
                    attempted: format!(
                        "{what} of topic `{topic}` within {seconds} s from Kafka at `{brokers}`; \
                         start it, or name another with KAFKA_BROKERS or `kafka.brokers`"
                    ),
                    source: reason.map_or_else(|| error.into(), |reason| anyhow::anyhow!(reason)),
                });
            }
            tracing::warn!(brokers = self.settings.brokers, topic = self.topic, %error,
                "Kafka does not answer yet; trying again");
            wait(backoff);
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Lets librdkafka tell what went wrong, and ends the attempts when retrying is of no use.
    fn hear_out(&self) -> Result<(), SourceError> {
        // A poll that is given no time ends with the first log line.
        while let Some(event) = self.consumer.poll(HEAR_TIMEOUT) {
            if let Err(error) = event {
                tracing::debug!(topic = self.topic, %error, "Kafka reports");
            }
        }
        let context = self.consumer.context();
        match context.take_problem() {
            Some(Problem::Refused(reason)) => Err(faults::refused(&self.settings.brokers, &reason)),
            Some(Problem::Tls(reason)) => Err(SourceError::Wrong(format!(
                "Kafka at `{}` and this client do not agree on TLS: {reason}; look at \
                 `security.protocol` and the `ssl.` settings in `kafka.options`",
                self.settings.brokers
            ))),
            Some(Problem::TakenAway | Problem::NewPartition(_) | Problem::Rebalance(_)) | None => {
                Ok(())
            }
        }
    }
}

/// The bounds of each partition. One of which nothing was told must not be taken for empty.
fn bounds_of(
    topic: &str,
    partitions: &[i32],
    low: &BTreeMap<i32, i64>,
    high: &BTreeMap<i32, i64>,
) -> Result<Vec<Bounds>, SourceError> {
    let topic: Arc<str> = topic.into();
    let bounds = partitions.iter().map(|index| {
        let partition = Arc::new(Partition { topic: Arc::clone(&topic), index: *index });
        match (low.get(index), high.get(index)) {
            (Some(low), Some(high)) => Ok(Bounds { partition, low: *low, high: *high }),
            (_, _) => Err(SourceError::Failed {
                attempted: format!("find the first and last offsets of `{partition}`"),
                source: anyhow::anyhow!("Kafka told of other partitions only; start again"),
            }),
        }
    });
    bounds.collect()
}

fn partitions_of(topic: &MetadataTopic) -> Result<Vec<i32>, RDKafkaErrorCode> {
    match topic.error() {
        Some(error) => Err(error.into()),
        None => Ok(topic.partitions().iter().map(|partition| partition.id()).collect()),
    }
}

/// Whether what kept us from looking at a group may be over soon.
fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
        )
    )
}

/// Whether a member of the group has subscribed to the topic.
fn reads_topic(member: &GroupMemberInfo, topic: &str) -> bool {
    member.metadata().and_then(subscribed).is_some_and(|topics| topics.iter().any(|t| t == topic))
}

/// The topics of a consumer's subscription: a version (i16), a count (i32), then names, each with
/// its length (i16). See the consumer protocol's `Subscription` in Kafka's guide to the protocol.
fn subscribed(metadata: &[u8]) -> Option<Vec<String>> {
    let (count, mut rest) = metadata.get(2..)?.split_first_chunk::<4>()?;
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        topics.push(String::from_utf8(after.get(..length)?.to_vec()).ok()?);
        rest = after.get(length..)?;
    }
    Some(topics)
}

/// Waits on a thread that may block.
fn wait(span: Duration) {
    std::thread::park_timeout(span);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Timestamp;

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        let refusal = |topics: &[&str]| {
            let mut settings = TopicSettings::new("127.0.0.1:1", Vec::new(), Timestamp(0));
            settings.topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            check_names(&settings).expect_err("must be refused").to_string()
        };
        assert!(refusal(&[]).contains("no Kafka topic is named"));
        assert!(refusal(&["^lab.*"]).contains("`^lab.*` is not the name"));
        assert!(refusal(&["a", "a"]).contains("named twice"));
    }

    #[test]
    fn a_partition_of_which_nothing_is_told_is_not_empty_but_an_error() {
        let (low, high) = (BTreeMap::from([(0, 2), (1, 0)]), BTreeMap::from([(0, 7), (1, 3)]));
        let found = bounds_of("t", &[0, 1], &low, &high).expect("both are told");
        assert_eq!(found.iter().map(|b| (b.low, b.high)).collect::<Vec<_>>(), [(2, 7), (0, 3)]);
        let Err(SourceError::Failed { attempted, .. }) = bounds_of("t", &[0, 2], &low, &high)
        else {
            panic!("of partition 2 nothing is told")
        };
        assert!(attempted.contains("offsets of `t"), "{attempted}");
    }

    #[test]
    fn a_subscription_is_read() {
        let mut metadata = vec![0, 3, 0, 0, 0, 2, 0, 3];
        metadata.extend(b"lab");
        metadata.extend([0, 6]);
        metadata.extend(b"events");
        metadata.extend([0xff, 0xff, 0xff, 0xff]);
        assert_eq!(subscribed(&metadata), Some(vec!["lab".to_owned(), "events".to_owned()]));
        assert_eq!(subscribed(&metadata[..9]), None);
        assert_eq!(subscribed(&[]), None);
    }
}
