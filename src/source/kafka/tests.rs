//! Against librdkafka's mock cluster, and against a real broker when `KAFKA_BROKERS` names one.

// long because one mock cluster and what it is made to do, case by case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::window::JobWatermark;

const AS_OF: Timestamp = Timestamp(1_772_366_400_000_000);

/// 2026-03-01T12:00:00Z in milliseconds.
const NOON_MS: i64 = 1_772_366_400_000;

/// Whatever a test waits for comes within this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A message to produce: partition, payload (`None` is a tombstone), timestamp.
type Sent = (i32, Option<Vec<u8>>, i64);

/// What came on a partition: offset, record time in microseconds, payload.
type Received = BTreeMap<i32, Vec<(i64, i64, Vec<u8>)>>;

fn producer(brokers: &str, options: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "5");
    for (key, value) in options {
        config.set(*key, *value);
    }
    config.create().expect("a producer")
}

fn send(producer: &BaseProducer, topic: &str, messages: &[Sent]) {
    for (partition, payload, time) in messages {
        let mut record = BaseRecord::<str, [u8]>::to(topic).partition(*partition).timestamp(*time);
        record = match payload {
            Some(payload) => record.payload(payload),
            None => record.key("gone"),
        };
        while let Err((error, back)) = producer.send(record) {
            let full = Some(rdkafka::error::RDKafkaErrorCode::QueueFull);
            assert_eq!(error.rdkafka_error_code(), full, "{error}");
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(30)).expect("everything is sent");
}

fn text(partition: i32, text: impl Into<Vec<u8>>) -> Sent {
    (partition, Some(text.into()), NOON_MS)
}

fn settings(brokers: &str, topic: &str, once: bool) -> TopicSettings {
    let mut settings = TopicSettings::new(brokers, vec![topic.to_owned()], AS_OF);
    settings.once = once;
    settings.start_timeout = Duration::from_secs(20);
    settings
}

/// Adds a batch to what came, each record checked to stand after the one before.
fn gather(received: &mut Received, batch: &RawBatch) {
    let Framing::Records(frames) = &batch.framing else { panic!("Kafka has messages") };
    let came = received.entry(batch.partition.index).or_default();
    for frame in frames {
        assert!(came.last().is_none_or(|(offset, _, _)| *offset < frame.offset), "out of order");
        let payload = batch.bytes[frame.start..frame.end].to_vec();
        came.push((frame.offset, frame.record_time.0, payload));
    }
}

async fn read_to_end(source: &mut KafkaSource) -> Received {
    let mut received = Received::new();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "no end; so far {:?}", counts(&received));
        match source.next().await.expect("reads") {
            SourceEvent::Batch(batch) => gather(&mut received, &batch),
            SourceEvent::End => return received,
            SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) | SourceEvent::Quiet => {}
        }
    }
}

/// Reads until a partition is said to be read to its end.
async fn read_until_caught_up(source: &mut KafkaSource, received: &mut Received) {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "never caught up; so far {:?}", counts(received));
        match source.next().await.expect("reads") {
            SourceEvent::Batch(batch) => gather(received, &batch),
            SourceEvent::CaughtUp(..) => return,
            SourceEvent::Ended(_) | SourceEvent::Quiet => {}
            SourceEvent::End => panic!("a stream has no end"),
        }
    }
}

/// Reads on until it fails.
async fn read_until_error(source: &mut KafkaSource) -> SourceError {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "goes on without an error");
        if let Err(error) = source.next().await {
            return error;
        }
    }
}

fn counts(received: &Received) -> BTreeMap<i32, usize> {
    received.iter().map(|(partition, came)| (*partition, came.len())).collect()
}

/// What must come of messages sent to an empty topic: offsets from 0 in the order of sending.
fn expected(messages: &[Sent]) -> Received {
    let mut expected = Received::new();
    for (partition, payload, time) in messages {
        let came = expected.entry(*partition).or_default();
        came.push((came.len() as i64, time * 1000, payload.clone().unwrap_or_default()));
    }
    expected
}

fn mock(
    topic: &str,
    partitions: i32,
) -> (MockCluster<'static, impl rdkafka::ClientContext>, String) {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(topic, partitions, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    (cluster, brokers)
}

#[tokio::test(flavor = "multi_thread")]
async fn once_delivers_every_record_in_order_and_again_after_a_restart() {
    let (_cluster, brokers) = mock("events", 4);
    let mut messages: Vec<Sent> = (0..3000)
        .map(|i| (i % 3, Some(format!("{{\"n\":{i}}}").into_bytes()), NOON_MS + i64::from(i)))
        .collect();
    messages.push((1, None, NOON_MS));
    send(&producer(&brokers, &[]), "events", &messages);
    for _ in 0..2 {
        let opened = KafkaSource::connect(settings(&brokers, "events", true)).await;
        let mut source = opened.expect("connects");
        let indices: Vec<i32> = source.partitions().iter().map(|p| p.index).collect();
        assert_eq!(indices, [0, 1, 2, 3]);
        let total = messages.len() as u64;
        let progress =
            |done| Some(SourceProgress { done, total: Some(total), unit: ProgressUnit::Records });
        assert_eq!(source.progress(), progress(0));
        // Written after the start: beyond the end of this reading, but not of the next.
        send(&producer(&brokers, &[]), "events", &[text(0, "later")]);
        assert_eq!(read_to_end(&mut source).await, expected(&messages));
        assert_eq!(source.progress(), progress(total));
        assert!(matches!(source.next().await, Ok(SourceEvent::End)));
        messages.push(text(0, "later"));
        // Advisory: the next start reads from the earliest offset all the same.
        for partition in source.partitions().to_vec() {
            source.commit(&partition, Offset(900));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_topic_ends_at_once_or_waits() {
    let (_cluster, brokers) = mock("empty", 2);
    let began = Instant::now();
    let mut source =
        KafkaSource::connect(settings(&brokers, "empty", true)).await.expect("connects");
    for index in [0, 1] {
        let said = source.next().await;
        assert!(matches!(&said, Ok(SourceEvent::Ended(p)) if p.index == index), "{said:?}");
    }
    assert!(matches!(source.next().await, Ok(SourceEvent::End)));
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    drop(source);

    let mut source =
        KafkaSource::connect(settings(&brokers, "empty", false)).await.expect("connects");
    let mut received = Received::new();
    read_until_caught_up(&mut source, &mut received).await;
    assert_eq!(received, Received::new());
    let messages = [text(1, "first")];
    send(&producer(&brokers, &[]), "empty", &messages);
    while received.is_empty() {
        read_until_caught_up(&mut source, &mut received).await;
    }
    assert_eq!(received, expected(&messages));
    // It stays said while nothing comes.
    let again = Instant::now();
    read_until_caught_up(&mut source, &mut received).await;
    assert!(again.elapsed() < crate::source::CAUGHT_UP_HOLDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_an_error_and_is_not_created() {
    let (_cluster, brokers) = mock("events", 1);
    let outcome = KafkaSource::connect(settings(&brokers, "evnets", true)).await;
    let Err(SourceError::Wrong(said)) = outcome else { panic!("must be refused as wrong") };
    assert!(said.contains("no topic `evnets`") && said.contains("are events)"), "{said}");
    let looker: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a consumer");
    let metadata = looker.fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    let names: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    assert_eq!(names, ["events"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_stands_still_loses_nothing() {
    let (_cluster, brokers) = mock("much", 8);
    // 8 partitions of 4 MB: more than the channel holds, less than the mock keeps.
    let messages: Vec<Sent> = (0..32_000).map(|i| text(i % 8, format!("{i:0>1000}"))).collect();
    send(&producer(&brokers, &[]), "much", &messages);
    let mut source =
        KafkaSource::connect(settings(&brokers, "much", true)).await.expect("connects");
    let began = Instant::now();
    while source.events.len() < CHANNEL_EVENTS {
        assert!(began.elapsed() < PATIENCE, "the channel never fills");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Well beyond the moment where the partitions are paused, then in jerks.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(source.topics[0].consumer.context().pauses(), 1);
    let mut received = Received::new();
    for _ in 0..3 {
        if let SourceEvent::Batch(batch) = source.next().await.expect("reads") {
            gather(&mut received, &batch);
        }
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    for (partition, came) in read_to_end(&mut source).await {
        received.entry(partition).or_default().extend(came);
    }
    assert_eq!(counts(&received), (0..8).map(|p| (p, 4000)).collect());
    assert!(received == expected(&messages), "other records or another order");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_are_read_to_their_ends() {
    let (cluster, brokers) = mock("left", 2);
    cluster.create_topic("right", 2, 1).expect("a topic");
    let left = [text(0, "a"), text(1, "b")];
    let right = [text(1, "c"), text(1, "d")];
    send(&producer(&brokers, &[]), "left", &left);
    send(&producer(&brokers, &[]), "right", &right);
    let mut both = settings(&brokers, "left", true);
    both.topics.push("right".to_owned());
    let mut source = KafkaSource::connect(both).await.expect("connects");
    assert_eq!(source.partitions().len(), 4);
    let mut received: BTreeMap<String, Received> = BTreeMap::new();
    loop {
        match source.next().await.expect("reads") {
            SourceEvent::Batch(batch) => {
                gather(received.entry(batch.partition.topic.to_string()).or_default(), &batch);
            }
            SourceEvent::End => break,
            SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) | SourceEvent::Quiet => {}
        }
    }
    assert_eq!(received.remove("left"), Some(expected(&left)));
    assert_eq!(received.remove("right"), Some(expected(&right)));
}

/// Else windows would wait for the empty one until the end, and all of the other be held for it.
async fn an_empty_topic_beside_another_is_told_to_have_ended(both: TopicSettings) {
    let [left, empty] = [both.topics[0].clone(), both.topics[1].clone()];
    let mut source = KafkaSource::connect(both).await.expect("connects");
    let mut job = JobWatermark::new(source.partitions());
    let mut ended: Vec<(String, i32)> = Vec::new();
    loop {
        match source.next().await.expect("reads") {
            SourceEvent::Batch(batch) => job.observe(&batch.partition, Timestamp(50)),
            SourceEvent::Ended(partition) => {
                ended.push((partition.topic.to_string(), partition.index));
                job.end(&partition);
            }
            SourceEvent::End => break,
            SourceEvent::CaughtUp(..) | SourceEvent::Quiet => {}
        }
    }
    assert_eq!(ended, [(empty.clone(), 0), (empty, 1), (left, 0)]);
    assert_eq!(job.current(), Timestamp(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_an_empty_topic_beside_another() {
    let (cluster, brokers) = mock("left", 1);
    cluster.create_topic("empty", 2, 1).expect("a topic");
    send(&producer(&brokers, &[]), "left", &[text(0, "a")]);
    let mut both = settings(&brokers, "left", true);
    both.topics.push("empty".to_owned());
    an_empty_topic_beside_another_is_told_to_have_ended(both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_an_empty_topic_beside_another_on_a_real_broker() {
    let Some(brokers) = real_brokers("an empty topic beside another") else { return };
    let left = real_topic(&brokers, "left", 1).await;
    send(&producer(&brokers, &[]), &left, &[text(0, "a")]);
    let mut both = real_settings(&brokers, &left, true);
    both.topics.push(real_topic(&brokers, "empty", 2).await);
    an_empty_topic_beside_another_is_told_to_have_ended(both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_an_error_not_half_of_the_records() {
    let (_cluster, brokers) = mock("shared", 4);
    send(&producer(&brokers, &[]), "shared", &[text(0, "x")]);
    let mut first =
        KafkaSource::connect(settings(&brokers, "shared", false)).await.expect("connects");
    let mut received = Received::new();
    while received.is_empty() {
        read_until_caught_up(&mut first, &mut received).await;
    }
    // The mock does not list a group's members, so the second finds out by joining.
    let second = KafkaSource::connect(settings(&brokers, "shared", false)).await.expect("connects");
    let error = read_until_error(&mut first).await;
    let SourceError::Wrong(said) = error else { panic!("must be wrong input: {error}") };
    assert!(said.contains("several instances read topic `shared`"), "{said}");
    assert!(said.contains("run one instance per group"), "{said}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_borne_for_a_while_and_nobody_is_called_caught_up_in_it() {
    let (cluster, brokers) = mock("events", 1);
    let first = [text(0, "before")];
    send(&producer(&brokers, &[]), "events", &first);
    let mut patient = settings(&brokers, "events", false);
    patient.outage_timeout = Duration::from_secs(12);
    let mut source = KafkaSource::connect(patient).await.expect("connects");
    let mut received = Received::new();
    while received.is_empty() {
        read_until_caught_up(&mut source, &mut received).await;
    }
    cluster.broker_down(-1).expect("down");
    let mut last_caught_up = None;
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(7) {
        match source.next().await.expect("the outage is borne") {
            SourceEvent::CaughtUp(..) => last_caught_up = Some(down.elapsed()),
            SourceEvent::Quiet => {}
            other => panic!("{other:?} during an outage"),
        }
    }
    assert!(last_caught_up.is_none_or(|at| at < Duration::from_secs(3)), "{last_caught_up:?}");
    cluster.broker_up(-1).expect("up");
    let after = [text(0, "before"), text(0, "after")];
    send(&producer(&brokers, &[]), "events", &after[1..]);
    while counts(&received) != BTreeMap::from([(0, 2)]) {
        read_until_caught_up(&mut source, &mut received).await;
    }
    assert_eq!(received, expected(&after));
    cluster.broker_down(-1).expect("down");
    let error = read_until_error(&mut source).await;
    let said = error.to_string();
    assert!(matches!(error, SourceError::Failed { .. }) && said.contains(&brokers), "{said}");
    assert!(said.contains("look at the brokers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_named() {
    let mut settings = settings("127.0.0.1:1", "events", true);
    settings.start_timeout = Duration::from_secs(1);
    let began = Instant::now();
    let Err(error) = KafkaSource::connect(settings).await else { panic!("nothing is there") };
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.contains("within 1 s from Kafka at `127.0.0.1:1`; start it, or"), "{said}");
    assert!(said.contains("Connection refused") || said.contains("Connect to"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15));
}

/// The real broker, or `None` after a loud word. With `CI=true` there must be one.
fn real_brokers(test: &str) -> Option<String> {
    crate::skipped::server("KAFKA_BROKERS", test)
}

/// A topic of this test run on a real broker.
async fn real_topic(brokers: &str, name: &str, partitions: i32) -> String {
    let topic = format!("source-{name}-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client");
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1))
        .set("max.message.bytes", "12582912");
    let made = admin.create_topics(&[new], &AdminOptions::new()).await.expect("answers");
    made.into_iter().collect::<Result<Vec<_>, _>>().expect("a topic");
    topic
}

fn real_settings(brokers: &str, topic: &str, once: bool) -> TopicSettings {
    TopicSettings { group: topic.to_owned(), ..settings(brokers, topic, once) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_delivers_six_partitions_and_a_message_of_ten_megabytes() {
    let Some(brokers) = real_brokers("six partitions on a real broker") else { return };
    let topic = real_topic(&brokers, "six", 6).await;
    let mut messages: Vec<Sent> = (0..60_000)
        .map(|i| (i % 6, Some(format!("{{\"n\":{i:0>200}}}").into_bytes()), NOON_MS + i64::from(i)))
        .collect();
    messages.insert(30_000, text(2, vec![b'x'; 10_000_000]));
    // A producer's clock may be anywhere: the broker must take it, and we must not stumble.
    messages.push((4, Some(b"1970".to_vec()), 1));
    messages.push((4, None, 253_402_300_799_000));
    // A request that is sent again must not fall behind those after it.
    let large = [
        ("message.max.bytes", "12582912"),
        ("compression.type", "lz4"),
        ("enable.idempotence", "true"),
    ];
    send(&producer(&brokers, &large), &topic, &messages);
    for _ in 0..2 {
        let opened = KafkaSource::connect(real_settings(&brokers, &topic, true)).await;
        let mut source = opened.expect("connects");
        let received = read_to_end(&mut source).await;
        assert_eq!(counts(&received), counts(&expected(&messages)));
        assert!(received == expected(&messages), "other records or another order");
        for partition in source.partitions().to_vec() {
            source.commit(&partition, Offset(5000));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_hides_aborted_and_open_transactions_and_once_still_ends() {
    let Some(brokers) = real_brokers("transactions on a real broker") else { return };
    let topic = real_topic(&brokers, "tx", 2).await;
    let of = |name: &str| -> Vec<Sent> { (0..5).map(|i| text(0, format!("{name}{i}"))).collect() };
    let wait = Duration::from_secs(30);
    send(&producer(&brokers, &[]), &topic, &of("plain"));
    let transactional = producer(&brokers, &[("transactional.id", &format!("{topic}-a"))]);
    transactional.init_transactions(wait).expect("transactions");
    transactional.begin_transaction().expect("begins");
    send(&transactional, &topic, &of("committed"));
    transactional.commit_transaction(wait).expect("commits");
    transactional.begin_transaction().expect("begins");
    send(&transactional, &topic, &of("aborted"));
    transactional.abort_transaction(wait).expect("aborts");
    let open = producer(&brokers, &[("transactional.id", &format!("{topic}-b"))]);
    open.init_transactions(wait).expect("transactions");
    open.begin_transaction().expect("begins");
    send(&open, &topic, &of("open"));

    let opened = KafkaSource::connect(real_settings(&brokers, &topic, true)).await;
    let mut source = opened.expect("connects");
    let received = read_to_end(&mut source).await;
    // Offsets 0 to 9; the marker at 10, the aborted ones after it and the open ones are unseen.
    let seen: Vec<Sent> = of("plain").into_iter().chain(of("committed")).collect();
    assert_eq!(received, expected(&seen));
    drop(source);

    // The stream sees the open ones when they are committed, and catches up behind the marker.
    let opened = KafkaSource::connect(real_settings(&brokers, &topic, false)).await;
    let mut source = opened.expect("connects");
    let mut streamed = Received::new();
    while counts(&streamed) != BTreeMap::from([(0, 10)]) {
        read_until_caught_up(&mut source, &mut streamed).await;
    }
    open.commit_transaction(wait).expect("commits");
    while counts(&streamed) != BTreeMap::from([(0, 15)]) {
        read_until_caught_up(&mut source, &mut streamed).await;
    }
    // 10 marker, 11 to 15 aborted, 16 marker, 17 to 21.
    let late: Vec<(i64, Vec<u8>)> =
        streamed[&0][10..].iter().map(|(offset, _, payload)| (*offset, payload.clone())).collect();
    let opened: Vec<(i64, Vec<u8>)> =
        (0..5).map(|i| (17 + i, format!("open{i}").into_bytes())).collect();
    assert_eq!(late, opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_groups_member_is_not_disturbed_by_a_second_instance() {
    let Some(brokers) = real_brokers("two instances on a real broker") else { return };
    let topic = real_topic(&brokers, "rival", 3).await;
    send(&producer(&brokers, &[]), &topic, &[text(0, "x")]);
    let opened = KafkaSource::connect(real_settings(&brokers, &topic, false)).await;
    let mut first = opened.expect("connects");
    let mut received = Received::new();
    while received.is_empty() {
        read_until_caught_up(&mut first, &mut received).await;
    }
    let second = tokio::spawn(KafkaSource::connect(real_settings(&brokers, &topic, false)));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        first.next().await.expect("the first goes on");
    }
    assert!(!second.is_finished(), "the second waits for the first to leave");
    let mut hasty = real_settings(&brokers, &topic, false);
    hasty.linger_timeout = Duration::from_secs(1);
    let Err(SourceError::Wrong(said)) = KafkaSource::connect(hasty).await else {
        panic!("must be refused as wrong")
    };
    assert!(said.contains("several instances read topic") && said.contains("127.0.0.1"), "{said}");
    drop(first);
    let mut second = second.await.expect("no panic").expect("connects once the first has left");
    let mut received = Received::new();
    while received.is_empty() {
        read_until_caught_up(&mut second, &mut received).await;
    }
    assert_eq!(received, expected(&[text(0, "x")]));
}

/// The event time that `dated` has put into a payload, and the messages of one partition: one a
/// second from the start on.
fn dated(partition: i32, count: i64, every: i64) -> impl Iterator<Item = Sent> {
    (0..count).map(move |n| text(partition, format!("{:0>1000}", n * every)))
}

/// Reads to the end as the loop would, telling how far each partition has come, and gives the most
/// bytes that lay beyond the slowest at a time.
async fn most_held(source: &mut KafkaSource) -> (usize, usize) {
    let alignment = source.alignment();
    let mut open: BTreeMap<Arc<Partition>, i64> =
        source.partitions().iter().map(|partition| (Arc::clone(partition), i64::MIN)).collect();
    let (mut held, mut most, mut records) = (Vec::<(i64, usize)>::new(), 0, 0);
    loop {
        match source.next().await.expect("reads") {
            SourceEvent::Batch(batch) => {
                let Framing::Records(frames) = &batch.framing else { panic!("records") };
                let last = frames.last().expect("a batch has records");
                let time = std::str::from_utf8(&batch.bytes[last.start..last.end]).expect("text");
                let time = time.parse().expect("a number");
                records += frames.len();
                held.push((time, batch.bytes.len()));
                open.insert(Arc::clone(&batch.partition), time);
                // As slow as computing would be.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let bytes = batch.bytes.len() as u64;
                alignment.judged(&batch.partition, bytes, Timestamp(time));
            }
            SourceEvent::Ended(partition) => assert!(open.remove(&partition).is_some(), "once"),
            SourceEvent::End => return (most, records),
            SourceEvent::CaughtUp(..) | SourceEvent::Quiet => {}
        }
        let slowest = open.values().min().copied().unwrap_or(i64::MAX);
        held.retain(|(time, _)| *time > slowest);
        most = most.max(held.iter().map(|(_, bytes)| bytes).sum());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_topics_skewed_partitions_hold_no_more_than_even_ones() {
    let Some(brokers) = real_brokers("skewed partitions on a real broker") else { return };
    // 24 partitions may be ahead by 8 MiB each.
    let (even, skewed) =
        (real_topic(&brokers, "even", 24).await, real_topic(&brokers, "skewed", 24).await);
    let producer = producer(&brokers, &[("compression.type", "lz4")]);
    for partition in 0..4 {
        send(&producer, &even, &dated(partition, 25_000, 1).collect::<Vec<_>>());
    }
    // One ten times as large as its neighbours over the same time, the others empty but for two.
    send(&producer, &skewed, &dated(0, 80_000, 1).collect::<Vec<_>>());
    send(&producer, &skewed, &dated(1, 8_000, 10).collect::<Vec<_>>());
    send(&producer, &skewed, &dated(2, 8_000, 10).collect::<Vec<_>>());
    let mut held = Vec::new();
    for (topic, records) in [(even, 100_000), (skewed, 96_000)] {
        let opened = KafkaSource::connect(real_settings(&brokers, &topic, true)).await;
        let (most, read) = most_held(&mut opened.expect("connects")).await;
        assert_eq!(read, records);
        held.push(most);
    }
    // What is ahead, and what is on its way when that is known: the channel and a batch.
    let under_way = (CHANNEL_EVENTS + 2) * batch::BATCH_BYTES;
    assert!(held[1] <= (8 << 20) + under_way, "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_group_keeps_a_member_that_takes_nothing_for_longer_than_it_may_be_silent() {
    let Some(brokers) = real_brokers("a member that takes nothing") else { return };
    let topic = real_topic(&brokers, "stall", 3).await;
    let messages: Vec<Sent> = (0..90_000).map(|i| text(i % 3, format!("{i:0>1000}"))).collect();
    send(&producer(&brokers, &[("compression.type", "lz4")]), &topic, &messages);
    let mut strict = real_settings(&brokers, &topic, false);
    strict.options = [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let mut source = KafkaSource::connect(strict).await.expect("connects");
    let mut received = Received::new();
    while received.is_empty() {
        if let SourceEvent::Batch(batch) = source.next().await.expect("reads") {
            gather(&mut received, &batch);
        }
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let context = source.topics[0].consumer.context();
    assert_eq!((context.pauses(), context.losses(), context.assigned()), (1, 0, 3));
    while received.values().map(Vec::len).sum::<usize>() < messages.len() {
        if let SourceEvent::Batch(batch) = source.next().await.expect("reads") {
            gather(&mut received, &batch);
        }
    }
    assert!(received == expected(&messages), "other records or another order");
    assert_eq!(source.topics[0].consumer.context().losses(), 0);
}

/// The real broker's listener with TLS and passwords, and the file of its certificate.
fn secure_brokers(test: &str) -> Option<(String, String)> {
    let listener = crate::skipped::server("KAFKA_SECURE_BROKERS", test)?;
    Some((listener, crate::skipped::server("KAFKA_SECURE_CA", test)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_is_read_over_tls_with_a_password_and_refuses_a_wrong_one_at_once() {
    let Some((brokers, ca)) = secure_brokers("TLS and passwords on a real broker") else { return };
    let with = |password: &str, ca: &str| {
        let options = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "lab"),
            ("sasl.password", password),
            ("ssl.ca.location", ca),
        ];
        options.map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    let plain = real_brokers("TLS and passwords on a real broker").expect("checked above");
    let topic = real_topic(&plain, "tls", 1).await;
    send(&producer(&plain, &[]), &topic, &[text(0, "x")]);
    let mut right = real_settings(&brokers, &topic, true);
    right.options = with("secret", &ca).into();
    let mut source = KafkaSource::connect(right.clone()).await.expect("connects");
    assert_eq!(read_to_end(&mut source).await, expected(&[text(0, "x")]));

    let refused = async |options: BTreeMap<String, String>| {
        let began = Instant::now();
        let settings = TopicSettings { options, ..right.clone() };
        let Err(error) = KafkaSource::connect(settings).await else { panic!("must be refused") };
        assert!(began.elapsed() < Duration::from_secs(10), "{error:?}: {:?}", began.elapsed());
        let said = error.to_string();
        assert!(matches!(error, SourceError::Wrong(_)), "{error:?}");
        assert!(said.contains(&brokers) && !said.contains("hunter2"), "{said}");
        said
    };
    let said = refused(with("hunter2", &ca).into()).await;
    assert!(said.contains("refuses the credentials") && said.contains("`sasl.`"), "{said}");
    // The certificate is signed by nobody that the system trusts.
    let mut untrusting = BTreeMap::from(with("secret", &ca));
    untrusting.remove("ssl.ca.location");
    let said = refused(untrusting).await;
    assert!(said.contains("agree on TLS") && said.contains("`ssl.`"), "{said}");
}
