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
