//! Where a feed goes: lines of a file or of standard output, or messages of a Kafka topic.
//!
//! Messages with the same key are on one partition, in order: the producer is idempotent and
//! partitions as Java clients do. A record is never dropped: a full queue waits, a message that
//! could not be delivered is an error.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::cli::WrongInput;
use crate::flow::Timestamp;

/// Brokers that do not answer for so long are unreachable.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A message that could not be delivered for so long is lost.
const DELIVER_WITHIN: Duration = Duration::from_secs(60);
/// Delivery reports are collected every so many messages.
const POLL_EVERY: u64 = 1000;

/// Where a feed is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeedTarget {
    /// A file, written anew.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// A Kafka topic.
    Kafka(String),
}

impl FromStr for FeedTarget {
    type Err = WrongInput;

    fn from_str(text: &str) -> Result<FeedTarget, WrongInput> {
        match text.split_once(':') {
            Some(("file", "-")) => Ok(FeedTarget::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(FeedTarget::File(path.into())),
            Some(("kafka", topic)) if !topic.is_empty() => Ok(FeedTarget::Kafka(topic.to_owned())),
            Some(_) | None => Err(WrongInput(
                "write file:PATH, file:- for standard output, or kafka:TOPIC".to_owned(),
            )),
        }
    }
}

impl fmt::Display for FeedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedTarget::File(path) => write!(f, "{}", path.display()),
            FeedTarget::Stdout => f.write_str("standard output"),
            FeedTarget::Kafka(topic) => write!(f, "topic {topic}"),
        }
    }
}

/// What a Kafka target needs beside its topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct KafkaTarget {
    /// Bootstrap servers.
    pub(crate) brokers: Option<String>,
    /// Create the topic with so many partitions when it does not exist.
    pub(crate) partitions: Option<u16>,
    /// Any librdkafka setting.
    pub(crate) options: Vec<(String, String)>,
}

/// Whether a record was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// It was.
    Taken,
    /// Standard output is closed: nobody reads any more.
    ReaderGone,
}

/// Writes a feed, record by record.
pub(crate) enum FeedWriter {
    /// Lines.
    Lines {
        /// Where they go.
        out: BufWriter<Box<dyn Write + Send>>,
        /// Its name, for errors.
        name: String,
    },
    /// Messages.
    Kafka(KafkaFeed),
}

impl FeedWriter {
    /// Opens the target: creates the file and its folders, or finds the topic.
    pub(crate) async fn open(
        target: &FeedTarget,
        settings: &KafkaTarget,
    ) -> anyhow::Result<FeedWriter> {
        let out: Box<dyn Write + Send> = match target {
            FeedTarget::Kafka(topic) => {
                return Ok(FeedWriter::Kafka(KafkaFeed::open(topic, settings).await?));
            }
            FeedTarget::Stdout => Box::new(io::stdout()),
            FeedTarget::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                if let Some(folder) = folder {
                    std::fs::create_dir_all(folder)
                        .with_context(|| format!("could not create `{}`", folder.display()))?;
                }
                let file = File::create(path)
                    .with_context(|| format!("could not create `{}`", path.display()))?;
                Box::new(file)
            }
        };
        let out = BufWriter::with_capacity(1 << 20, out);
        Ok(FeedWriter::Lines { out, name: target.to_string() })
    }

    /// Whether [`FeedWriter::write`] looks at the key.
    pub(crate) fn needs_keys(&self) -> bool {
        match self {
            FeedWriter::Lines { .. } => false,
            FeedWriter::Kafka(_) => true,
        }
    }

    /// Writes one record; `line` has no line feed. Blocks while the target is full.
    pub(crate) fn write(
        &mut self,
        key: &str,
        line: &[u8],
        timestamp: Timestamp,
    ) -> anyhow::Result<WriteOutcome> {
        match self {
            FeedWriter::Lines { out, name } => {
                judge(out.write_all(line).and_then(|()| out.write_all(b"\n")), name)
            }
            FeedWriter::Kafka(feed) => {
                feed.send(key, line, timestamp)?;
                Ok(WriteOutcome::Taken)
            }
        }
    }

    /// Waits until everything has been taken.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            FeedWriter::Lines { mut out, name } => judge(out.flush(), &name).map(|_| ()),
            FeedWriter::Kafka(feed) => feed.finish(),
        }
    }
}

/// A closed pipe is no fault of ours.
fn judge(outcome: io::Result<()>, name: &str) -> anyhow::Result<WriteOutcome> {
    match outcome {
        Ok(()) => Ok(WriteOutcome::Taken),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(WriteOutcome::ReaderGone),
        Err(error) => Err(error).with_context(|| format!("could not write to `{name}`")),
    }
}

/// Remembers the first message that could not be delivered.
#[derive(Clone, Debug, Default)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl Deliveries {
    fn first_failure(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            first.get_or_insert_with(|| error.clone());
        }
    }
}

/// Messages of one Kafka topic.
pub(crate) struct KafkaFeed {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    topic: String,
    brokers: String,
    sent: u64,
}

impl KafkaFeed {
    async fn open(topic: &str, settings: &KafkaTarget) -> anyhow::Result<KafkaFeed> {
        let Some(brokers) = settings.brokers.clone().filter(|brokers| !brokers.is_empty()) else {
            return Err(WrongInput(format!(
                "topic `{topic}` needs brokers: set KAFKA_BROKERS or --brokers HOST:PORT"
            ))
            .into());
        };
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &brokers)
            .set("client.id", "turnaround-generate")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "zstd")
            .set("linger.ms", "50")
            .set("message.timeout.ms", DELIVER_WITHIN.as_millis().to_string());
        for (key, value) in &settings.options {
            config.set(key, value);
        }
        let deliveries = Deliveries::default();
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(deliveries.clone())
            .map_err(|error| WrongInput(format!("Kafka settings cannot be used: {error}")))?;
        let feed = KafkaFeed { producer, deliveries, topic: topic.to_owned(), brokers, sent: 0 };
        feed.find_or_create(&config, settings.partitions).await?;
        Ok(feed)
    }

    /// The topic's partitions; `None` when it does not exist. All topics are listed, since asking
    /// for one by name may create it with the broker's defaults.
    fn partitions(&self) -> anyhow::Result<Option<usize>> {
        let metadata =
            self.producer.client().fetch_metadata(None, ANSWER_WITHIN).with_context(|| {
                format!("could not reach Kafka at `{}`; check --brokers", self.brokers)
            })?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        Ok(found.map(|topic| topic.partitions().len()))
    }

    async fn find_or_create(
        &self,
        config: &ClientConfig,
        wanted: Option<u16>,
    ) -> anyhow::Result<()> {
        let topic = &self.topic;
        match (self.partitions()?, wanted) {
            (Some(_), None) => Ok(()),
            (Some(found), Some(wanted)) if found == usize::from(wanted) => Ok(()),
            (Some(found), Some(wanted)) => Err(WrongInput(format!(
                "topic `{topic}` has {found} partitions, not {wanted}: leave --partitions out, or name another topic"
            ))
            .into()),
            (None, Some(wanted)) if wanted > 0 => self.create(config, wanted).await,
            (None, Some(_) | None) => Err(WrongInput(format!(
                "topic `{topic}` does not exist at `{}`: create it, or give --partitions N",
                self.brokers
            ))
            .into()),
        }
    }

    /// Creates the topic with the broker's own replication. Its messages are as old as the feed,
    /// so it must not forget them by their age.
    async fn create(&self, config: &ClientConfig, partitions: u16) -> anyhow::Result<()> {
        let attempted = || format!("could not create topic `{}` at `{}`", self.topic, self.brokers);
        let mut config = config.clone();
        for producer_only in [
            "enable.idempotence",
            "partitioner",
            "compression.type",
            "linger.ms",
            "message.timeout.ms",
        ] {
            config.remove(producer_only);
        }
        let admin: AdminClient<DefaultClientContext> = config.create().with_context(attempted)?;
        let topic = NewTopic::new(&self.topic, i32::from(partitions), TopicReplication::Fixed(-1))
            .set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        let outcomes = admin.create_topics([&topic], &options).await.with_context(attempted)?;
        for outcome in outcomes {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(anyhow!("{code}")).with_context(attempted),
            }
        }
        Ok(())
    }

    fn send(&mut self, key: &str, line: &[u8], timestamp: Timestamp) -> anyhow::Result<()> {
        let topic = self.topic.clone();
        let mut record = BaseRecord::<str, [u8]>::to(&topic)
            .key(key)
            .payload(line)
            .timestamp(timestamp.0.div_euclid(1000));
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(100));
                    self.check()?;
                }
                Err((error, _)) => return Err(error).with_context(|| self.attempted()),
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(POLL_EVERY) {
            self.producer.poll(Duration::ZERO);
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        match self.deliveries.first_failure() {
            Some(error) => Err(error).with_context(|| self.attempted()),
            None => Ok(()),
        }
    }

    fn attempted(&self) -> String {
        format!("could not write to topic `{}` at `{}`", self.topic, self.brokers)
    }

    fn finish(self) -> anyhow::Result<()> {
        let within = DELIVER_WITHIN + Duration::from_secs(5);
        self.producer.flush(within).with_context(|| self.attempted())?;
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rdkafka::Message as _;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::{Offset, TopicPartitionList};

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

    async fn write_all(brokers: &str) -> anyhow::Result<()> {
        let settings = KafkaTarget { brokers: Some(brokers.to_owned()), ..KafkaTarget::default() };
        let target = FeedTarget::Kafka("specimens".to_owned());
        let mut writer = FeedWriter::open(&target, &settings).await?;
        for record in Generator::new(options())? {
            writer.write(&record.key, &record.line, record.arrival)?;
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
        assert!(fault.is::<WrongInput>(), "{fault:#}");
        assert!(fault.to_string().contains("--partitions N"), "{fault:#}");
        assert!(write_all(&brokers).await.is_err(), "asking must not create it");
        let fault = write_all("").await.expect_err("no brokers");
        assert!(fault.to_string().contains("KAFKA_BROKERS"), "{fault:#}");
    }
}
