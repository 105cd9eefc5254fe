//! A stream over a real topic serves its health and metrics, stops cleanly on SIGTERM, and what it
//! left is what a finished run builds upon.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use crate::binary::{Place, count, unique, wait_for};
use crate::servers;

const LONG: Duration = Duration::from_secs(60);

/// The status and the body of a page.
pub(crate) fn get(address: &str, page: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {page} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

/// The sum of a metric over its labels.
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let lines = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Records that were read, also those of which it is not known yet what becomes of them.
pub(crate) fn read_records(page: &str) -> f64 {
    metric(page, "turnaround_records_total") + metric(page, "turnaround_records_waiting")
}

#[test]
fn a_stream_stops_cleanly_on_sigterm() {
    let Some(brokers) = servers::kafka("stop::a_stream_stops_cleanly_on_sigterm") else { return };
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", &brokers);
    let topic = format!("kafka:{}", unique("stop"));
    let feed = ["--days", "0.2", "--faults", "none", "--out", &topic, "--partitions", "2"];
    let made = place.counters(&[&["generate", "--profile", "demo", "--json"], &feed[..]].concat());
    let stream = ["run", "--json", "--source", &topic, "--lake", "lake", "--listen", "127.0.0.1:0"];
    let log = std::fs::File::create(place.path("log")).expect("a file can be made");
    let mut command = place.turnaround(&stream);
    let mut child =
        command.stderr(Stdio::from(log)).stdout(Stdio::piped()).spawn().expect("it runs");
    let address = wait_for("address", LONG, || {
        let log = place.read("log");
        let rest = log.split_once("/metrics on http://")?.1;
        Some(rest.split_once('\n')?.0.trim().to_owned())
    });
    let is_ok = |page| get(&address, page).filter(|(status, _)| *status == 200);
    wait_for("/healthz", LONG, || is_ok("/healthz"));
    wait_for("/readyz", LONG, || is_ok("/readyz"));
    let records = count(&made, "events") as f64;
    wait_for("record of the topic in /metrics", LONG, || {
        let (_, page) = is_ok("/metrics")?;
        (read_records(&page) == records).then_some(())
    });
    let pid = child.id().to_string();
    let told = place.command("kill").args(["-TERM", &pid]).status().expect("kill runs");
    assert!(told.success());
    let ended = wait_for("end", LONG, || child.try_wait().expect("it is our child"));
    let mut out = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("text");
    assert_eq!(ended.code(), Some(0), "{}", place.read("log"));
    assert!(out.contains(&format!("\"events_in\":{}", count(&made, "events"))), "{out}");

    let once = ["run", "--once", "--json", "--source", &topic, "--lake"];
    let run = place.counters(&[&once[..], &["lake"]].concat());
    assert_eq!(run["stopped"], serde_json::json!({}), "it arrives at the same objects");
    let fresh = place.counters(&[&once[..], &["fresh"]].concat());
    assert_eq!(count(&run, "events_in"), count(&fresh, "events_in"));
    let (tables, undisturbed) = (contents(&place, "lake/tables"), contents(&place, "fresh/tables"));
    assert!(!tables.is_empty());
    assert!(tables == undisturbed, "the tables are not those of an undisturbed run");
    assert!(!place.path("lake/live").exists() || place.listing("lake/live").is_empty());
    let archived = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events";
    let archived = &place.query("lake", archived)[0];
    assert_eq!(count(archived, "n"), count(&made, "events"), "archived once");
    assert_eq!(archived["n"], archived["ids"]);
}

/// Every object below a folder, with its bytes.
fn contents(place: &Place, folder: &str) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(place.path(folder).join(&name)).expect("it is there");
        (name, bytes)
    };
    place.listing(folder).into_iter().map(|(name, ..)| read(name)).collect()
}
