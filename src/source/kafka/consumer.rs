//! Settings to a consumer: what librdkafka is told, and what `kafka.options` may not say.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::TopicSettings;
use super::context::Context;
use crate::source::SourceError;

/// What a librdkafka setting is when `options` does not say otherwise, and why.
const DEFAULTS: &[(&str, &str)] = &[
    // Aborted transactions never happened.
    ("isolation.level", "read_committed"),
    // A killed instance's membership ends soon, so that its successor need not wait for long.
    ("session.timeout.ms", "15000"),
    // Memory: what librdkafka holds ready of each partition, in messages (each costs some 400 bytes
    // beside its payload); `Share` says how many bytes. And what one answer of a broker may bring.
    ("queued.min.messages", "50000"),
    // When that is full, fetching rests for so long; the default of 1 s starves the loop.
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.max.bytes", "16777216"),
    // How long an answer waits for more at the end of a topic: less than half of what a batch does.
    ("fetch.wait.max.ms", "200"),
    // Brokers are not told about this client.
    ("enable.metrics.push", "false"),
    // A fetch may bring fetch.max.bytes and one large message; Kafka messages of 10 MB are legal.
    ("receive.message.max.bytes", "67108864"),
    // How soon a reconnect is tried: soon enough to ride over a broker's restart.
    ("reconnect.backoff.max.ms", "3000"),
];

/// At the end of a topic an answer waits until it holds so much: a request for each message would be
/// most of what a slow topic costs. Where there is more to read, it does.
const LIVE_FETCH_BYTES: &str = "65536";

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

/// What librdkafka may hold ready of all partitions of a topic together, fetched and not taken yet.
const READY_BYTES: usize = 96 * 1024 * 1024;

/// What it holds ready of each partition, and how much of one an answer may bring: more than a
/// batch where partitions are few, and less the more there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    ready_bytes: usize,
    fetch_bytes: usize,
}

impl Share {
    /// The share of each of a topic's partitions.
    pub(super) fn of(partitions: usize) -> Share {
        let ready_bytes = (READY_BYTES / partitions.max(1)).clamp(256 * 1024, 8 * 1024 * 1024);
        // Compressed: an answer may be several times as large when it is unpacked.
        Share { ready_bytes, fetch_bytes: (ready_bytes / 4).min(1024 * 1024) }
    }
}

/// A consumer of the group, not subscribed yet.
pub(super) fn consumer(
    settings: &TopicSettings,
    topic: &str,
    share: Share,
) -> Result<BaseConsumer<Context>, SourceError> {
    let config = client_config(settings, share)?;
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

fn client_config(settings: &TopicSettings, share: Share) -> Result<ClientConfig, SourceError> {
    let mut config = ClientConfig::new();
    // Its words on failures become part of ours; they are not printed as they come.
    config.set_log_level(RDKafkaLogLevel::Info);
    config.set("client.id", "turnaround");
    for (key, value) in DEFAULTS {
        config.set(*key, *value);
    }
    if !settings.once {
        config.set("fetch.min.bytes", LIVE_FETCH_BYTES);
    }
    config.set("queued.max.messages.kbytes", (share.ready_bytes / 1024).to_string());
    config.set("max.partition.fetch.bytes", share.fetch_bytes.to_string());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Timestamp;

    fn settings(options: &[(&str, &str)]) -> TopicSettings {
        let mut settings = TopicSettings::new("127.0.0.1:1", vec!["t".to_owned()], Timestamp(0));
        settings.options =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings
    }

    fn refused_option(key: &str, value: &str) -> String {
        match consumer(&settings(&[(key, value)]), "t", Share::of(1)) {
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
        let file = match consumer(&tls, "t", Share::of(1)) {
            Ok(_) => panic!("must be refused"),
            Err(error) => error.to_string(),
        };
        assert!(file.contains("ssl.ca.location"), "{file}");
        assert!(!format!("{:?}", settings(&[("sasl.password", "hunter2")])).contains("hunter2"));
    }

    #[test]
    fn what_is_held_ready_is_bounded_however_many_partitions_there_are() {
        for (partitions, ready_mib) in [(1, 8), (12, 96), (50, 96), (300, 96)] {
            let share = Share::of(partitions);
            assert!(share.ready_bytes * partitions <= ready_mib << 20, "{partitions}");
            assert!(share.fetch_bytes * 4 <= share.ready_bytes, "{partitions}");
        }
    }
}
