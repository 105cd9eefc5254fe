//! Bad input gets a clear error and nothing is lost: a bad record is a dead letter beside the good
//! ones, a bad world is an error that says what to do, within a bounded time.

use serde_json::Value;

use crate::binary::{Place, Ran, count, unique};
use crate::kafka_to_s3::reach_s3;
use crate::own_project::sample;
use crate::servers;

/// Records put into the hand-made sample at line 5, and what should come of them.
struct Case {
    name: &'static str,
    lines: Vec<Vec<u8>>,
    /// Reason and part of the detail of each dead letter, in order.
    dead: &'static [(&'static str, &'static str)],
    /// Specimens completed beside N-1 and W-1, with their minutes.
    completed: &'static [(&'static str, Option<f64>)],
}

fn row(fields: &str) -> Vec<u8> {
    format!("{{\"lab_id\":\"lab-north\",\"specimen_id\":\"B\",\"assay\":\"K\",{fields}}}")
        .into_bytes()
}

fn cases() -> Vec<Case> {
    let long = "x".repeat(10_000_000);
    let done = "\"status\":\"COMPLETED\",\"received_at\":\"2026-03-02T08:00:00Z\"";
    let mut not_text = row(&format!("\"location\":\"@\",{done}"));
    let place = not_text.iter().position(|byte| *byte == b'@').expect("it is there");
    not_text[place] = 0xff;
    vec![
        Case {
            name: "ten_megabytes",
            lines: vec![
                row(&format!(
                    "\"note\":\"{long}\",{done},\"processed_at\":\"2026-03-02T08:40:00Z\""
                )),
                format!("{{\"note\":\"{long}\"").into_bytes(),
            ],
            dead: &[("malformed", "JSON")],
            completed: &[("B", Some(40.0))],
        },
        Case {
            name: "no_utf8",
            lines: vec![not_text],
            dead: &[("malformed", "UTF-8")],
            completed: &[],
        },
        Case {
            name: "year_20244",
            lines: vec![row(&format!("{done},\"processed_at\":\"20244-03-02T08:40:00Z\""))],
            dead: &[("bad_timestamp", "processed_at")],
            completed: &[],
        },
        Case {
            name: "negative_duration",
            lines: vec![row(&format!("{done},\"processed_at\":\"2026-03-02T07:50:00Z\""))],
            dead: &[],
            completed: &[("B", None)],
        },
        Case {
            name: "unknown_status",
            lines: vec![row("\"status\":\"MISLAID\",\"received_at\":\"2026-03-02T08:00:00Z\"")],
            dead: &[("unknown_value", "status")],
            completed: &[],
        },
        Case {
            name: "wrong_types",
            lines: vec![b"[1, 2]".to_vec(), b"{\"lab_id\": {\"a\": 1}}".to_vec(), b"null".to_vec()],
            dead: &[("", ""), ("", ""), ("", "")],
            completed: &[],
        },
    ]
}

const ONCE: [&str; 5] = ["run", "--once", "--json", "--no-archive", "--source"];

/// Runs a feed of these lines; their dead letters hold the bytes of their lines.
fn run(place: &Place, name: &str, lines: &[Vec<u8>]) -> (Value, Vec<Value>) {
    let (feed, lake) = (format!("{name}.ndjson"), format!("lake-{name}"));
    place.write(&feed, lines.join(&b'\n'));
    let source = format!("file:{feed}");
    let run = place.counters(&[&ONCE[..], &[&source, "--lake", &lake]].concat());
    assert_eq!(count(&run, "events_in"), lines.len() as u64, "{name}");
    let letters = "SELECT reason, detail, \"offset\" AS place, encode(bytes, 'hex') AS hex \
                   FROM dead_letters ORDER BY place";
    let letters = place.query(&lake, letters);
    assert_eq!(count(&run, "dead_letters"), letters.len() as u64, "{name}");
    for letter in &letters {
        let line = &lines[count(letter, "place") as usize];
        let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(letter["hex"] == hex.as_str(), "{name}: the letter holds other bytes");
    }
    (run, letters)
}

fn sample_lines() -> Vec<Vec<u8>> {
    let sample = sample();
    let lines = sample.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

#[test]
fn a_bad_record_is_a_dead_letter_and_the_rest_goes_on() {
    let place = Place::new();
    for case in cases() {
        let name = case.name;
        let mut lines = sample_lines();
        lines.splice(5..5, case.lines);
        let (_, letters) = run(&place, name, &lines);
        // The last line of the sample is a dead letter of its own.
        assert_eq!(letters.len(), case.dead.len() + 1, "{name}: {letters:?}");
        for (letter, (reason, detail)) in letters.iter().zip(case.dead) {
            let said = |field: &str| letter[field].as_str().unwrap_or_default().to_owned();
            assert!(said("reason").contains(reason), "{name}: {letter}");
            assert!(said("detail").contains(detail), "{name}: {letter}");
        }
        let done = "SELECT specimen_id, tat_minutes FROM completions ORDER BY specimen_id";
        let done: Vec<(Value, Option<f64>)> = place
            .query(&format!("lake-{name}"), done)
            .iter()
            .map(|row| (row["specimen_id"].clone(), row["tat_minutes"].as_f64()))
            .collect();
        let good = [("N-1", Some(35.0)), ("W-1", Some(48.0))];
        let expected: Vec<(Value, Option<f64>)> = case
            .completed
            .iter()
            .chain(&good)
            .map(|(id, minutes)| ((*id).into(), *minutes))
            .collect();
        assert_eq!(done, expected, "{name}");
    }
}

/// A writer was cut off in the last line: a dead letter with what there is of it. A last line that
/// lacks its newline alone is whole.
#[test]
fn a_truncated_last_line_is_kept() {
    let place = Place::new();
    let mut lines = sample_lines();
    let (whole, _) = run(&place, "whole", &lines);
    assert_eq!(count(&whole, "dead_letters"), 1);
    let last = lines.last_mut().expect("the sample has lines");
    last.truncate(last.len() - 20);
    let (_, letters) = run(&place, "cut", &lines);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "malformed");
    assert_eq!(count(&letters[0], "place"), 12);
}

#[test]
fn an_empty_file_is_no_error() {
    let place = Place::new();
    place.write("empty.ndjson", "");
    let run = place.counters(&[&ONCE[..], &["file:empty.ndjson", "--lake", "lake"]].concat());
    assert_eq!((count(&run, "events_in"), count(&run, "objects")), (0, 0));
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    let of = |source: &str| place.run(&[&ONCE[..], &[source, "--lake", "lake"]].concat());
    of("file:missing.ndjson").failed(2, &["`missing.ndjson`", "look at the path"]);
    of("file:missing-*.ndjson").failed(2, &["`missing-*.ndjson`", "look at the pattern"]);
    of("tape:drive").failed(2, &["tape"]);
}

#[test]
fn a_csv_with_a_wrong_header_is_refused() {
    let place = Place::new();
    place.write("wrong.csv", "specimen_id,assay,weight\n1,K,2\n");
    let remedy = ["`weight`", "`processed_at`", "--infer", "--map"];
    place.run(&["import", "wrong.csv", "--lab", "x", "--out", "file:o.ndjson"]).failed(2, &remedy);
    assert!(!place.path("o.ndjson").exists(), "no feed is left behind");
    place.write("map.yaml", "source: { timezone: UTC }\nfields:\n  specimen_id: tube\n  assay: assay\n  received_at: assay\n");
    let map = ["import", "wrong.csv", "--lab", "x", "--map", "map.yaml", "--out", "file:o.ndjson"];
    place.run(&map).failed(2, &["map.yaml:3:16", "`tube`", "weight"]);
}

#[test]
fn a_column_that_does_not_exist_is_named_with_its_place() {
    let place = Place::new();
    let yaml = "description: Slowest tests.\nwindows:\n  1h: { tumbling: { size: 1h } }\ngrain: [lab_id]\n";
    let sql = "-- One row per lab.\nSELECT c.lab_id,\n       max(c.tat_minuts) AS worst\nFROM completions AS c\nGROUP BY c.lab_id\n";
    place.write("project/pipelines/slowest.yaml", yaml);
    place.write("project/sql/marts/slowest.sql", sql);
    let told = ["slowest.sql:3:12", "tat_minuts", "tat_minutes"];
    let said = |ran: Ran| Ran { err: format!("{}{}", ran.out, ran.err), ..ran };
    said(place.run(&["check", "--project", "project"])).failed(2, &told);
    let run = ["--project", "project", "--lake", "lake"];
    said(place.run(&[&ONCE[..], &["file:feed.ndjson"], &run].concat())).failed(2, &told);
    assert!(!place.path("lake").exists(), "nothing ran");
}

#[test]
fn topics_without_records_and_without_existence() {
    let test = "bad_input::topics_without_records_and_without_existence";
    let Some(brokers) = servers::kafka(test) else { return };
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", &brokers);
    let empty = format!("kafka:{}", unique("empty"));
    let none = ["generate", "--profile", "demo", "--events", "0", "--out", &empty];
    place.run(&[&none[..], &["--partitions", "2"]].concat()).succeeded();
    let run = place.counters(&[&ONCE[..], &[&empty, "--lake", "lake"]].concat());
    assert_eq!((count(&run, "events_in"), count(&run, "objects")), (0, 0));
    let missing = unique("missing");
    let source = format!("kafka:{missing}");
    let ran = place.run(&[&ONCE[..], &[&source, "--lake", "lake"]].concat());
    ran.failed(2, &[&missing, &brokers, "create it"]);
}

/// Port 1 of this machine has no listener.
#[test]
fn an_unreachable_broker_is_named_in_bounded_time() {
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", "127.0.0.1:1");
    let started = std::time::Instant::now();
    let ran = place.run(&[&ONCE[..], &["kafka:events", "--lake", "lake"]].concat());
    ran.failed(1, &["127.0.0.1:1", "KAFKA_BROKERS"]);
    assert!(started.elapsed().as_secs() < 90, "{:?}", started.elapsed());
}

#[test]
fn an_unreachable_store_is_named_in_bounded_time() {
    let mut place = Place::new();
    reach_s3(&mut place, "http://127.0.0.1:1");
    place.write("feed.ndjson", sample());
    let started = std::time::Instant::now();
    let ran = place.run(&[&ONCE[..], &["file:feed.ndjson", "--lake", "s3://bucket/lake"]].concat());
    ran.failed(1, &["s3://bucket/lake", "Connection refused", "AWS_ENDPOINT"]);
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn a_missing_bucket_is_named() {
    let Some(s3) = servers::s3("bad_input::a_missing_bucket_is_named") else { return };
    let mut place = Place::new();
    reach_s3(&mut place, &s3);
    place.write("feed.ndjson", sample());
    let bucket = unique("missing");
    let lake = format!("s3://{bucket}/lake");
    let ran = place.run(&[&ONCE[..], &["file:feed.ndjson", "--lake", &lake]].concat());
    ran.failed(1, &[&bucket]);
}

/// On a file system of 200 KiB, in a mount namespace that ends with the script: the first run
/// fails and leaves only whole objects, and with room the next comes to what an undisturbed one has.
const FULL_DISK: &str = r#"
set -e
mount -t tmpfs -o size=200k tmpfs small
rc=0
"$0" run --once --source file:feed.ndjson --lake small/lake 2>said || rc=$?
echo "first $rc"
for file in $(find small -type f); do
    case $file in *.parquet) [ "$(tail -c 4 "$file")" = PAR1 ] || echo "torn $file" ;;
        */_turnaround/format) [ "$(cat "$file")" = '{"layout":2}' ] || echo "torn $file" ;;
        *) echo "left $file" ;; esac
done
mount -o remount,size=200m small
"$0" run --once --source file:feed.ndjson --lake small/lake 2>/dev/null
cp -r small/lake after
"#;

#[test]
fn a_full_disk_is_an_error_and_nothing_is_torn() {
    let place = Place::new();
    std::fs::create_dir(place.path("small")).expect("a folder can be made");
    let allowed =
        place.command("unshare").args(["-rm", "mount", "-t", "tmpfs", "t", "small"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        servers::cannot_run("bad_input::a_full_disk needs to mount a file system of its own");
        return;
    }
    let feed = ["generate", "--profile", "starter-kit", "--days", "1", "--out", "file:feed.ndjson"];
    place.run(&feed).succeeded();
    let mut command = place.command("unshare");
    command.args(["-rm", "sh", "-c", FULL_DISK, env!("CARGO_BIN_EXE_turnaround")]);
    let ran = Ran::of(command.output().expect("unshare runs")).succeeded();
    assert_eq!(ran.out, "first 1\n");
    let said = place.read("said");
    assert!(said.contains("no space left") && said.contains("small/lake"), "{said}");
    let whole = ["run", "--once", "--json", "--source", "file:feed.ndjson", "--lake", "whole"];
    place.counters(&whole);
    let names = |lake| {
        let objects = place.listing(lake).into_iter().map(|(name, bytes, _)| (name, bytes));
        objects.filter(|(name, _)| !name.starts_with("alerts/")).collect::<Vec<_>>()
    };
    assert_eq!(names("after"), names("whole"));
}
