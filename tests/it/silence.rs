//! A silence of a real topic closes the last window; a row that comes after it is late, and is so
//! again after restarts, since the journal in the bucket says where the silence had come to.

use std::process::{Child, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::runtime::Handle;
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::journal::JournalKey;
use turnaround::flow::{Span, Timestamp};
use turnaround::lake::Lake;

use crate::binary::{Place, count, repository, unique, wait_for};
use crate::kafka_to_s3::reach_s3;
use crate::servers;
use crate::stop::{get, read_records};

const LONG: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_silence_is_remembered_over_restarts() {
    let test = "silence::a_silence_is_remembered_over_restarts";
    let (Some(brokers), Some(s3)) = (servers::kafka(test), servers::s3(test)) else { return };
    let name = unique("silence");
    let made = reqwest::Client::new().put(format!("{s3}/{name}")).send().await;
    assert_eq!(made.expect("the S3 server answers").status(), 200);
    let admin: AdminClient<DefaultClientContext> =
        client(&brokers).create().expect("an admin client needs no broker yet");
    // The second partition never has a record.
    let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[topic], &AdminOptions::new()).await;
    created.expect("a broker answers")[0].as_ref().expect("the topic is new");
    let mut place = Place::new();
    reach_s3(&mut place, &s3);
    place.set("KAFKA_BROKERS", &brokers);
    for file in ["pipelines/tat.yaml", "sql/marts/tat.sql"] {
        let text = std::fs::read(repository().join("tests/cases/timelines/project").join(file));
        place.write(&format!("project/{file}"), text.expect("the case is there"));
    }
    place.write("project/turnaround.yaml", "time: { max_disorder: 1s, idle_after: 1s }\n");
    let told = tokio::task::spawn_blocking(move || two_restarts(&place, &brokers, &s3, &name));
    told.await.expect("the silence is remembered");
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn two_restarts(place: &Place, brokers: &str, s3: &str, name: &str) {
    let (topic, bucket) = (format!("kafka:{name}"), format!("s3://{name}/some/prefix"));
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    // A window of today: those of days that are past are not written to `live/`.
    let ten = Span(10 * Span::MINUTE.0);
    let start = Timestamp(SystemClock.now().0.div_euclid(ten.0) * ten.0).minus(ten);
    let after = |seconds: i64| start.plus(Span(seconds * Span::SECOND.0));
    let send = |minutes: i64, at: Timestamp| {
        let record = serde_json::json!({
            "lab_id": "a", "specimen_id": at.to_rfc3339(), "assay": "K", "status": "COMPLETED",
            "received_at": after((9 - minutes) * 60).to_rfc3339(),
            "processed_at": at.to_rfc3339(),
        });
        let record = record.to_string();
        let record = BaseRecord::<(), str>::to(name).partition(0).payload(&record);
        let record = record.timestamp(at.0 / 1000);
        producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        producer.flush(LONG).expect("the record is there");
    };
    let rows = || {
        let sql = "SELECT CAST(window_end AS VARCHAR) AS ends, n FROM tat_10m ORDER BY ends";
        let ran = place.run(&["query", sql, "--lake", &bucket, "--format", "csv"]);
        ran.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };

    // Verified two seconds before the window's end: three seconds of silence close it.
    send(1, after(9 * 60 + 58));
    let stream = Stream::start(place, &topic, &bucket, "first");
    let ends = |minutes: i64| format!("{},1", after(minutes * 60).to_rfc3339());
    let first = [ends(10)];
    wait_for("the window that silence closes", LONG, || (rows() == first).then_some(()));
    let journal = journal(&bucket, s3);
    let second = after(600).0 / Span::SECOND.0;
    let named = |key: &String| key.contains(&format!("_turnaround/journal/{name}-0/1-{second}"));
    assert!(journal.iter().any(named), "the window's last second is journalled: {journal:?}");
    assert!(journal.iter().any(|key| key.contains(&format!("{name}-1/0-"))), "{journal:?}");
    send(2, after(9 * 60));
    stream.stop_after(2);

    let stream = Stream::start(place, &topic, &bucket, "second");
    send(3, after(25 * 60));
    stream.stop_after(3);
    assert_eq!(rows(), first, "the row after the silence is late again");

    let stream = Stream::start(place, &topic, &bucket, "third");
    stream.stop_after(3);
    let once =
        ["run", "--once", "--json", "--project", "project", "--source", &topic, "--lake", &bucket];
    let run = place.counters(&once);
    assert_eq!(run["stopped"], serde_json::json!({}), "it arrives at the same objects");
    assert_eq!(count(&run, "events_in"), 3);
    assert_eq!(rows(), [ends(10), ends(30)]);
    let late = "SELECT \"offset\" FROM late WHERE table_name = 'tat_10m'";
    assert_eq!(place.value(&bucket, late), 1);
}

/// The names in a bucket's journal.
fn journal(bucket: &str, s3: &str) -> Vec<String> {
    let settings = [
        ("AWS_ENDPOINT", s3),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_REGION", "us-east-1"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let lake = Lake::open(bucket, settings).expect("the location is right");
    let read = Handle::current().block_on(async move { lake.journal().await });
    read.expect("the bucket is there").iter().map(JournalKey::to_string).collect()
}

/// A stream of the binary.
struct Stream<'a> {
    place: &'a Place,
    log: String,
    child: Child,
}

impl Stream<'_> {
    fn start<'a>(place: &'a Place, topic: &str, bucket: &str, name: &str) -> Stream<'a> {
        let arguments =
            ["run", "--json", "--project", "project", "--source", topic, "--lake", bucket];
        let log = format!("log-{name}");
        let out = std::fs::File::create(place.path(&log)).expect("a file can be made");
        let mut command =
            place.turnaround(&[&arguments[..], &["--listen", "127.0.0.1:0"]].concat());
        let child = command.stderr(Stdio::from(out)).stdout(Stdio::null()).spawn();
        Stream { place, log, child: child.expect("it runs") }
    }

    /// Stops the stream when it has read so many records, and a silence after them.
    fn stop_after(mut self, records: u64) {
        let address = wait_for("address", LONG, || {
            let log = self.place.read(&self.log);
            let rest = log.split_once("/metrics on http://")?.1;
            Some(rest.split_once('\n')?.0.trim().to_owned())
        });
        wait_for("records", LONG, || {
            let (_, page) = get(&address, "/metrics")?;
            (read_records(&page) == records as f64).then_some(())
        });
        let told =
            self.place.command("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        let ended = wait_for("end", LONG, || self.child.try_wait().expect("it is our child"));
        assert_eq!(ended.code(), Some(0), "{}", self.place.read(&self.log));
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a stream that ended by itself.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
