//! Timelines: what arrives when, and what stands on the lake then, by hand, as YAML in
//! `tests/cases/timelines/`.
//!
//! Each case is played three times with the real loop: step by step, one record per batch, with
//! its restarts; again from the earliest offset on an empty lake that holds the journal alone,
//! which must give the same objects, byte for byte; and to the end of the input. The form of the
//! cases is that of `timelines/case.rs`.

pub(crate) mod case;
pub(crate) mod found;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use turnaround::flow::Timestamp;
use turnaround::flow::lake_key::LakeKey;
use turnaround::pipeline::progress::Summary;

use crate::binary::repository;
use case::{Case, Expected, arrival, clock_face, instant};
use found::Found;
use world::{Log, World};

/// How long an object may take from the loop to the disk.
const PUT_PATIENCE: Duration = Duration::from_secs(20);

/// One test per case.
macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            play(stringify!($name));
        })*

        const CASES: &[&str] = &[$(stringify!($name)),*];
    };
}

cases! {
    all_idle_the_clock_closes_the_last_window
    a_closed_weekend_ends_at_the_live_edge
    a_closed_weekend_of_history_ends_in_the_silence_after_it
    a_lagging_silent_partition_holds_the_watermark_back
    a_late_row_revises_its_window
    a_late_row_without_lateness_is_filed
    a_machine_ahead_moves_nothing
    a_partition_without_any_record
    a_producer_ahead_of_the_clock_moves_nothing_beyond_now
    a_restart_without_idleness
    a_row_from_the_future_moves_nothing
    a_silent_partition_that_is_read_holds_nothing_back
    a_slow_partition_holds_the_watermark_back
    an_object_is_filed_within_the_hour_of_a_silence
    hopping_windows_miss_a_late_row_one_by_one
    idle_then_a_record_then_a_restart
    out_of_order_within_the_disorder
    revisions_of_hopping_windows_step_by_step
    silences_one_after_another
    the_clock_moves_time_never_beyond_now
    the_day_settles_while_all_are_idle
}

#[test]
fn every_case_is_played() {
    let folder = repository().join("tests/cases/timelines");
    let files = std::fs::read_dir(folder).expect("the cases are there");
    let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    let mut played = CASES.to_vec();
    played.sort_unstable();
    assert_eq!(names, played, "list each case in `cases!`");
}

fn play(name: &str) {
    let path = repository().join(format!("tests/cases/timelines/{name}.yaml"));
    let case = Case::parse(&std::fs::read_to_string(path).expect("the case is there"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("threads can be started").block_on(async {
        let lake = tempfile::tempdir().expect("a temporary folder can be made");
        let (log, end) = step_by_step(&case, lake.path()).await;
        replay(&case, lake.path(), &log, end).await;
        to_the_end(&case, lake.path(), &log, end).await;
    });
}

/// Plays a case as it stands; gives all records, and the clock at the end.
async fn step_by_step(case: &Case, lake: &Path) -> (Log, Timestamp) {
    let mut log = Log::new();
    let mut now = instant(&case.steps[0].at);
    let mut world = World::start(lake, case.partitions, now, false).await;
    let mut number = 0;
    for step in &case.steps {
        now = instant(&step.at);
        let mut from: BTreeMap<i32, usize> =
            log.iter().map(|(index, records)| (*index, records.len())).collect();
        if step.restart {
            unharmed(world.stop().await);
            world = World::start(lake, case.partitions, now, false).await;
            world.deliver(&log, &BTreeMap::new(), usize::MAX).await;
        }
        world.clock(now);
        for text in &step.read {
            let record = arrival(text, now, number);
            number += 1;
            from.entry(record.partition).or_insert(0);
            log.entry(record.partition).or_default().push(record);
            // One by one, since the order between partitions is the case's.
            world.deliver(&log, &from, 1).await;
            from = log.iter().map(|(index, records)| (*index, records.len())).collect();
        }
        world.caught_up(&step.behind).await;
        if let Some(expected) = &step.expect.watermark {
            assert_eq!(&clock_face(world.watermark()), expected, "{}: at {}", case.about, step.at);
        }
        holds(&case.about, &format!("at {}", step.at), &step.expect, lake).await;
    }
    unharmed(world.stop().await);
    (log, now)
}

/// The same input on an empty lake that has the journal gives the same objects.
async fn replay(case: &Case, lake: &Path, log: &Log, now: Timestamp) {
    let again = tempfile::tempdir().expect("a temporary folder can be made");
    copy_journal(lake, again.path());
    let world = World::start(again.path(), case.partitions, now, false).await;
    world.deliver(log, &BTreeMap::new(), usize::MAX).await;
    world.caught_up(&[]).await;
    unharmed(world.stop().await);
    let folders = ["tables", "events", "late", "dead_letters", "quality", "live"];
    for folder in folders {
        let [first, second] = [lake, again.path()].map(|lake| {
            let mut objects = Found(lake).objects(folder);
            // Live objects of settled days leave; whether they have come depends on the clock.
            objects.retain(|name, _| !has_settled(lake, name));
            without_covered(objects)
        });
        let names = |objects: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
            objects.keys().filter(|name| !is_past(name, now)).cloned().collect()
        };
        let [first_names, second_names]: [Vec<String>; 2] = [names(&first), names(&second)];
        assert_eq!(second_names, first_names, "{}: a replay puts the same objects", case.about);
        assert!(second.keys().all(|name| first.contains_key(name)), "{}", case.about);
        let differs = |name: &&String| second.get(*name).is_some_and(|its| its != &first[*name]);
        let differ: Vec<&String> = first.keys().filter(differs).collect();
        assert!(differ.is_empty(), "{}: a replay gives other bytes: {differ:?}", case.about);
    }
}

/// The objects but those in whose place another stands: a replay need not put them.
fn without_covered(objects: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<LakeKey> = objects.keys().filter_map(|name| LakeKey::parse(name)).collect();
    let covered = |name: &String| {
        LakeKey::parse(name).is_some_and(|key| keys.iter().any(|other| other.covers(&key)))
    };
    objects.into_iter().filter(|(name, _)| !covered(name)).collect()
}

/// Whether an object is a live one of a day that is past: it comes where the input has rested, and a
/// replay does not rest.
fn is_past(name: &str, now: Timestamp) -> bool {
    name.starts_with("live/") && LakeKey::parse(name).is_some_and(|key| key.date() < now.date())
}

/// Whether the day of a live object has settled.
fn has_settled(lake: &Path, live: &str) -> bool {
    let day = live.strip_prefix("live/").and_then(|name| name.rsplit_once('/'));
    day.is_some_and(|(day, _)| lake.join("tables").join(day).exists())
}

/// The same input with the journal, run to its end.
async fn to_the_end(case: &Case, lake: &Path, log: &Log, now: Timestamp) {
    let ended = tempfile::tempdir().expect("a temporary folder can be made");
    copy_journal(lake, ended.path());
    let before = Found(ended.path()).objects("_turnaround");
    let world = World::start(ended.path(), case.partitions, now, true).await;
    unharmed(world.run_to_the_end(log).await);
    holds(&case.about, "finally", &case.finally, ended.path()).await;
    assert_eq!(Found(ended.path()).objects("_turnaround"), before, "the journal is input alone");
    for table in case.finally.tables.keys() {
        let [stream, batch] = [lake, ended.path()].map(|lake| Found(lake).rows(table));
        for row in stream {
            let mut same = batch.iter().filter(|other| other.window == row.window);
            let last = same.clone().map(|other| other.revision).max();
            let revised = last.is_some_and(|last| last > row.revision);
            assert!(revised || same.any(|other| *other == row), "{}: {row:?}", case.about);
        }
    }
}

fn unharmed(summary: Summary) {
    assert!(summary.stopped.is_empty(), "no pipeline is stopped: {:?}", summary.stopped);
}

fn copy_journal(from: &Path, to: &Path) {
    for (name, bytes) in Found(from).objects("_turnaround") {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().expect("it stands in a folder")).expect("writable");
        std::fs::write(path, bytes).expect("a temporary folder can be written");
    }
}

/// Compares with the lake until it holds, or fails.
async fn holds(about: &str, when: &str, expected: &Expected, lake: &Path) {
    let lake = Found(lake);
    let told = |what: &str| format!("{about}: {when}, {what}");
    for (table, rows) in &expected.tables {
        let found = || lake.rows(table).into_iter().map(|row| row.text).collect();
        comes_to(rows, found, told(table)).await;
    }
    if let Some(days) = &expected.settled {
        comes_to(days, || lake.settled(), told("settled")).await;
    }
    if let Some(late) = &expected.late {
        comes_to(late, || lake.late(), told("late")).await;
    }
    if let Some(letters) = &expected.dead_letters {
        comes_to(letters, || lake.dead_letters(), told("dead letters")).await;
    }
    if let Some(quality) = &expected.quality {
        comes_to(quality, || lake.quality(), told("quality")).await;
    }
    if let Some(journal) = &expected.journal {
        comes_to(journal, || lake.journal(), told("journal")).await;
    }
}

/// Puts go on while the loop does, so what is found may still be on its way.
async fn comes_to(expected: &[String], find: impl Fn() -> Vec<String>, told: String) {
    let mut expected = expected.to_vec();
    expected.sort();
    let begun = Instant::now();
    loop {
        let mut found = find();
        found.sort();
        if found == expected {
            return;
        }
        let waits = begun.elapsed() < PUT_PATIENCE;
        assert!(waits, "{told}:\nfound    {found:#?}\nexpected {expected:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
