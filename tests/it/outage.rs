//! A lake that is away is waited for: nothing is lost, the run says so, and a stop is obeyed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::{Span, Timestamp};
use turnaround::lake::LakeError;
use turnaround::pipeline::RunError;

use crate::binary::{Place, unique, wait_for};
use crate::faulty::{Fault, Faulty};
use crate::kafka_to_s3::reach_s3;
use crate::servers;
use crate::stream::{Stream, signal};
use crate::takeover::{client, create_topic};
use crate::timelines::case::{arrival, instant};
use crate::timelines::world::{Log, Setting, TIMELINES, World};

const LONG: Duration = Duration::from_secs(60);

fn setting(store: &Faulty, now: Timestamp, once: bool) -> Setting {
    let lake_patience = Duration::from_millis(300);
    let (project, lake, extents) = (TIMELINES, store.lake(), Vec::new());
    Setting { project, lake, partitions: 1, now, once, extents, lake_patience, appended: true }
}

/// One test of lab `a` each, verified at these times.
fn log(times: &[&str]) -> Log {
    let arrivals = times.iter().enumerate();
    let arrivals =
        arrivals.map(|(number, time)| arrival(&format!("p0 {time} a 30"), instant(time), number));
    BTreeMap::from([(0, arrivals.collect())])
}

async fn wait(what: &str, ready: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ready().await {
        assert!(begun.elapsed() < LONG, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Three windows of ten minutes that close, and two of half an hour; before the outage, one.
const BEFORE: [&str; 2] = ["09:02", "09:12"];
const ALL: [&str; 5] = ["09:02", "09:12", "09:23", "09:34", "09:45"];

/// The live objects of a run that nothing disturbs.
async fn undisturbed() -> Vec<(String, Vec<u8>)> {
    let store = Faulty::new();
    let world = World::begin(setting(&store, instant("10:00"), false)).await;
    world.deliver(&log(&ALL), &BTreeMap::new(), 1).await;
    world.stop().await;
    let live = store.contents("live").await;
    assert!(live.len() > 4, "{}", live.len());
    live
}

/// A run whose store has failed after the first window was put, and all later ones are due.
async fn failing(store: &Faulty, fault: Fault) -> (World, usize) {
    let world = World::begin(setting(store, instant("10:00"), false)).await;
    world.deliver(&log(&BEFORE), &BTreeMap::new(), 1).await;
    wait("the first window", async || !store.contents("live").await.is_empty()).await;
    let put = store.contents("live").await.len();
    store.set(Some(fault));
    let from = BTreeMap::from([(0, BEFORE.len())]);
    world.hand_over(&log(&ALL), &from);
    (world, put)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_put_when_the_lake_is_back() {
    let undisturbed = undisturbed().await;
    for fault in [Fault::Away, Fault::Denied] {
        let store = Faulty::new();
        let (world, put) = failing(&store, fault).await;
        wait("word of the outage", async || world.progress().away().is_some()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let absence = world.progress().away().expect("it is still away");
        assert_eq!(absence.lake, "s3://bucket");
        assert!(absence.lasted >= Duration::from_millis(500), "{absence:?}");
        let said = match fault {
            Fault::Denied => "access denied",
            Fault::Away | Fault::Silent | Fault::Locked => "check that the store is up",
        };
        assert!(absence.reason.contains(said), "{absence:?}");
        assert_eq!(store.contents("live").await.len(), put, "nothing is put meanwhile");
        store.set(None);
        wait("what was due", async || store.contents("live").await == undisturbed).await;
        assert!(world.progress().away().is_none());
        let summary = world.stop().await;
        assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_obeyed_while_the_lake_is_away_and_says_what_is_due() {
    let undisturbed = undisturbed().await;
    // An answer that is missing is waited for a little, a store known to be away is not.
    for (fault, within) in [(Fault::Away, 2), (Fault::Silent, 8)] {
        let store = Faulty::new();
        let (world, put) = failing(&store, fault).await;
        if fault == Fault::Away {
            wait("word of the outage", async || world.progress().away().is_some()).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        let error = world.stopped().await.expect_err("something is due");
        assert!(begun.elapsed() < Duration::from_secs(within), "{:?}", begun.elapsed());
        let text = error.to_string();
        assert!(matches!(error, RunError::Lake(LakeError::Stopped { .. })), "{text}");
        assert!(text.contains("`live/") && text.contains("objects were put"), "{text}");
        assert_eq!(store.contents("live").await.len(), put);
        // The next run puts what was due.
        store.set(None);
        let world = World::begin(setting(&store, instant("10:00"), false)).await;
        world.deliver(&log(&ALL), &BTreeMap::new(), 1).await;
        let summary = world.stop().await;
        assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
        assert!(store.contents("live").await == undisturbed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_cannot_be_used_at_the_start_is_an_error() {
    let store = Faulty::new();
    store.set(Some(Fault::Denied));
    let error = World::begin(setting(&store, instant("10:00"), false)).await.complains().await;
    assert!(matches!(error, RunError::Lake(LakeError::Denied { .. })), "{error}");
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    store.set(Some(Fault::Away));
    let begun = Instant::now();
    let error = World::begin(setting(&store, instant("10:00"), false)).await.complains().await;
    assert!(matches!(error, RunError::Lake(LakeError::Unreachable { .. })), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(300), "patience comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_with_its_input_gives_up_after_its_patience() {
    let store = Faulty::new();
    let world = World::begin(setting(&store, instant("10:00"), true)).await;
    world.deliver(&log(&ALL), &BTreeMap::new(), 1).await;
    store.set(Some(Fault::Away));
    world.end();
    let error = world.complains().await;
    assert!(matches!(error, RunError::Lake(LakeError::Unreachable { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cannot_be_deleted_stay_and_end_nothing() {
    let store = Faulty::new();
    let world = World::begin(setting(&store, instant("10:00"), false)).await;
    world.deliver(&log(&ALL), &BTreeMap::new(), 1).await;
    world.stop().await;
    let live = store.contents("live").await;
    assert!(!live.is_empty());
    store.set(Some(Fault::Locked));
    let world = World::begin(setting(&store, instant("10:00"), true)).await;
    let summary = world.run_to_the_end(&log(&ALL)).await;
    assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
    assert!(!store.contents("tables").await.is_empty(), "the days have settled");
    assert!(store.contents("live").await == live, "what could not be deleted stays");
    // A stream goes on as well when the grace of what is left has passed.
    let world = World::begin(setting(&store, instant("10:00"), false)).await;
    world.deliver(&log(&ALL), &BTreeMap::new(), 1).await;
    world.clock(instant("11:30"));
    world.caught_up(&[0]).await;
    assert!(store.contents("live").await == live);
    store.set(None);
    // It is tried again after a minute.
    world.clock(instant("11:40"));
    wait("the delete", async || store.contents("live").await.is_empty()).await;
    world.stop().await;
}

/// An S3 server of this test's own, which may be stopped.
struct Moto(Child);

impl Moto {
    fn start(place: &Place, python: &str) -> (Moto, String) {
        let server = Path::new(python).with_file_name("moto_server");
        let log = std::fs::File::create(place.path("moto")).expect("a file can be made");
        let mut command = place.command(server.to_str().expect("the path is text"));
        let command = command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null());
        let moto = Moto(command.stderr(log).spawn().expect("moto_server starts"));
        let url = wait_for("S3 server", LONG, || {
            let log = place.read("moto");
            let (_, url) = log.split_once("Running on ")?;
            Some(url.split_once('\n')?.0.trim().to_owned())
        });
        (moto, url)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // A process that is stopped is killed all the same.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_for_half_a_minute_costs_nothing() {
    let test = "outage::a_bucket_that_is_away_for_half_a_minute_costs_nothing";
    let (Some(brokers), Some(python)) = (servers::kafka(test), servers::python(test)) else {
        return;
    };
    let name = unique("outage");
    create_topic(&brokers, &name, 1).await;
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", &brokers);
    let (moto, s3) = Moto::start(&place, &python);
    reach_s3(&mut place, &s3);
    let made = reqwest::Client::new().put(format!("{s3}/{name}")).send().await;
    assert_eq!(made.expect("the S3 server answers").status(), 200);
    let told = tokio::task::spawn_blocking(move || away(&place, &moto, &brokers, &name));
    told.await.expect("nothing is lost");
}

/// A project with a window a minute.
fn project_of_minutes(place: &Place) {
    place.write("project/turnaround.yaml", "time: { max_disorder: 1s }\n");
    place.write(
        "project/pipelines/verified.yaml",
        "description: Verified tests.\nwindows: { 1m: { tumbling: { size: 1m } } }\ngrain: [lab_id]\n",
    );
    place.write(
        "project/sql/marts/verified.sql",
        "-- One row per lab and minute.\nSELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id\n",
    );
}

/// Whether the last error names an object that was still to be put. Which one that is depends on how far
/// the run had come: records are counted before they are filed.
fn says_what_is_due(log: &str) -> bool {
    let stopped = log.lines().find(|line| line.starts_with("error: stopped while"));
    let due = stopped.and_then(|line| line.split_once("was away, before "));
    let objects = ["`live/verified_1m/day=", "`tables/verified_1m/day=", "`events/day="];
    due.is_some_and(|(_, due)| objects.iter().any(|object| due.contains(object)))
}

fn away(place: &Place, moto: &Moto, brokers: &str, name: &str) {
    project_of_minutes(place);
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    // One test a second of event time: a minute's window closes with every sixty. They are of today,
    // since windows of days that are past are not written to `live/`.
    let start = Timestamp(SystemClock.now().0.div_euclid(Span::MINUTE.0) * Span::MINUTE.0);
    let start = start.minus(Span(14 * Span::MINUTE.0));
    let send = |from: i64, to: i64| {
        for number in from..to {
            let at = start.plus(Span(number * Span::SECOND.0));
            let event = serde_json::json!({
                "lab_id": "a", "specimen_id": format!("s-{number}"), "assay": "K",
                "status": "COMPLETED", "machine_id": format!("m-{}", number % 2),
                "received_at": at.minus(Span::HOUR).to_rfc3339(), "processed_at": at.to_rfc3339(),
            });
            let event = event.to_string();
            let record = BaseRecord::<(), str>::to(name).payload(&event).timestamp(at.0 / 1000);
            producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        }
        producer.flush(LONG).expect("the records are there");
    };
    let (topic, bucket) = (format!("kafka:{name}"), format!("s3://{name}/some/prefix"));
    let arguments = ["--project", "project", "--source", &topic, "--lake", &bucket];
    let mut stream = Stream::start(place, &arguments, "log");
    send(0, 200);
    stream.reads(200);
    let objects = |stream: &Stream<'_>| stream.metric("turnaround_lake_objects_total");
    let before = wait_for("first windows", LONG, || objects(&stream).filter(|n| *n >= 3.0));

    signal(place, moto.0.id(), "-STOP");
    send(200, 500);
    let (status, page) = wait_for("word of the outage", LONG, || {
        stream.page("/readyz").filter(|(status, _)| *status == 503)
    });
    assert!(page.contains("away since 2"), "{status}: {page}");
    let told = Instant::now();
    while told.elapsed() < Duration::from_secs(20) {
        assert!(stream.ended().is_none(), "the run lives on: {}", stream.said());
        assert_eq!(stream.page("/healthz").map(|(status, _)| status), Some(200));
        std::thread::park_timeout(Duration::from_secs(1));
    }
    assert!(stream.metric("turnaround_lake_away_seconds").is_some_and(|away| away > 30.0));
    assert!(objects(&stream).is_some_and(|now| now <= before + 8.0));

    signal(place, moto.0.id(), "-CONT");
    wait_for("end of the outage", LONG, || {
        stream.page("/readyz").filter(|(status, _)| *status == 200)
    });
    stream.reads(500);
    send(500, 620);
    stream.reads(620);
    stream.terminate();
    let log = stream.said();
    assert_eq!(stream.code(), Some(0), "{log}");
    assert!(log.matches("the lake is away").count() <= 2, "a line a minute: {log}");
    // The watermark stands a second behind the last of 620, so ten minutes have closed.
    let sql = "SELECT sum(n) FROM verified_1m";
    assert_eq!(place.value(&bucket, sql), 600);

    // A stop while it is away is obeyed, and says what is due.
    let stream = Stream::start(place, &arguments, "second");
    stream.reads(620);
    signal(place, moto.0.id(), "-STOP");
    send(620, 800);
    wait_for("word of the outage", LONG, || {
        stream.page("/readyz").filter(|(status, _)| *status == 503)
    });
    let asked = Instant::now();
    stream.terminate();
    let code = stream.code();
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    assert_eq!(code, Some(1));
    let log = place.read("second");
    assert!(says_what_is_due(&log), "{log}");
    signal(place, moto.0.id(), "-CONT");
}
