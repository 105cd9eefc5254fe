//! What stands on a lake when its input is not the one that it was filled from any more: the beginning
//! is gone, or the topic was made anew.

use std::collections::BTreeMap;
use std::time::Duration;

use turnaround::pipeline::RunError;
use turnaround::pipeline::progress::Summary;

use crate::faulty::Faulty;
use crate::timelines::case::{arrival, instant};
use crate::timelines::world::{Log, Setting, TIMELINES, World};

/// Two days; those after midnight let the first one settle.
const TIMES: [&str; 6] = ["09:02", "09:12", "09:23", "25:05", "26:10", "26:40"];

/// One test of lab `a` each, verified at these times and recorded then.
fn log(times: &[&str], specimens: usize) -> Log {
    let arrivals = times.iter().enumerate().map(|(number, time)| {
        arrival(&format!("p0 {time} a 30"), instant(time), specimens + number)
    });
    BTreeMap::from([(0, arrivals.collect())])
}

/// A run over records from `from` on, of a source that says where it begins, if it does.
async fn begin(store: &Faulty, once: bool, extents: &[(i32, i64, i64)]) -> World {
    // A stream runs while the day goes on: what is past is not written to `live/`.
    let (lake, now) = (store.lake(), instant(if once { "30:00" } else { "24:00" }));
    let (extents, lake_patience) = (extents.to_vec(), Duration::ZERO);
    let (project, partitions, appended) = (TIMELINES, 1, true);
    let setting =
        Setting { project, lake, partitions, now, once, extents, lake_patience, appended };
    World::begin(setting).await
}

async fn to_the_end(
    store: &Faulty,
    log: &Log,
    from: usize,
    extents: &[(i32, i64, i64)],
) -> Summary {
    let world = begin(store, true, extents).await;
    world.run_to_the_end_by(log, &BTreeMap::from([(0, from)]), usize::MAX).await
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_days_stand_when_the_beginning_of_their_input_is_gone() {
    let (store, log) = (Faulty::new(), log(&TIMES, 0));
    let first = to_the_end(&store, &log, 0, &[(0, 0, 6)]).await;
    assert!(first.stopped.is_empty(), "{:?}", first.stopped);
    let tables = store.contents("tables").await;
    assert!(tables.iter().any(|(name, _)| name.contains("day=2026-03-02")), "{tables:?}");
    // What happens to a source that does not say where it begins.
    let unknown = to_the_end(&store, &log, 2, &[]).await;
    assert!(!unknown.stopped.is_empty(), "part of a day gives other rows");
    let rest = to_the_end(&store, &log, 2, &[(0, 2, 6)]).await;
    assert!(rest.stopped.is_empty(), "{:?}", rest.stopped);
    assert!(store.contents("tables").await == tables, "the settled days are left as they stand");
}

/// The archive of the first day has expired, and begins later than the source: it does not tell that the
/// lake was filled from more than is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_has_expired_hides_nothing() {
    let (store, log) = (Faulty::new(), log(&TIMES, 0));
    to_the_end(&store, &log, 0, &[(0, 0, 6)]).await;
    let tables = store.contents("tables").await;
    store.expire("events/day=2026-03-02").await;
    assert!(!store.contents("events").await.is_empty(), "that of the second day stands");
    let rest = to_the_end(&store, &log, 2, &[(0, 2, 6)]).await;
    assert!(rest.stopped.is_empty(), "{:?}", rest.stopped);
    assert!(store.contents("tables").await == tables, "the settled days are left as they stand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_has_begun_stays_live_when_its_beginning_is_gone() {
    let (store, log) = (Faulty::new(), log(&TIMES, 0));
    let world = begin(&store, false, &[(0, 0, 3)]).await;
    let begun: Log = BTreeMap::from([(0, log[&0][..3].to_vec())]);
    world.deliver(&begun, &BTreeMap::new(), 1).await;
    world.stop().await;
    let live = store.contents("live").await;
    assert!(live.iter().any(|(name, _)| name.contains("/tat_10m/day=2026-03-02")), "{live:?}");
    assert_eq!(store.contents("tables").await, [], "nothing has settled");
    // The first window of the day cannot be computed any more, and nothing may take its place.
    let world = begin(&store, false, &[(0, 2, 6)]).await;
    world.deliver(&log, &BTreeMap::from([(0, 2)]), 1).await;
    let summary = world.stop().await;
    assert!(summary.stopped.is_empty(), "{:?}", summary.stopped);
    let tables = store.contents("tables").await;
    assert!(!tables.iter().any(|(name, _)| name.contains("day=2026-03-02")), "{tables:?}");
    let after = store.contents("live").await;
    assert!(live.iter().all(|object| after.contains(object)), "what stood stands");
    assert!(after.len() > live.len(), "and what is new is beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_refused() {
    let store = Faulty::new();
    to_the_end(&store, &log(&TIMES, 0), 0, &[(0, 0, 6)]).await;
    let shorter = begin(&store, false, &[(0, 0, 2)]).await.complains().await;
    assert!(matches!(shorter, RunError::OtherInput(_)), "{shorter}");
    let text = shorter.to_string();
    assert!(text.contains("ends at offset 2") && text.contains("up to 6"), "{text}");
    // As long, but with other specimens.
    let world = begin(&store, true, &[(0, 0, 6)]).await;
    world.hand_over(&log(&TIMES, 100), &BTreeMap::new());
    world.end();
    let differs = world.complains().await;
    assert!(matches!(differs, RunError::OtherInput(_)), "{differs}");
    let text = differs.to_string();
    assert!(text.contains("another record at offset 0") && text.contains("events/"), "{text}");
}
