//! Finds the topics: settings to consumers, partitions, first and last offsets.
//!
//! Everything here happens before the first record, blocks, and gives up after
//! [`KafkaSettings::start_timeout`]. It changes nothing on the brokers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::metadata::MetadataTopic;

use super::KafkaSettings;
use super::context::{Context, Problem};
use super::faults;
use super::lane::Lane;
use crate::flow::Partition;
use crate::source::SourceError;

/// What a librdkafka setting is when `options` does not say otherwise, and why.
const DEFAULTS: &[(&str, &str)] = &[
    // Aborted transactions never happened.
    ("isolation.level", "read_committed"),
    // A killed instance's membership ends soon, so that its successor need not wait for long.
    ("session.timeout.ms", "15000"),
    // Memory: what librdkafka holds ready for one topic, in bytes and in messages per partition
    // (each costs some 400 bytes beside its payload), and what one answer of a broker may bring.
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "20000"),
    // When that is full, fetching rests for so long; the default of 1 s starves the loop.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.max.bytes", "16777216"),
    // A fetch may bring fetch.max.bytes and one large message; Kafka messages of 10 MB are legal.
    ("receive.message.max.bytes", "67108864"),
    // How soon a reconnect is tried: soon enough to ride over a broker's restart.
    ("reconnect.backoff.max.ms", "3000"),
];

/// What the source depends on; `options` may not set these.
const OWN: &[(&str, &str, &str)] = &[
    ("enable.auto.commit", "false", "offsets are committed when the results are durable"),
    ("enable.auto.offset.store", "false", "offsets are committed when the results are durable"),
    ("enable.partition.eof", "true", "the ends of partitions decide which of them are idle"),
    ("auto.offset.reset", "error", "records that are gone must not be passed over in silence"),
    ("allow.auto.create.topics", "false", "a misspelt topic must not come into being"),
    ("partition.assignment.strategy", "cooperative-sticky", "partitions are taken one by one"),
    ("statistics.interval.ms", "1000", "the lag is read from the statistics"),
];

/// Settings that have a home of their own in `kafka:`.
const ELSEWHERE: &[(&str, &str)] = &[
    ("bootstrap.servers", "kafka.brokers"),
    ("metadata.broker.list", "kafka.brokers"),
    ("group.id", "kafka.group"),
];

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
    pub(super) lanes: Vec<Lane>,
}

/// The topics of the settings with their partitions.
pub(super) fn find_topics(settings: &KafkaSettings) -> Result<Vec<FoundTopic>, SourceError> {
    check_names(settings)?;
    let deadline = Instant::now() + settings.start_timeout;
    let mut found = Vec::new();
    for name in &settings.topics {
        let consumer = consumer(settings, name)?;
        let start = Start { settings, consumer: &consumer, topic: name, deadline };
        let partitions = start.partitions()?;
        consumer.context().expect_partitions(partitions.len());
        let mut lanes = Vec::with_capacity(partitions.len());
        for index in partitions {
            lanes.push(start.lane(index)?);
        }
        if !(settings.once && lanes.iter().all(Lane::is_read)) {
            start.wait_for_empty_group()?;
        }
        found.push(FoundTopic { name: name.clone(), consumer: Arc::new(consumer), lanes });
    }
    Ok(found)
}

fn check_names(settings: &KafkaSettings) -> Result<(), SourceError> {
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

/// A consumer of the group, not subscribed yet.
fn consumer(settings: &KafkaSettings, topic: &str) -> Result<BaseConsumer<Context>, SourceError> {
    let config = client_config(settings)?;
    config.create_with_context(Context::new(topic)).map_err(|error| match error {
        // The value stays out: it may be a secret.
        KafkaError::ClientConfig(_, description, key, value) => {
            let shown = if value.is_empty() || description.contains(&value) {
                "its value is not one that librdkafka knows".to_owned()
            } else {
                description
            };
            SourceError::Wrong(format!("`kafka.options` has a wrong `{key}`: {shown}"))
        }
        error => SourceError::Wrong(format!(
            "librdkafka refuses the settings in `kafka`: {error}; mend the one it names"
        )),
    })
}

fn client_config(settings: &KafkaSettings) -> Result<ClientConfig, SourceError> {
    let mut config = ClientConfig::new();
    // Its words on failures become part of ours; they are not printed as they come.
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("client.id", "turnaround");
    for (key, value) in DEFAULTS {
        config.set(*key, *value);
    }
    for (key, value) in &settings.options {
        if let Some((_, _, reason)) = OWN.iter().find(|(own, _, _)| own == key) {
            return Err(SourceError::Wrong(format!(
                "`kafka.options` may not set `{key}`, because {reason}; remove it"
            )));
        }
        if let Some((_, home)) = ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere == key) {
            return Err(SourceError::Wrong(format!(
                "`kafka.options` may not set `{key}`; set `{home}` instead"
            )));
        }
        config.set(key, value);
    }
    for (key, value, _) in OWN {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
    if settings.once {
        // A follower's end may lie before the leader's, to which `once` reads.
        config.remove("client.rack");
    }
    Ok(config)
}

/// The questions asked before the first record.
struct Start<'a> {
    settings: &'a KafkaSettings,
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

    /// Where a partition begins and ends by now.
    fn lane(&self, index: i32) -> Result<Lane, SourceError> {
        let (low, high) = self.ask("find the first and last offsets", |timeout| {
            self.consumer.fetch_watermarks(self.topic, index, timeout)
        })?;
        let partition = Arc::new(Partition { topic: self.topic.into(), index });
        Ok(Lane::new(partition, low, high, self.settings.once))
    }

    /// Waits for another instance to leave the group: joining would take partitions from it.
    fn wait_for_empty_group(&self) -> Result<(), SourceError> {
        let group = self.settings.group.as_str();
        let until = Instant::now() + self.settings.linger_timeout;
        let mut told = false;
        loop {
            let groups = match self.consumer.fetch_group_list(Some(group), ANSWER_TIMEOUT) {
                Ok(groups) => groups,
                Err(error) => {
                    // Without the right to look, a rebalance tells.
                    tracing::debug!(group, %error, "could not look at the group's members");
                    return Ok(());
                }
            };
            let members = groups.groups().iter().filter(|found| found.name() == group);
            let rival = members.flat_map(|g| g.members()).find(|m| reads_topic(m, self.topic));
            let Some(rival) = rival else { return Ok(()) };
            if Instant::now() >= until {
                let host = rival.client_host().trim_start_matches('/');
                return Err(faults::several_instances(
                    group,
                    self.topic,
                    &format!("one is on {host}"),
                ));
            }
            if !told {
                told = true;
                tracing::info!(
                    group,
                    topic = self.topic,
                    "another member of the group reads this topic; waiting for it to leave, as a \
                     killed one does after its session ends"
                );
            }
            wait(Duration::from_millis(500));
        }
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

fn partitions_of(topic: &MetadataTopic) -> Result<Vec<i32>, RDKafkaErrorCode> {
    match topic.error() {
        Some(error) => Err(error.into()),
        None => Ok(topic.partitions().iter().map(|partition| partition.id()).collect()),
    }
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

    fn settings(options: &[(&str, &str)]) -> KafkaSettings {
        let mut settings = KafkaSettings::new("127.0.0.1:1", vec!["t".to_owned()], Timestamp(0));
        settings.options =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings
    }

    fn refused_option(key: &str, value: &str) -> String {
        match consumer(&settings(&[(key, value)]), "t") {
            Ok(_) => panic!("{key} must be refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn settings_that_cannot_be_are_named_and_their_values_are_not() {
        let own = refused_option("enable.auto.commit", "true");
        assert!(own.contains("may not set `enable.auto.commit`, because"), "{own}");
        assert!(refused_option("group.id", "x").contains("set `kafka.group` instead"));
        let unknown = refused_option("sasl.pasword", "hunter2");
        assert!(unknown.contains("`sasl.pasword`") && !unknown.contains("hunter2"), "{unknown}");
        let value = refused_option("sasl.mechanism.typo", "hunter2");
        assert!(!value.contains("hunter2"), "{value}");
        let kind = refused_option("security.protocol", "hunter2");
        assert!(kind.contains("`security.protocol`") && !kind.contains("hunter2"), "{kind}");
        let tls = settings(&[("security.protocol", "ssl"), ("ssl.ca.location", "/absent.pem")]);
        let file = match consumer(&tls, "t") {
            Ok(_) => panic!("must be refused"),
            Err(error) => error.to_string(),
        };
        assert!(file.contains("ssl.ca.location"), "{file}");
        assert!(!format!("{:?}", settings(&[("sasl.password", "hunter2")])).contains("hunter2"));
    }

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        let refusal = |topics: &[&str]| {
            let mut settings = settings(&[]);
            settings.topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            check_names(&settings).expect_err("must be refused").to_string()
        };
        assert!(refusal(&[]).contains("no Kafka topic is named"));
        assert!(refusal(&["^lab.*"]).contains("`^lab.*` is not the name"));
        assert!(refusal(&["a", "a"]).contains("named twice"));
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
