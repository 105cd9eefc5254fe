//! Days settle when the last of their windows has fired for the last time, wherever in the day
//! windows begin.

use std::collections::BTreeMap;
use std::path::Path;

use crate::timelines::case::{Arrival, arrival, instant};
use crate::timelines::found::Found;
use crate::timelines::world::{Log, Setting, World};

const PROJECT: &str = "tests/cases/settling/project";

/// Tests of 30 minutes each: when verified, the lab, when recorded.
fn log(tests: &[(&str, &str, &str)]) -> Log {
    let arrivals = tests.iter().enumerate().map(|(number, (verified, lab, recorded))| {
        arrival(&format!("p0 {verified} {lab} 30"), instant(recorded), number)
    });
    BTreeMap::from([(0, arrivals.collect::<Vec<Arrival>>())])
}

async fn begin(lake: &Path, now: &str) -> World {
    let setting = Setting::new(PROJECT, lake, 1, (instant(now), false));
    World::begin(Setting { appended: true, ..setting }).await
}

/// 2026-03-02T00:00Z is hour 492336 since 1970, which is 70333 times 7 and 5: windows of seven hours
/// begin at 16:00 and at 23:00, and the latter ends at six in the morning. The day is number 20514,
/// so one of two days begins with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_waits_for_windows_that_end_on_another() {
    let lake = tempfile::tempdir().expect("a temporary folder can be made");
    let world = begin(lake.path(), "60:00").await;
    let on_time = ["17:00", "23:30", "26:30", "27:00", "30:30", "33:00", "48:30"];
    let mut times: Vec<_> = on_time.iter().map(|time| (*time, "a", *time)).collect();
    // Late for the two days, and new in their first revision.
    times.extend([("47:00", "a", "48:31"), ("49:10", "a", "49:10"), ("52:00", "a", "52:00")]);
    world.deliver(&log(&times), &BTreeMap::new(), 1).await;
    let summary = world.stop().await;
    assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
    let found = Found(lake.path());
    let settled = found.settled();
    assert!(settled.contains(&"odd_7h 2026-03-02".to_owned()), "{settled:?}");
    assert!(settled.contains(&"odd_2d 2026-03-02".to_owned()), "{settled:?}");
    let told = |table: &str| -> Vec<String> {
        found.rows(table).into_iter().map(|row| row.text).collect()
    };
    let hours = told("odd_7h");
    let expected = ["16:00-23:00 a n=1 p50=30 p90=30", "23:00-30:00 a n=3 p50=30 p90=30"];
    assert_eq!(hours[..2], expected);
    let days = told("odd_2d");
    // Six by 48:00, and the late one.
    assert_eq!(days, ["00:00-48:00 r1 a n=7 p50=30 p90=30"]);
}

/// On 2 March it is 14:00 in London, where lab `a` is, when it is 06:00 in Los Angeles, where `b` is:
/// from 14:00 to 22:00 UTC both have a shift, of the same date.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_of_one_zone_takes_nothing_from_another() {
    let lake = tempfile::tempdir().expect("a temporary folder can be made");
    let world = begin(lake.path(), "22:55").await;
    let mut tests = vec![
        ("15:00", "a", "15:00"),
        ("16:00", "b", "16:00"),
        ("22:10", "a", "22:10"),
        ("17:00", "b", "22:11"),
        ("22:50", "a", "22:50"),
    ];
    world.deliver(&log(&tests), &BTreeMap::new(), 1).await;
    world.caught_up(&[]).await;
    let row = |text: &str| format!("14:00-22:00 {text} p50=30 p90=30");
    let told = || -> Vec<String> {
        let rows = Found(lake.path()).rows("work_shift").into_iter().map(|row| row.text);
        rows.filter(|text| text.starts_with("14:00-22:00")).collect()
    };
    let expected = [row("a n=1"), row("b n=1"), row("r1 a n=1"), row("r1 b n=2")];
    assert_eq!(told(), expected);
    // In Los Angeles the day's last shift ends at 38:00.
    world.clock(instant("40:05"));
    tests.push(("40:00", "a", "40:00"));
    world.deliver(&log(&tests), &BTreeMap::from([(0, 5)]), 1).await;
    let summary = world.stop().await;
    assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
    assert!(Found(lake.path()).settled().contains(&"work_shift 2026-03-02".to_owned()));
    std::fs::remove_dir_all(lake.path().join("live")).expect("it is there");
    assert_eq!(told(), [row("r1 a n=1"), row("r1 b n=2")]);
}
