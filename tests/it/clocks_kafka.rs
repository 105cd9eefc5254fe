//! Wrong clocks and closed laboratories over a real topic; see `clocks` for the cases.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::{Span, Timestamp};

use crate::binary::{Place, count, repository, unique, wait_for};
use crate::servers;
use crate::stream::Stream;
use crate::takeover::{client, create_topic};

const PROJECT: &str = "tests/cases/clock/project";

/// What a user waits at most for a window once the laboratory has opened.
const A_MINUTE: Duration = Duration::from_secs(60);

/// A topic of one partition, and what sends to it.
struct Topic {
    name: String,
    producer: BaseProducer,
}

impl Topic {
    async fn new(brokers: &str, name: &str) -> Topic {
        let name = unique(name);
        create_topic(brokers, &name, 1).await;
        Topic { name, producer: client(brokers).create().expect("a producer") }
    }

    /// Sends a record; none as its time is the producer's clock.
    fn send(&self, record: &str, at: Option<Timestamp>) {
        let message = BaseRecord::<(), str>::to(&self.name).partition(0).payload(record);
        let message = match at {
            Some(at) => message.timestamp(at.0 / 1_000),
            None => message,
        };
        self.producer.send(message).map_err(|(error, _)| error).expect("the record is taken");
        self.producer.flush(A_MINUTE).expect("the record is there");
    }
}

fn project() -> String {
    repository().join(PROJECT).display().to_string()
}

/// One machine, closed for 62 hours until now, with the records' own times as they are or all of
/// today.
fn a_closed_weekend(brokers: &str, topic: &Topic, own_times: bool) {
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", brokers);
    let now = SystemClock.now();
    let send = |at: Timestamp| {
        let record = serde_json::json!({
            "lab_id": "L1", "specimen_id": at.to_rfc3339(), "assay": "K", "machine_id": "M1",
            "status": "COMPLETED", "received_at": at.minus(Span::MINUTE).to_rfc3339(),
            "processed_at": at.to_rfc3339(),
        });
        topic.send(&record.to_string(), own_times.then_some(at));
    };
    let friday = now.minus(Span(62 * Span::HOUR.0));
    (0..3).for_each(|minute| send(friday.plus(Span(minute * Span::MINUTE.0))));
    let (source, project) = (format!("kafka:{}", topic.name), project());
    let arguments = ["--source", &source, "--lake", "lake", "--project", &project];
    let stream = Stream::start(&place, &arguments, "log");
    stream.reads(3);
    send(now);
    let rows = wait_for("the windows of Friday", A_MINUTE, || {
        let sql = "SELECT coalesce(sum(n), 0) AS n FROM tat_1h";
        let ran = place.run(&["query", sql, "--lake", "lake", "--format", "csv"]);
        let n = ran.out.lines().nth(1)?.parse::<i64>().ok()?;
        (n >= 3).then_some(n)
    });
    assert_eq!(rows, 3, "the window of now goes on");
    assert_eq!(stream.metric("turnaround_late_total"), Some(0.0));
}

#[tokio::test]
async fn a_live_topic_of_one_machine_closes_its_windows_within_a_minute_of_opening() {
    let test =
        "clocks_kafka::a_live_topic_of_one_machine_closes_its_windows_within_a_minute_of_opening";
    let Some(brokers) = servers::kafka(test) else { return };
    for (name, own_times) in [("weekend-true", true), ("weekend-todays", false)] {
        let (brokers, topic) = (brokers.clone(), Topic::new(&brokers, name).await);
        let closed =
            tokio::task::spawn_blocking(move || a_closed_weekend(&brokers, &topic, own_times));
        closed.await.expect("Friday's windows are there");
    }
}

#[tokio::test]
async fn a_machine_ahead_in_a_real_topic_makes_nobody_late() {
    let test = "clocks_kafka::a_machine_ahead_in_a_real_topic_makes_nobody_late";
    let Some(brokers) = servers::kafka(test) else { return };
    let topic = Topic::new(&brokers, "machine-ahead").await;
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", &brokers);
    let case = repository().join("tests/cases/clock/machine_ahead.ndjson");
    let text = std::fs::read_to_string(case).expect("the case is there");
    text.lines().for_each(|line| topic.send(line, None));
    let (source, project) = (format!("kafka:{}", topic.name), project());
    let of = ["--source", &source, "--lake", "lake", "--project", &project];
    let run = place.counters(&[&["run", "--once", "--json"][..], &of].concat());
    assert_eq!((count(&run, "counted"), count(&run, "late")), (30, 0));
    let rows = place.query("lake", "SELECT n, p50 FROM tat_1h ORDER BY window_start");
    let figures: Vec<(i64, f64)> =
        rows.iter().filter_map(|row| Some((row["n"].as_i64()?, row["p50"].as_f64()?))).collect();
    assert_eq!(figures, [(12, 35.5), (12, 47.5), (6, 31.0)]);
    let told = "SELECT lab_id, machine_id, count(*) AS n FROM quality \
                WHERE kind = 'leap' GROUP BY lab_id, machine_id";
    let told = place.query("lake", told);
    assert_eq!(told, [serde_json::json!({ "lab_id": "L1", "machine_id": "M9", "n": 6 })]);
}
