//! The API's stream: what fires arrives once, in order, also for a reader that comes back, for one that
//! stalls not at all; and a run serves the same routes over its own lake.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use turnaround::clock::{Clock, SystemClock};
use turnaround::flow::lake_key::{Fingerprint, FiringKey, LakeKey, SafeName, Section};
use turnaround::flow::{Span, Timestamp, Window};
use turnaround::lake::{Lake, ObjectNotes};

use crate::binary::{Place, repository, unique, wait_for};
use crate::served::Served;
use crate::servers;
use crate::stream::{Stream, signal};
use crate::takeover::{client, create_topic};

pub(crate) const LONG: Duration = Duration::from_secs(60);
const NOON: Timestamp = Timestamp(1_772_366_400_000_000);

/// A lake whose objects are put by hand.
pub(crate) struct ByHand {
    lake: Lake,
    put: i64,
}

impl ByHand {
    pub(crate) async fn new(place: &Place) -> ByHand {
        let path = place.path("lake");
        let lake = Lake::open(path.to_str().expect("text"), []).expect("a folder");
        lake.claim().await.expect("it can be written");
        ByHand { lake, put: 0 }
    }

    /// Puts a firing of a table: rows numbered from here on, of these laboratories in turn.
    pub(crate) async fn fire(&mut self, table: &str, numbers: std::ops::Range<i64>, labs: &[&str]) {
        let count = usize::try_from(numbers.end - numbers.start).expect("rows");
        let lab = |row: usize| labs[row % labs.len()];
        let start = NOON.plus(Span(self.put * Span::MINUTE.0));
        let columns: [(&str, ArrayRef); 4] = [
            (
                "window_start",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![start.0; count]).with_timezone("UTC"),
                ),
            ),
            ("lab_id", Arc::new(StringArray::from_iter_values((0..count).map(lab)))),
            (
                "assay",
                Arc::new(StringArray::from_iter_values(
                    (0..count).map(|row| if row % 4 < 2 { "K" } else { "NA" }),
                )),
            ),
            ("n", Arc::new(Int64Array::from_iter_values(numbers))),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("rows");
        self.put += 1;
        let window = Window { start, end: start.plus(Span::MINUTE) };
        let (name, fingerprint) = (SafeName::of(table), Fingerprint(1));
        let firing = FiringKey { table: name, window, revision: 0, fingerprint };
        let date = start.date();
        let key = match table {
            "alerts" => LakeKey::Aside { section: Section::Alerts, date, firing },
            _ => LakeKey::Live { date, firing },
        };
        self.lake.put(&key, vec![rows], ObjectNotes::default()).await.expect("it is put");
    }
}

/// A reader of events.
pub(crate) struct Listener {
    answer: reqwest::Response,
    held: String,
    pub(crate) last: Option<String>,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl Listener {
    async fn begin(url: &str, query: &str, headers: &[(&str, &str)]) -> Listener {
        let listener = Listener::begin_behind(url, query, headers).await;
        // What a proxy takes for itself.
        assert_eq!(listener.answer.headers()["x-accel-buffering"], "no");
        listener
    }

    /// As behind a proxy.
    pub(crate) async fn begin_behind(url: &str, query: &str, headers: &[(&str, &str)]) -> Listener {
        let mut request = reqwest::Client::new().get(format!("{url}/stream?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status().as_u16(), 200);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        let mut listener = Listener { answer, held: String::new(), last: None };
        let begun = listener.next().await.expect("it says that it begins");
        assert!(matches!(begun.kind.as_str(), "begin" | "gap"), "{begun:?}");
        listener
    }

    /// The next event; comments are passed over. Nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.held.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.held = rest;
                let (mut kind, mut data) = (String::new(), Value::Null);
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => self.last = Some(id.to_owned()),
                        Some(("event", text)) => text.clone_into(&mut kind),
                        Some(("data", text)) => data = serde_json::from_str(text).expect("JSON"),
                        _ => {}
                    }
                }
                if !kind.is_empty() {
                    return Some(Event { kind, data });
                }
                continue;
            }
            let chunk = tokio::time::timeout(LONG, self.answer.chunk()).await.expect("in time");
            let chunk = chunk.expect("it is not torn off")?;
            self.held += std::str::from_utf8(&chunk).expect("text");
        }
    }

    /// The numbers of the next rows.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let event = self.next().await.expect("a row");
            assert!(matches!(event.kind.as_str(), "row" | "alert"), "{event:?}");
            numbers.push(event.data["row"]["n"].as_i64().expect("a number"));
        }
        numbers
    }
}

fn serve(place: &Place) -> Served {
    Served::start(place, &["--lake", "lake", "--stream-period", "100ms"])
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_and_repeats_nothing() {
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    hand.fire("t_1h", 0..5, &["a"]).await;
    let served = serve(&place);
    let mut listener = Listener::begin(&served.url, "", &[]).await;
    // What fired before is in the tables.
    hand.fire("t_1h", 10..13, &["a", "b"]).await;
    let fired = Instant::now();
    let event = listener.next().await.expect("a row");
    assert_eq!(
        event.data,
        json!({ "table": "t_1h", "row": {
            "window_start": "2026-03-01T12:01:00Z", "lab_id": "a", "assay": "K", "n": 10,
        } })
    );
    assert!(fired.elapsed() < Duration::from_secs(5), "{:?}", fired.elapsed());
    assert_eq!(listener.numbers(1).await, [11]);
    // It goes within an object.
    let last = listener.last.clone().expect("an id");
    drop(listener);
    hand.fire("t_1h", 13..16, &["a"]).await;
    let mut again = Listener::begin(&served.url, "", &[("last-event-id", &last)]).await;
    assert_eq!(again.numbers(2).await, [12, 13]);
    let last = again.last.clone().expect("an id");
    drop((again, served));
    // Another server knows the place as well; so does one that is asked by a parameter.
    hand.fire("alerts", 16..18, &["b"]).await;
    let served = serve(&place);
    let mut third = Listener::begin(&served.url, &format!("last_event_id={last}"), &[]).await;
    assert_eq!(third.numbers(2).await, [14, 15]);
    let alert = third.next().await.expect("an alert");
    assert_eq!((alert.kind.as_str(), &alert.data["table"]), ("alert", &json!("alerts")));
    assert_eq!(third.numbers(1).await, [17]);
    hand.fire("t_1h", 18..1018, &["a"]).await;
    let many = third.numbers(1000).await;
    assert_eq!(many, (18..1018).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_reader_gets_what_it_wants_and_may_see() {
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    let token = |tenant: &str, labs: &str| {
        let create = ["token", "create", "--lake", "lake", "--role", "viewer"];
        let ran = place.run(&[&create[..], &["--tenant", tenant, "--labs", labs]].concat());
        format!("Bearer {}", ran.succeeded().out.trim())
    };
    let (a, all) = (token("a", "a"), token("all", "*"));
    let served = serve(&place);
    assert_eq!(served.ask("stream", &[]).await.status, 401);
    let mut of_a = Listener::begin(&served.url, "", &[("authorization", &a)]).await;
    let auth = [("authorization", all.as_str())];
    let mut wanted = Listener::begin(&served.url, "table=t_1h&lab=b&assay=NA", &auth).await;
    let mut whole = Listener::begin(&served.url, "", &auth).await;
    hand.fire("u_1h", 100..102, &["b"]).await;
    hand.fire("t_1h", 0..8, &["a", "b"]).await;
    hand.fire("alerts", 200..202, &["a", "b"]).await;
    assert_eq!(whole.numbers(12).await.into_iter().collect::<BTreeSet<_>>().len(), 12);
    assert_eq!(of_a.numbers(5).await, [0, 2, 4, 6, 200]);
    // Of every four rows two are of K and two of NA; every second one is of b.
    assert_eq!(wanted.numbers(2).await, [3, 7]);
    let other = served.ask("stream?lab=b", &[("authorization", &a)]).await;
    assert_eq!((other.status, &other.json()["parameter"]), (400, &json!("lab")));
    let odd = served.ask("stream", &[("authorization", &a), ("last-event-id", "7")]).await;
    assert_eq!((odd.status, &odd.json()["parameter"]), (400, &json!("Last-Event-ID")));
    let id = a.split('_').nth(1).expect("an id").to_owned();
    place.run(&["token", "revoke", &id, "--lake", "lake"]).succeeded();
    let cut = of_a.next().await.expect("a last word");
    assert_eq!(cut.kind, "cut", "{cut:?}");
    assert!(of_a.next().await.is_none());
}

/// What a connection that was not read gives in the end.
pub(crate) async fn read_to_the_end(mut stalled: TcpStream) -> String {
    let read = tokio::task::spawn_blocking(move || {
        stalled.set_read_timeout(Some(LONG)).expect("a limit");
        let (mut read, mut bytes) = (Vec::new(), [0; 1 << 16]);
        while !read.ends_with(b"0\r\n\r\n") {
            match stalled.read(&mut bytes).expect("in time") {
                0 => break,
                count => read.extend_from_slice(&bytes[..count]),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    });
    read.await.expect("it reads")
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_off_and_nobody_waits_for_it() {
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    let served = serve(&place);
    let root = served.url.trim_start_matches("http://").trim_end_matches("/api/v1").to_owned();
    let mut stalled = TcpStream::connect(&root).expect("the server listens");
    write!(stalled, "GET /api/v1/stream HTTP/1.1\r\nHost: {root}\r\n\r\n").expect("it takes it");
    let mut beside = Listener::begin(&served.url, "", &[]).await;
    // More than what both ends of a connection hold.
    let (objects, rows) = (24, 10_000);
    for object in 0..objects {
        hand.fire("t_1h", object * rows..(object + 1) * rows, &["a"]).await;
    }
    let all = beside.numbers(usize::try_from(objects * rows).expect("rows")).await;
    assert!(all.windows(2).all(|two| two[0] < two[1]), "each once, in order");
    tokio::time::sleep(Duration::from_secs(13)).await;
    hand.fire("t_1h", 1_000_000..1_000_001, &["a"]).await;
    assert_eq!(beside.numbers(1).await, [1_000_000]);
    let read = read_to_the_end(stalled).await;
    assert!(read.contains("event: cut\n"), "{}", &read[read.len().saturating_sub(500)..]);
    assert!(read.matches("event: row").count() < all.len(), "it was not given everything");
}

/// What was put together with later rows may be gone as it was told of: whoever was away for long is told.
#[tokio::test]
async fn a_reader_that_was_away_for_long_is_told_so_and_all_hear_the_end() {
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    hand.fire("t_1h", 0..2, &["a"]).await;
    let mut served = serve(&place);
    // Put in 1970.
    let begin = async |headers: &[(&str, &str)]| {
        let mut request = reqwest::Client::new().get(format!("{}/stream", served.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the server answers");
        Listener { answer, held: String::new(), last: None }
    };
    let mut old = begin(&[("last-event-id", "10-0000000000000001-0")]).await;
    let gap = old.next().await.expect("it says so");
    assert_eq!(gap.kind, "gap", "{gap:?}");
    assert!(gap.data["detail"].as_str().is_some_and(|text| text.contains("rows")), "{gap:?}");
    assert_eq!(old.numbers(2).await, [0, 1]);
    let mut new = begin(&[]).await;
    let begun = new.next().await.expect("it says so");
    assert_eq!((begun.kind.as_str(), &begun.data["resumed"]), ("begin", &json!(false)));
    signal(&place, served.child.id(), "-TERM");
    for listener in [&mut old, &mut new] {
        let end = listener.next().await.expect("a last word");
        assert_eq!(end.kind, "end", "{end:?}");
        assert!(listener.next().await.is_none());
    }
    let ended = wait_for("end", Duration::from_secs(8), || {
        served.child.try_wait().expect("it is our child")
    });
    assert_eq!(ended.code(), Some(0));
}

/// A run over a real topic: one port for its health, its metrics and the API over its lake.
#[tokio::test]
async fn a_run_serves_the_same_routes_and_streams_what_fires() {
    let test = "listeners::a_run_serves_the_same_routes_and_streams_what_fires";
    let Some(brokers) = servers::kafka(test) else { return };
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", &brokers);
    for file in ["pipelines/tat.yaml", "sql/marts/tat.sql"] {
        let text = std::fs::read(repository().join("tests/cases/timelines/project").join(file));
        place.write(&format!("project/{file}"), text.expect("the case is there"));
    }
    place.write("project/turnaround.yaml", "time: { max_disorder: 1s, idle_after: 1s }\n");
    let name = unique("served");
    create_topic(&brokers, &name, 1).await;
    let arguments =
        ["--project", "project", "--source", &format!("kafka:{name}"), "--lake", "lake"];
    let stream = Stream::start(&place, &arguments, "log");
    let mut url = None;
    for _ in 0..600 {
        let log = stream.said();
        let found = log.split_once("/metrics on ").and_then(|(_, rest)| rest.split_once('\n'));
        url = found.map(|(url, _)| format!("{}/api/v1", url.trim()));
        let ready = stream.page("/readyz").is_some_and(|(status, _)| status == 200);
        if url.is_some() && ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = url.unwrap_or_else(|| panic!("it does not listen: {}", stream.said()));
    assert_eq!(stream.page("/healthz").map(|(status, _)| status), Some(200));
    let metrics = stream.page("/metrics").expect("metrics").1;
    assert!(metrics.contains("turnaround_source_records_total"), "{metrics}");
    let mut listener = Listener::begin(&url, "table=tat_10m", &[]).await;
    // A window of today: those of days that are past are not written to `live/`.
    let ten = Span(10 * Span::MINUTE.0);
    let start = Timestamp(SystemClock.now().0.div_euclid(ten.0) * ten.0).minus(ten);
    let after = |seconds: i64| start.plus(Span(seconds * Span::SECOND.0));
    let producer: BaseProducer = client(&brokers).create().expect("a producer");
    let send = |at: Timestamp| {
        let record = json!({
            "lab_id": "a", "specimen_id": at.to_rfc3339(), "assay": "K", "status": "COMPLETED",
            "received_at": at.minus(Span::MINUTE).to_rfc3339(), "processed_at": at.to_rfc3339(),
        });
        let record = record.to_string();
        let record = BaseRecord::<(), str>::to(&name).partition(0).payload(&record);
        let record = record.timestamp(at.0 / 1000);
        producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        producer.flush(LONG).expect("the record is there");
    };
    send(after(9 * 60 + 58));
    let event = listener.next().await.expect("the window that silence closes");
    assert_eq!(event.data["row"]["window_end"], json!(after(600).to_rfc3339()));
    assert_eq!(event.data["row"]["n"], json!(1));
    let rows = reqwest::get(format!("{url}/tables/tat_10m/rows")).await.expect("it answers");
    assert_eq!(rows.status().as_u16(), 200);
    assert_eq!(
        reqwest::get(format!("{url}/openapi.json")).await.expect("it answers").status(),
        200
    );
    stream.terminate();
    assert_eq!(stream.code(), Some(0));
}
