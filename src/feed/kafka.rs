//! Messages of a Kafka topic.
//!
//! Messages with the same key are on one partition, in order: the producer is idempotent and
//! partitions as Java clients do. At most 64 MiB wait at a time: a full queue waits, and a
//! message that could not be delivered fails the next call.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::FeedError;
use super::target::KafkaTarget;
use crate::flow::Timestamp;

/// A broker that does not answer within this is unreachable.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// So often it is asked, with a pause in between that doubles from half a second.
const TRIES: u32 = 4;
/// A message that could not be delivered for so long is lost.
const DELIVER_WITHIN: Duration = Duration::from_secs(120);
/// Delivery reports are collected every so many messages.
const POLL_EVERY: u64 = 1000;
/// What a producer is told and an administrator must not be.
const OF_PRODUCERS: [(&str, &str); 8] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("compression.type", "zstd"),
    ("linger.ms", "50"),
    ("message.timeout.ms", "120000"),
    ("message.max.bytes", "16777216"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// Remembers the first message that could not be delivered; later ones follow from it.
#[derive(Clone, Debug, Default)]
struct Deliveries(Arc<OnceLock<KafkaError>>);

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.get_or_init(|| error.clone());
        }
    }
}

/// Messages of one Kafka topic.
pub struct KafkaFeed {
    producer: BaseProducer<Deliveries>,
    topic: String,
    brokers: String,
    remedy: &'static str,
    sent: u64,
}

impl KafkaFeed {
    /// Connects and makes sure that the brokers answer and the topic is there.
    pub(super) async fn open(topic: &str, settings: &KafkaTarget) -> Result<KafkaFeed, FeedError> {
        let Some(brokers) = settings.brokers.clone().filter(|brokers| !brokers.is_empty()) else {
            return Err(FeedError::Wrong(format!(
                "topic `{topic}` needs brokers: set KAFKA_BROKERS or --brokers HOST:PORT"
            )));
        };
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("client.id", "turnaround-feed");
        for (key, value) in &settings.options {
            config.set(key, value);
        }
        let mut of_producer = config.clone();
        for (key, value) in OF_PRODUCERS {
            let chosen = settings.options.iter().any(|(chosen, _)| chosen == key);
            if !chosen {
                of_producer.set(key, value);
            }
        }
        let producer: BaseProducer<Deliveries> = of_producer
            .create_with_context(Deliveries::default())
            .map_err(|error| FeedError::Wrong(format!("Kafka settings cannot be used: {error}")))?;
        let (topic, remedy) = (topic.to_owned(), settings.remedy);
        let feed = KafkaFeed { producer, topic, brokers, remedy, sent: 0 };
        feed.find_or_create(&config, settings.partitions).await?;
        Ok(feed)
    }

    /// The topic's partitions; `None` when it does not exist. All topics are listed, since asking
    /// for one by name may create it with the broker's defaults.
    fn partitions(&self) -> Result<Option<usize>, FeedError> {
        let mut pause = Duration::from_millis(500);
        let mut tries = 1;
        let metadata = loop {
            match self.producer.client().fetch_metadata(None, ANSWER_WITHIN) {
                Ok(metadata) => break metadata,
                Err(error) if tries == TRIES => {
                    let attempted = format!(
                        "reach Kafka at `{}` in {TRIES} tries; check --brokers",
                        self.brokers
                    );
                    return Err(FeedError::failed(attempted, error));
                }
                Err(error) => {
                    tracing::warn!(brokers = %self.brokers, %error, "Kafka does not answer yet");
                }
            }
            self.producer.poll(pause);
            pause *= 2;
            tries += 1;
        };
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        Ok(found.map(|topic| topic.partitions().len()))
    }

    async fn find_or_create(
        &self,
        config: &ClientConfig,
        wanted: Option<u16>,
    ) -> Result<(), FeedError> {
        let topic = &self.topic;
        match (self.partitions()?, wanted) {
            (Some(_), None) => Ok(()),
            (Some(found), Some(wanted)) if found == usize::from(wanted) => Ok(()),
            (Some(found), Some(wanted)) => Err(FeedError::Wrong(format!(
                "topic `{topic}` has {found} partitions, not {wanted}: leave --partitions out, or \
                 name another topic"
            ))),
            (None, Some(wanted)) if wanted > 0 => self.create(config, wanted).await,
            (None, Some(_) | None) => Err(FeedError::Wrong(format!(
                "topic `{topic}` does not exist at `{}`: {}",
                self.brokers, self.remedy
            ))),
        }
    }

    /// Creates the topic with the broker's own replication. Its messages are as old as the feed,
    /// so it must not forget them by their age.
    async fn create(&self, config: &ClientConfig, partitions: u16) -> Result<(), FeedError> {
        let attempted = || format!("create topic `{}` at `{}`", self.topic, self.brokers);
        let failed = |error: KafkaError| FeedError::failed(attempted(), error);
        let mut config = config.clone();
        for (producer_only, _) in OF_PRODUCERS {
            config.remove(producer_only);
        }
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed)?;
        let topic = NewTopic::new(&self.topic, i32::from(partitions), TopicReplication::Fixed(-1))
            .set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        let outcomes = admin.create_topics([&topic], &options).await.map_err(failed)?;
        for outcome in outcomes {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(FeedError::failed(attempted(), code)),
            }
        }
        Ok(())
    }

    /// Queues one message; waits while the queue is full.
    pub(super) fn send(
        &mut self,
        key: &[u8],
        line: &[u8],
        at: Option<Timestamp>,
    ) -> Result<(), FeedError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).key(key).payload(line);
        record.timestamp = at.map(|at| at.0.div_euclid(1000));
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(100));
                    self.check()?;
                }
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.producer.poll(Duration::ZERO);
            self.check()?;
        }
        Ok(())
    }

    /// Waits until every message is acknowledged.
    pub(super) fn finish(self) -> Result<(), FeedError> {
        let within = DELIVER_WITHIN + Duration::from_secs(5);
        let flushed = self.producer.flush(within);
        self.check()?;
        flushed.map_err(|error| self.failed(error))
    }

    /// The first failed delivery, if there was one.
    fn check(&self) -> Result<(), FeedError> {
        match self.producer.context().0.get() {
            Some(error) => Err(self.failed(error.clone())),
            None => Ok(()),
        }
    }

    fn failed(&self, error: KafkaError) -> FeedError {
        let attempted = format!("write to topic `{}` at `{}`", self.topic, self.brokers);
        FeedError::failed(attempted, error)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rdkafka::Message as _;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::{Offset, TopicPartitionList};

    use super::super::target::FeedTarget;
    use super::super::writer::FeedWriter;
    use super::*;
    use crate::source::generator::{FaultRates, Generator, GeneratorOptions, Profile};

    const PARTITIONS: i32 = 6;

    /// A partition and its messages: timestamp in milliseconds, payload.
    type OnPartition = (i32, Vec<(i64, Vec<u8>)>);

    fn options() -> GeneratorOptions {
        GeneratorOptions {
            events: Some(3000),
            faults: FaultRates::NONE,
            ..GeneratorOptions::new(Profile::Demo)
        }
    }

    async fn write_all(brokers: &str) -> Result<(), FeedError> {
        let settings = KafkaTarget {
            brokers: Some(brokers.to_owned()),
            remedy: "give --partitions N",
            ..KafkaTarget::default()
        };
        let target = FeedTarget::Kafka("specimens".to_owned());
        let mut writer = FeedWriter::open(&target, &settings).await?;
        for record in Generator::new(options()).expect("valid options") {
            writer.write(record.key.as_bytes(), &record.line, Some(record.arrival))?;
        }
        writer.finish()
    }

    #[tokio::test]
    async fn a_specimens_messages_are_on_one_partition_in_order_with_their_arrival() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic("specimens", PARTITIONS, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        write_all(&brokers).await.expect("written");

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "test")
            .create()
            .expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment
                .add_partition_offset("specimens", partition, Offset::Beginning)
                .expect("assigned");
        }
        consumer.assign(&assignment).expect("assigned");
        let mut read: HashMap<String, OnPartition> = HashMap::new();
        for _ in 0..3000 {
            let message = consumer.poll(Duration::from_secs(20)).expect("a message").expect("ok");
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            let place = read.entry(key).or_insert((message.partition(), Vec::new()));
            assert_eq!(place.0, message.partition());
            let at = message.timestamp().to_millis().unwrap_or(0);
            place.1.push((at, message.payload().unwrap_or_default().to_vec()));
        }
        let mut expected: HashMap<String, Vec<(i64, Vec<u8>)>> = HashMap::new();
        for record in Generator::new(options()).expect("valid options") {
            let place = expected.entry(record.key).or_default();
            place.push((record.arrival.0 / 1000, record.line));
        }
        assert_eq!(read.len(), expected.len());
        for (key, (_, messages)) in read {
            assert_eq!(Some(&messages), expected.get(&key), "{key}");
        }
    }

    #[tokio::test]
    async fn a_topic_that_does_not_exist_is_not_created_by_accident() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let brokers = cluster.bootstrap_servers();
        let fault = write_all(&brokers).await.expect_err("no topic");
        assert!(matches!(fault, FeedError::Wrong(_)), "{fault}");
        assert!(fault.to_string().contains("--partitions N"), "{fault}");
        assert!(write_all(&brokers).await.is_err(), "asking must not create it");
        let fault = write_all("").await.expect_err("no brokers");
        assert!(fault.to_string().contains("KAFKA_BROKERS"), "{fault}");
    }

    #[tokio::test]
    async fn an_unknown_option_is_a_wrong_configuration() {
        let settings = KafkaTarget {
            brokers: Some("127.0.0.1:1".to_owned()),
            options: vec![("no.such.setting".to_owned(), "1".to_owned())],
            ..KafkaTarget::default()
        };
        let fault = KafkaFeed::open("events", &settings).await.err().expect("refused");
        assert!(matches!(fault, FeedError::Wrong(_)), "{fault}");
    }
}
