//! Instances of one group on one lake replace one another while events arrive over six partitions:
//! none complains, and what settles is what one undisturbed run settles.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use turnaround::flow::Timestamp;

use crate::binary::{Place, unique, wait_for};
use crate::servers;
use crate::stop::read_records;
use crate::stream::Stream;

const LONG: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;
/// How often an instance is replaced.
const TAKEOVERS: usize = 3;

#[tokio::test]
async fn instances_replace_one_another_and_settle_what_one_would() {
    let test = "takeover::instances_replace_one_another_and_settle_what_one_would";
    let Some(brokers) = servers::kafka(test) else { return };
    let name = unique("takeover");
    create_topic(&brokers, &name, PARTITIONS).await;
    let told = tokio::task::spawn_blocking(move || take_over(&brokers, &name));
    told.await.expect("what settles is what one run settles");
}

/// Makes a topic.
pub(crate) async fn create_topic(brokers: &str, name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        client(brokers).create().expect("an admin client needs no broker yet");
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[topic], &AdminOptions::new()).await;
    created.expect("a broker answers")[0].as_ref().expect("the topic is new");
}

/// How to reach the brokers.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("queue.buffering.max.messages", "1000000");
    config
}

fn take_over(brokers: &str, name: &str) {
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", brokers);
    let feed = ["--profile", "demo", "--seed", "11", "--days", "3", "--faults", "none"];
    place.run(&[&["generate", "--out", "file:feed.ndjson"], &feed[..]].concat()).succeeded();
    let feed = place.read("feed.ndjson");
    let lines: Vec<&str> = feed.lines().collect();
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    let send = |from: usize, to: usize| {
        for line in &lines[from..to] {
            produce(&producer, name, line);
        }
        producer.flush(LONG).expect("the records are there");
    };
    let topic = format!("kafka:{name}");
    let arguments = ["--source", &topic, "--lake", "lake"];
    let start = |number: usize| Stream::start(&place, &arguments, &format!("log-{number}"));
    let part = lines.len() / (TAKEOVERS + 1);
    let mut running = start(0);
    for round in 0..TAKEOVERS {
        let half = round * part + part / 2;
        send(round * part, half);
        running.reads(half);
        // The next one stands by until the group is left; meanwhile more comes, is read and filed.
        let next = start(round + 1);
        std::thread::park_timeout(Duration::from_secs(4));
        send(half, (round + 1) * part);
        running.reads((round + 1) * part);
        running.terminate();
        let said = format!("log-{round}");
        assert_eq!(running.code(), Some(0), "{}", place.read(&said));
        running = next;
    }
    send(TAKEOVERS * part, lines.len());
    running.reads(lines.len());
    running.terminate();
    assert_eq!(running.code(), Some(0), "{}", place.read(&format!("log-{TAKEOVERS}")));
    for number in 0..=TAKEOVERS {
        let said = place.read(&format!("log-{number}"));
        assert!(!said.contains("is stopped") && !said.contains("was stopped"), "{said}");
    }
    copy(&place.path("lake/_turnaround"), &place.path("one/_turnaround"));
    place.counters(&["run", "--once", "--json", "--source", &topic, "--lake", "one"]);
    let (settled, undisturbed) = (tables(&place, "lake"), tables(&place, "one"));
    assert!(settled.len() >= 24, "two days of twelve tables have settled: {}", settled.len());
    for (object, bytes) in settled {
        let same = undisturbed.iter().find(|(other, _)| *other == object);
        let (_, expected) = same.unwrap_or_else(|| panic!("{object} is not of an undisturbed run"));
        assert!(bytes == *expected, "{object} is not that of an undisturbed run");
    }
}

/// Sends an event to the partition of its specimen or machine, at its own time.
fn produce(producer: &BaseProducer, topic: &str, line: &str) {
    let event: Value = serde_json::from_str(line).expect("the feed is JSON");
    let text = |name: &str| event[name].as_str();
    let entity = text("specimen_id").or(text("machine_id")).unwrap_or_default();
    let key = format!("{}{entity}", text("lab_id").unwrap_or_default());
    let hash = key.bytes().fold(0_i32, |hash, byte| (hash * 31 + i32::from(byte)) % 10_007);
    let time = text("processed_at").or(text("event_time")).or(text("received_at"));
    let time = time.and_then(Timestamp::parse_rfc3339).expect("an event has a time");
    let mut record = BaseRecord::<str, str>::to(topic)
        .key(&key)
        .partition(hash % PARTITIONS)
        .timestamp(time.0 / 1000)
        .payload(line);
    while let Err((_, full)) = producer.send(record) {
        producer.poll(Duration::from_millis(10));
        record = full;
    }
}

/// Every settled object with its bytes.
fn tables(place: &Place, lake: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{lake}/tables");
    let read = |name: String| {
        let bytes = std::fs::read(place.path(&folder).join(&name)).expect("it is there");
        (name, bytes)
    };
    place.listing(&folder).into_iter().map(|(name, ..)| read(name)).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a temporary folder can be written");
    let entries = std::fs::read_dir(from).expect("the lake has a journal");
    for entry in entries {
        let entry = entry.expect("it is there");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a temporary folder can be written");
        }
    }
}

/// What others of the group do is none of this one's business: whenever one comes or goes, Kafka gives
/// out all partitions anew.
#[tokio::test]
async fn a_run_over_another_topic_of_the_same_group_costs_nothing() {
    let test = "takeover::a_run_over_another_topic_of_the_same_group_costs_nothing";
    let Some(brokers) = servers::kafka(test) else { return };
    let [one, other] = ["one", "other"].map(unique);
    create_topic(&brokers, &one, 2).await;
    create_topic(&brokers, &other, 1).await;
    let told = tokio::task::spawn_blocking(move || others_come_and_go(&brokers, &one, &other));
    told.await.expect("nothing is lost, and nothing read twice");
}

fn others_come_and_go(brokers: &str, one: &str, other: &str) {
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", brokers);
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    let send = |topic: &str, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let record = serde_json::json!({
                "lab_id": "a", "specimen_id": format!("s-{number}"), "assay": "K",
                "status": "RECEIVED", "received_at": "2026-03-01T09:00:00Z",
            });
            let record = record.to_string();
            let record = BaseRecord::<(), str>::to(topic).payload(&record);
            producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        }
        producer.flush(Duration::from_secs(60)).expect("the records are there");
    };
    let start = |topic: &str, lake: &str| {
        let source = format!("kafka:{topic}");
        let arguments = ["--pipelines", "throughput", "--source", &source, "--lake", lake];
        Stream::start(&place, &arguments, &format!("{lake}.log"))
    };
    send(other, 0..1);
    send(one, 0..50);
    let stream = start(one, "one");
    stream.reads(50);
    for round in 0..4 {
        let sent = 50 + 20 * round;
        let another = start(other, &format!("other-{round}"));
        another.reads(1);
        send(one, sent..sent + 10);
        stream.reads(sent + 10);
        another.terminate();
        assert_eq!(another.code(), Some(0), "{}", place.read(&format!("other-{round}.log")));
        send(one, sent + 10..sent + 20);
        stream.reads(sent + 20);
    }
    // While the group shares out anew, brokers do not say what its members read: one that stands by
    // must not take that for leave to join.
    let mut passing = Passing::joins(brokers, other);
    let next = start(one, "next");
    passing.is_given_a_partition();
    drop(passing);
    std::thread::park_timeout(Duration::from_secs(5));
    let page = next.page("/metrics").expect("it serves its pages");
    assert!(read_records(&page.1) == 0.0, "{}", next.said());
    stream.terminate();
    assert_eq!(stream.code(), Some(0), "{}", place.read("one.log"));
    next.reads(130);
    next.terminate();
    assert_eq!(next.code(), Some(0), "{}", place.read("next.log"));
}

/// A member of the group that reads another topic, and does not stay.
struct Passing {
    consumer: BaseConsumer,
}

impl Passing {
    /// Asks to be a member, so that the group is not settled for a while.
    fn joins(brokers: &str, topic: &str) -> Passing {
        let mut config = client(brokers);
        config.set("group.id", "turnaround").set("auto.offset.reset", "earliest");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[topic]).expect("it subscribes");
        wait_for("shares that are given out anew", LONG, || {
            let groups =
                consumer.fetch_group_list(Some("turnaround"), LONG).expect("they are known");
            (groups.groups()[0].state() != "Stable").then_some(())
        });
        Passing { consumer }
    }

    /// The others have noticed, and the group has shared out its partitions.
    fn is_given_a_partition(&mut self) {
        wait_for("partition", LONG, || {
            drop(self.consumer.poll(Duration::from_millis(100)));
            let held = self.consumer.assignment().expect("it is known").count();
            (held > 0).then_some(())
        });
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.consumer.unsubscribe();
    }
}
