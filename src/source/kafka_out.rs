//! Events onto a Kafka topic, for `import` and `generate`.
//!
//! Idempotent and acknowledged by all replicas; a key's messages are on one partition, the one that
//! Java clients choose, in order. At most
//! [`IN_FLIGHT_KB`] wait at a time: a full queue makes [`KafkaOut::send`] wait, never drop. A
//! message that could not be delivered fails the next call.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::SourceError;

/// The most that waits to be sent, in KiB.
const IN_FLIGHT_KB: u32 = 64 * 1024;
/// A broker that does not answer within this is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So often a connection is tried, with a pause in between that doubles from half a second.
const CONNECT_TRIES: u32 = 4;
/// The last messages are given this long.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Delivery reports are collected every so many messages.
const POLL_EVERY: u64 = 1_000;

/// A producer of one topic.
pub struct KafkaOut {
    brokers: String,
    topic: String,
    producer: BaseProducer<Outcome>,
    sent: u64,
}

/// What became of the messages.
#[derive(Clone, Default)]
struct Outcome(Arc<SentCounts>);

#[derive(Default)]
struct SentCounts {
    delivered: AtomicU64,
    failed: OnceLock<KafkaError>,
}

impl ClientContext for Outcome {}

impl ProducerContext for Outcome {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(_) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
            }
            // The first failure is the one that is told; later ones follow from it.
            Err((error, _)) => {
                self.0.failed.get_or_init(|| error.clone());
            }
        }
    }
}

impl KafkaOut {
    /// Connects and makes sure that the brokers answer and the topic is there. `options` are
    /// librdkafka's own settings. Blocks for at most about a minute.
    pub fn connect(
        brokers: &str,
        topic: &str,
        options: &[(String, String)],
    ) -> Result<KafkaOut, SourceError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("linger.ms", "20")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "16777216")
            .set("queue.buffering.max.kbytes", IN_FLIGHT_KB.to_string())
            .set("log_level", "3");
        for (key, value) in options {
            config.set(key, value);
        }
        let producer: BaseProducer<Outcome> =
            config.create_with_context(Outcome::default()).map_err(|error| {
                SourceError::Wrong(format!(
                    "could not make a Kafka producer: {error}; mend the Kafka options"
                ))
            })?;
        let out =
            KafkaOut { brokers: brokers.to_owned(), topic: topic.to_owned(), producer, sent: 0 };
        out.find_topic()?;
        Ok(out)
    }

    fn find_topic(&self) -> Result<(), SourceError> {
        let mut pause = Duration::from_millis(500);
        for attempt in 1..=CONNECT_TRIES {
            match self.producer.client().fetch_metadata(Some(&self.topic), CONNECT_TIMEOUT) {
                Ok(metadata) => {
                    let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
                    if found.is_some_and(|topic| {
                        topic.error().is_none() && !topic.partitions().is_empty()
                    }) {
                        return Ok(());
                    }
                    if attempt == CONNECT_TRIES {
                        return Err(SourceError::Wrong(format!(
                            "there is no topic `{}` at {}; make it with kafka-topics.sh --create",
                            self.topic, self.brokers
                        )));
                    }
                }
                Err(error) if attempt == CONNECT_TRIES => {
                    return Err(self.failed(
                        &format!(
                            "reach Kafka at {} in {CONNECT_TRIES} tries; check KAFKA_BROKERS",
                            self.brokers
                        ),
                        error,
                    ));
                }
                Err(error) => {
                    tracing::warn!(brokers = %self.brokers, %error, "Kafka does not answer yet")
                }
            }
            self.producer.poll(pause);
            pause *= 2;
        }
        Ok(())
    }

    /// Queues one message; waits while the queue is full. The message bears the time of sending.
    pub fn send(&mut self, key: &[u8], payload: &[u8]) -> Result<(), SourceError> {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(payload);
        loop {
            self.check()?;
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => {
                    return Err(
                        self.failed(&format!("queue a message for topic `{}`", self.topic), error)
                    );
                }
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// Waits until every message is acknowledged. Gives their number.
    pub fn finish(self) -> Result<u64, SourceError> {
        let flushed = self.producer.flush(FLUSH_TIMEOUT);
        self.check()?;
        let delivered = self.producer.context().0.delivered.load(Ordering::Relaxed);
        let rest = format!(
            "send the last {} of {} messages to topic `{}` at {} within {} s",
            self.sent - delivered,
            self.sent,
            self.topic,
            self.brokers,
            FLUSH_TIMEOUT.as_secs()
        );
        flushed.map_err(|error| self.failed(&rest, error))?;
        Ok(delivered)
    }

    /// The first failed delivery, if there was one.
    fn check(&self) -> Result<(), SourceError> {
        match self.producer.context().0.failed.get() {
            None => Ok(()),
            Some(error) => {
                let attempted = format!("deliver to topic `{}` at {}", self.topic, self.brokers);
                Err(self.failed(&attempted, error.clone()))
            }
        }
    }

    fn failed(&self, attempted: &str, error: KafkaError) -> SourceError {
        SourceError::Failed { attempted: attempted.to_owned(), source: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Message;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn every_message_arrives_once_and_a_keys_messages_in_order() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 3, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let mut out = KafkaOut::connect(&brokers, "events", &[]).unwrap();
        for number in 0..3_000_u32 {
            let key = format!("lab-1:S{}", number % 7);
            out.send(key.as_bytes(), format!("{number:05}").as_bytes()).unwrap();
        }
        assert_eq!(out.finish().unwrap(), 3_000);

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "reader")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&["events"]).unwrap();
        let mut by_key: std::collections::BTreeMap<Vec<u8>, Vec<Vec<u8>>> = Default::default();
        for _ in 0..3_000 {
            // A poll may also end without a message.
            let mut polls = (0..100).map(|_| consumer.poll(Duration::from_millis(300)));
            let message = polls.find_map(|polled| polled).expect("a message").unwrap();
            let (key, payload) = (message.key().unwrap(), message.payload().unwrap());
            by_key.entry(key.to_vec()).or_default().push(payload.to_vec());
        }
        assert_eq!(by_key.len(), 7);
        for messages in by_key.values() {
            assert!(messages.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn an_unknown_option_is_a_wrong_configuration() {
        let options = [("no.such.setting".to_owned(), "1".to_owned())];
        let error = KafkaOut::connect("127.0.0.1:1", "events", &options).err().unwrap();
        assert!(matches!(error, SourceError::Wrong(_)), "{error}");
    }
}
