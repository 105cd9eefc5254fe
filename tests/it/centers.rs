//! Centres: the night of a transfer that failed, through to recovery, with its cards; what a centre publishes and
//! the tests that are measured by it; the commands; generated feeds.

use serde_json::{Value, json};

use crate::binary::{Place, Ran, count, repository, unique};
use crate::catcher::{Catcher, posts, title};
use crate::machines::{Part, play};
use crate::own_project::ONCE;
use crate::servers;
use crate::takeover::create_topic;

/// A place with a project of what tells of centres and what they change, in Berlin.
fn place() -> Place {
    let place = Place::new();
    for name in ["center_status", "refused"] {
        for file in [format!("pipelines/{name}.yaml"), format!("sql/marts/{name}.sql")] {
            let text = std::fs::read(repository().join(&file)).expect("it is shipped");
            place.write(&format!("project/{file}"), text);
        }
    }
    place.write(
        "project/data/reference/labs.csv",
        "lab_id,name,tz\nnorth,North,Europe/Berlin\nwest,West,Europe/Berlin\n",
    );
    place.write("project/data/reference/targets.csv", "assay,target_minutes\nK,60\n");
    place.write("project/pipelines/measured.yaml", MEASURED);
    place.write("project/sql/marts/measured.sql", MEASURED_SQL);
    // Hours between two events are no leap.
    let settings = "time:\n  max_leap: 1d\nalerts:\n  max_age: 36500d\n";
    place.write("project/turnaround.yaml", settings);
    place
}

const MEASURED: &str = "description: Completed tests with their targets.
windows:
  none: {}
grain: [lab_id, specimen_id]
";
const MEASURED_SQL: &str = "-- Completed tests with their targets.
SELECT lab_id, specimen_id, completed_at, target_minutes, target_source, target_version, within_target
FROM completions
";

fn center(at: &str, event: &str, user: Option<&str>, version: i64) -> Value {
    let mut said = json!({
        "event_id": format!("{event}-{at}"), "event_type": "center.event", "lab_id": "north",
        "event_time": at, "center_event": event, "version": version,
    });
    if let Some(user) = user {
        said["user"] = user.into();
    }
    said
}

fn saves(at: &str, user: &str, version: i64) -> Value {
    let mut said = center(at, "saving_changes", Some(user), version);
    said["settings"] = json!(r#"{"targets":[{"assay":"K","minutes":45}]}"#);
    said
}

fn test(at: &str, lab: &str, specimen: &str, to_state: &str) -> Value {
    json!({
        "event_id": format!("{specimen}-{to_state}"), "event_type": "specimen.transition",
        "lab_id": lab, "specimen_id": specimen, "assay": "K", "to_state": to_state,
        "event_time": at,
    })
}

/// Midnight in Berlin is 23:00Z. Nobody tells that the file was transferred; it is recovered at 23:40Z,
/// and found in production at 02:00:08Z.
fn night() -> Vec<Value> {
    let (ana, bob) = (Some("ana"), Some("bob"));
    vec![
        test("2026-03-02T09:00:00Z", "north", "t1", "RECEIVED"),
        test("2026-03-02T09:50:00Z", "north", "t1", "VERIFIED"),
        center("2026-03-02T10:00:00Z", "starts_editing", ana, 1),
        center("2026-03-02T10:05:00Z", "starts_editing", bob, 1),
        saves("2026-03-02T10:10:00Z", "bob", 1),
        saves("2026-03-02T10:30:00Z", "ana", 1),
        center("2026-03-02T23:40:00Z", "reco_trans_done", Some("cem"), 2),
        center("2026-03-03T02:00:05Z", "db_prod_done", None, 1),
        test("2026-03-03T02:00:07Z", "north", "t2", "RECEIVED"),
        center("2026-03-03T02:00:08Z", "db_prod_done", None, 2),
        test("2026-03-03T02:00:08Z", "north", "t3", "RECEIVED"),
        test("2026-03-03T02:00:09Z", "west", "t4", "RECEIVED"),
        test("2026-03-03T02:50:07Z", "north", "t2", "VERIFIED"),
        test("2026-03-03T02:50:08Z", "north", "t3", "VERIFIED"),
        test("2026-03-03T02:50:09Z", "west", "t4", "VERIFIED"),
        center("2026-03-03T10:00:00Z", "starts_editing", Some("dan"), 2),
        center("2026-03-03T11:30:00Z", "starts_editing", Some("eve"), 2),
        center("2026-03-03T11:31:00Z", "abandon_changes", Some("dan"), 2),
        center("2026-03-03T11:32:00Z", "abandon_changes", Some("eve"), 2),
        test("2026-03-03T14:00:00Z", "north", "t5", "RECEIVED"),
    ]
}

fn lines(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| format!("{event}\n")).collect()
}

fn assert_night(place: &Place, lake: &str) {
    let sql = "SELECT CAST(status_start AS VARCHAR) AS at, event, status, version, \"current_user\" AS holder, \
               \"user\" AS by, seconds_in_previous_status AS s FROM center_status ORDER BY status_start";
    let row = |at: &str,
               event: &str,
               status: &str,
               version: i64,
               who: [Option<&str>; 2],
               s: Option<f64>| json!({"at": format!("2026-03-0{at}Z"), "event": event, "status": status, "version": version, "holder": who[0], "by": who[1], "s": s});
    let (ana, cem, eve) = (Some("ana"), Some("cem"), Some("eve"));
    let (dan, trans) = (Some("dan"), "wait00_trans");
    let expected = [
        row("2T10:00:00", "starts_editing", "edit", 1, [ana, ana], None),
        row("2T10:30:00", "saving_changes", trans, 2, [None, ana], Some(1800.0)),
        // From 10:30 to 23:10.
        row("2T23:10:00", "file_not_trans", "reco_trans", 2, [None, None], Some(45_600.0)),
        row("2T23:40:00", "reco_trans_done", "wait03_prod", 2, [None, cem], Some(1800.0)),
        // Two hours, twenty minutes and eight seconds.
        row("3T02:00:08", "db_prod_done", "free", 2, [None, None], Some(8408.0)),
        // Seven hours, 59 minutes and 52 seconds.
        row("3T10:00:00", "starts_editing", "edit", 2, [dan, dan], Some(28_792.0)),
        row("3T11:00:00", "change_timer_done", "free", 2, [None, None], Some(3600.0)),
        row("3T11:30:00", "starts_editing", "edit", 2, [eve, eve], Some(1800.0)),
        row("3T11:32:00", "abandon_changes", "free", 2, [None, eve], Some(120.0)),
    ];
    assert_eq!(place.query(lake, sql), expected);
    let sql = "SELECT CAST(noticed_at AS VARCHAR) AS at, reason, state, word, allowed FROM refused ORDER BY at";
    let row = |at: &str, state: &str, word: &str, allowed: &str| json!({"at": format!("2026-03-0{at}Z"), "reason": "conflict", "state": state, "word": word, "allowed": allowed});
    let edits = "abandon_changes,saving_changes";
    let expected = [
        row("2T10:05:00", "edit", "starts_editing", edits),
        row("2T10:10:00", "edit", "saving_changes", edits),
        row("3T02:00:05", "wait03_prod", "db_prod_done", "db_not_prod,db_prod_done"),
        row("3T11:31:00", "edit", "abandon_changes", edits),
    ];
    assert_eq!(place.query(lake, sql), expected);
    // All took 50 minutes.
    let sql = "SELECT specimen_id AS s, target_minutes AS m, target_source AS source, \
               target_version AS version, within_target AS w FROM measured ORDER BY specimen_id";
    let row = |s: &str, m: f64, source: &str, version: &str, w: bool| json!({"s": s, "m": m, "source": source, "version": version, "w": w});
    let expected = [
        row("t1", 60.0, "reference", "", true),
        row("t2", 60.0, "reference", "", true),
        row("t3", 45.0, "centre", "2026-03-03T02:00:08Z", false),
        row("t4", 60.0, "reference", "", true),
    ];
    assert_eq!(place.query(lake, sql), expected);
}

/// One card for the night, and its end.
#[test]
fn the_night_of_a_failed_transfer_has_one_card_that_recovery_ends() {
    let test = "centers::the_night_of_a_failed_transfer_has_one_card_that_recovery_ends";
    let Some(python) = servers::python(test) else { return };
    let mut place = place();
    place.write("feed.ndjson", lines(&night()).concat());
    let catcher = Catcher::start(&mut place, &python, "202", "/hook");
    let run = place.counters(&ONCE);
    drop(catcher);
    assert_eq!((count(&run, "dead_letters"), count(&run, "refused")), (0, 4), "{run}");
    assert_night(&place, "lake");
    let posts = posts(&place);
    let titles: Vec<&str> = posts.iter().map(title).collect();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].contains("Breach (medium): center needs recovery"), "{titles:?}");
    assert!(titles[1].contains("Ended (medium): center needs recovery"), "{titles:?}");
    let told = "SELECT kind, lab_id, CAST(window_start AS VARCHAR) AS at FROM alerts ORDER BY at";
    let card = |kind: &str, at: &str| json!({"kind": kind, "lab_id": "north", "at": format!("2026-03-02T{at}:00Z")});
    assert_eq!(place.query("lake", told), [card("begin", "23:10"), card("end", "23:40")]);
}

#[test]
fn the_night_is_the_same_however_batches_are_cut() {
    let place = place();
    let feed = lines(&night());
    place.write("feed.ndjson", feed.concat());
    let whole = play(&place, "whole", vec![Part::Lines(0, feed.clone())]);
    assert_night(&place, "whole");
    for size in [1, 2, 3, 7] {
        let parts = feed.chunks(size).map(|lines| Part::Lines(0, lines.to_vec()));
        assert_eq!(play(&place, &format!("by-{size}"), parts.collect()), whole, "by {size}");
    }
}

/// What the centre is told late counts from when it is known, however batches are cut: at 02:10 the
/// watermark stands at 02:09, and tests that were received until then keep their targets.
#[test]
fn what_is_told_late_counts_from_when_it_is_known() {
    let place = place();
    let mut feed = night();
    let told = feed.remove(9);
    assert_eq!(told["event_time"], "2026-03-03T02:00:08Z");
    feed.insert(11, test("2026-03-03T02:08:30Z", "north", "t6", "RECEIVED"));
    feed.insert(12, test("2026-03-03T02:10:00Z", "north", "t7", "RECEIVED"));
    feed.insert(13, told);
    feed.insert(14, test("2026-03-03T02:09:00Z", "north", "t8", "RECEIVED"));
    feed.insert(15, test("2026-03-03T02:08:59Z", "north", "t9", "RECEIVED"));
    let verified = ["t6", "t7", "t8", "t9"];
    let verified = verified.map(|name| test("2026-03-03T02:52:00Z", "north", name, "VERIFIED"));
    feed.splice(19..19, verified);
    let feed = lines(&feed);
    place.write("feed.ndjson", feed.concat());
    let whole = play(&place, "whole", vec![Part::Lines(0, feed.clone())]);
    for size in [1, 2, 5] {
        let parts = feed.chunks(size).map(|lines| Part::Lines(0, lines.to_vec()));
        assert_eq!(play(&place, &format!("by-{size}"), parts.collect()), whole, "by {size}");
    }
    let sql = "SELECT specimen_id AS s, target_minutes AS m FROM measured \
               WHERE target_source = 'centre' ORDER BY s";
    let rows = place.query("whole", sql);
    assert_eq!(rows, [json!({"s": "t7", "m": 45.0}), json!({"s": "t8", "m": 45.0})]);
}

/// What people ask of a place, and what comes of it.
struct Desk {
    place: Place,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk { place: place() };
        desk.place.write("feed.ndjson", lines(&night()[..2]).concat());
        desk.place.write("targets.csv", "assay,priority,patient_class,minutes\nK,S,,30\nK,,,45\n");
        desk
    }

    /// Asks how it stands, by a lake.
    fn ask(&self, words: &[&str], lake: &str) -> Ran {
        let all = [&["center"], words, &["--project", "project", "--lake", lake]].concat();
        self.place.run(&all)
    }

    /// Sends a command to the feed, by a lake.
    fn send(&self, words: &[&str], at: &str, lake: &str) -> Ran {
        let to = ["--source", "file:feed.ndjson", "--at", at];
        self.ask(&[words, &to].concat(), lake)
    }

    /// The lake of this name, filled from the feed.
    fn made(&self, lake: &str) -> String {
        self.run(lake);
        lake.to_owned()
    }

    /// Runs the feed into a lake.
    fn run(&self, lake: &str) {
        let of = ["--source", "file:feed.ndjson", "--lake", lake, "--project", "project"];
        self.place.counters(&[&["run", "--once", "--json", "--no-archive"], &of[..]].concat());
    }
}

const EDIT: [&str; 4] = ["north", "starts_editing", "--user", "ana"];

fn save<'a>(user: &'a str, set: &'a str) -> [&'a str; 6] {
    ["north", "saving_changes", "--user", user, "--set", set]
}

/// Ten o'clock, and twenty past.
const TEN: &str = "2026-03-02T10:00:00Z";
const TWENTY_PAST: &str = "2026-03-02T10:20:00Z";

#[test]
fn commands_go_to_the_feed_with_the_version_that_was_seen() {
    let desk = Desk::new();
    desk.run("first");
    let told = desk.ask(&["north"], "first").succeeded().out;
    let unseen =
        "north: free, of which nothing has been seen yet\nversion 1\nallowed now: starts_editing\n";
    assert_eq!(told, unseen);
    let told = desk.send(&EDIT, TEN, "first").succeeded().out;
    assert_eq!(
        told,
        "sent `starts_editing` of north by ana to feed.ndjson, having seen version 1\n"
    );
    desk.run("second");
    assert_eq!(
        desk.ask(&["north", "--at", TWENTY_PAST], "second").succeeded().out,
        "north: edit since 2026-03-02T10:00:00Z, edited by ana until 2026-03-02T11:00:00Z\nversion 1\n\
         allowed now: abandon_changes, saving_changes\n"
    );
    let targets =
        "targets:\n  - { assay: K, priority: S, minutes: 30 }\n  - { assay: K, minutes: 45 }\n";
    desk.place.write("targets.yaml", targets);
    let save = [&save("ana", "targets.yaml")[..], &["--json"]].concat();
    let sent = desk.send(&save, TWENTY_PAST, "second").succeeded().counters();
    assert_eq!((count(&sent, "version"), count(&sent, "targets")), (1, 2), "{sent}");
    let line = desk.place.read("feed.ndjson");
    let line: Value = serde_json::from_str(line.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&line["version"], &line["user"]), (&json!(1), &json!("ana")));
    let settings = line["settings"].as_str().expect("a text");
    let settings: Value = serde_json::from_str(settings).expect("JSON");
    let expected = json!({"targets": [{"assay": "K", "priority": "S", "minutes": 30.0}, {"assay": "K", "minutes": 45.0}]});
    assert_eq!(settings, expected);
    desk.run("third");
    let told = desk.ask(&["north", "--json"], "third").succeeded().counters();
    assert_eq!((&told["status"], &told["version"]), (&json!("wait00_trans"), &json!(2)));
}

#[test]
fn what_would_be_refused_is_not_sent() {
    let desk = Desk::new();
    desk.send(&EDIT, TEN, &desk.made("first")).succeeded();
    let lake = desk.made("second");
    let refused = |words: &[&str], told: &[&str]| {
        desk.send(words, TWENTY_PAST, &lake).failed(2, told);
    };
    let theirs = "ana edits the settings of `north` until 2026-03-02T11:00:00Z";
    refused(&save("bob", "targets.csv"), &[theirs]);
    let wrong = "`file_trans_done` is not allowed: `north` is in `edit` since 2026-03-02T10:00:00Z, edited by ana";
    let allowed = "where there is abandon_changes, saving_changes";
    refused(&["north", "file_trans_done", "--user", "ana"], &[wrong, allowed]);
    let nothing = ["north", "saving_changes", "--user", "ana"];
    refused(&nothing, &["say what is saved: --set FILE"]);
    desk.place.write("targets.csv", "assay,priority,minutes\nK,X,30\n");
    let fault = "targets.csv:2:3: no test has the priority `X`";
    refused(&save("ana", "targets.csv"), &[fault]);
    refused(
        &["north", "edits", "--user", "ana"],
        &["there is no event `edits`; there are starts_editing"],
    );
    refused(&["north", "abandon_changes"], &["say who asks: --user"]);
    assert_eq!(desk.place.read("feed.ndjson").lines().count(), 3, "nothing of that was sent");
    // Without a lake nothing is known of it, and the stream judges alone.
    let alone = ["--source", "file:feed.ndjson", "--project", "project"];
    let told = desk.place.run(&[&["center"], &EDIT[..], &alone].concat()).succeeded().out;
    assert!(told.contains("without a look at a lake"), "{told}");
}

/// Commands reach a stream through Kafka, keyed by the laboratory.
#[tokio::test]
async fn a_command_reaches_the_stream_through_kafka() {
    let test = "centers::a_command_reaches_the_stream_through_kafka";
    let Some(brokers) = servers::kafka(test) else { return };
    let topic = unique("centers");
    create_topic(&brokers, &topic, 3).await;
    let told = tokio::task::spawn_blocking(move || through_kafka(&brokers, &topic));
    told.await.expect("the commands arrive");
}

fn through_kafka(brokers: &str, topic: &str) {
    let mut place = place();
    place.set("KAFKA_BROKERS", brokers);
    let source = format!("kafka:{topic}");
    let ask = |words: &[&str]| {
        let of = ["--source", &source, "--project", "project"];
        place.run(&[&["center"], words, &of[..]].concat()).succeeded();
    };
    place.write("targets.csv", "assay,minutes\nK,45\n");
    ask(&["north", "starts_editing", "--user", "ana", "--at", "2026-03-02T10:00:00Z"]);
    let save = ["north", "saving_changes", "--user", "ana", "--set", "targets.csv"];
    ask(&[&save[..], &["--at", "2026-03-02T10:10:00Z"]].concat());
    let once = ["run", "--once", "--json", "--project", "project", "--source", &source];
    let run = place.counters(&[&once[..], &["--lake", "lake"]].concat());
    assert_eq!((count(&run, "events_in"), count(&run, "refused")), (2, 0), "{run}");
    let status = "SELECT status, version FROM center_status ORDER BY status_start DESC LIMIT 1";
    assert_eq!(place.query("lake", status), [json!({"status": "wait00_trans", "version": 2})]);
    let partitions = "SELECT count(DISTINCT \"partition\") FROM events";
    assert_eq!(place.value("lake", partitions), json!(1), "one key, one partition");
}

/// The zones that the generator gives its laboratories, in their order.
const GENERATED: &str = "lab_id,name,tz\nlab-0001,One,Europe/Berlin
lab-0002,Two,Europe/London
lab-0003,Three,America/New_York
";

/// Three laboratories for four weeks, without faults: no command is refused, each save is a version, and the
/// rows are those of the table of docs/lifecycles.md, applied here once more.
#[test]
fn generated_centres_have_no_conflict_of_their_own_making() {
    let place = place();
    let generate = ["generate", "--profile", "network", "--labs", "3", "--days", "28"];
    let generated = ["--faults", "none", "--out", "file:all.ndjson", "--course", "full"];
    place.run(&[&generate[..], &generated].concat()).succeeded();
    let all = place.read("all.ndjson");
    let feed: Vec<&str> = all.lines().filter(|line| line.contains("\"center.event\"")).collect();
    place.write("feed.ndjson", feed.join("\n"));
    place.write("project/data/reference/labs.csv", GENERATED);
    let run = place.counters(&[&ONCE[..], &["--as-of", "2026-03-30T00:00:00Z"]].concat());
    assert_eq!((count(&run, "refused"), count(&run, "dead_letters")), (0, 0), "{run}");
    let events: Vec<Value> =
        feed.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said = |name: &str| events.iter().filter(|event| event["center_event"] == name).count();
    let saves = said("saving_changes");
    assert!(saves > 8, "{saves} saves in four weeks of three laboratories");
    let rows = |condition: &str| {
        let sql = format!("SELECT count(*) FROM center_status WHERE {condition}");
        place.value("lake", &sql).as_u64().expect("a count") as usize
    };
    for name in ["starts_editing", "saving_changes", "db_prod_done", "change_timer_done"] {
        assert_eq!(rows(&format!("event = '{name}'")), said(name), "{name}");
    }
    let versions =
        "SELECT sum(v - 1) FROM (SELECT max(version) AS v FROM center_status GROUP BY lab_id)";
    assert_eq!(place.value("lake", versions), json!(saves));
}
