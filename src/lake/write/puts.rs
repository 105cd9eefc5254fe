//! Objects that are encoded and put while the loop goes on: a bounded number at once, so that a store
//! that is slow or away holds the loop up, and with it the source.
//!
//! What became of each is looked at when it has ended: an object that cannot be put stops its pipeline
//! and nothing else. Nothing is dropped without a word: what has no pipeline is counted and told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use tokio::task::{JoinError, JoinSet};

use crate::flow::lake_key::{LIVE, LakeKey, SafeName, TABLES};
use crate::lake::{Lake, LakeError, ObjectNotes, PutOutcome, Rows};
use crate::metrics as names;

/// Objects that are being encoded or put at once: enough to keep a slow store busy, few enough
/// that their rows stay a fraction of memory.
const PUTS_AT_ONCE: usize = 8;
/// How often it is told what was not put.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A day of a table.
pub type Day = (SafeName, NaiveDate);

/// What an object is put for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    /// A pipeline's table. An object that cannot be put stops the pipeline.
    Pipeline(String),
    /// A pipeline's table, from input of which the beginning is gone: what stands under the
    /// object's name, computed from all of it, stands.
    RestOfInput(String),
    /// A section: what was put first stands.
    Section,
}

impl For {
    fn pipeline(&self) -> Option<&str> {
        match self {
            For::Pipeline(name) | For::RestOfInput(name) => Some(name),
            For::Section => None,
        }
    }
}

/// An object that is to be put.
#[derive(Debug)]
pub struct Object {
    /// What for.
    pub purpose: For,
    /// Under which name.
    pub key: LakeKey,
    /// Objects in whose place it stands, once it does.
    pub replaces: Vec<LakeKey>,
}

impl From<(For, LakeKey)> for Object {
    fn from((purpose, key): (For, LakeKey)) -> Object {
        Object { purpose, key, replaces: Vec::new() }
    }
}

/// What was put, and whether it was.
type Put = (Object, Result<PutOutcome, LakeError>);

/// Puts under way, and what became of those that have ended.
#[derive(Default)]
pub struct Puts {
    under_way: JoinSet<Put>,
    /// Objects written.
    pub objects: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Pipelines that were stopped, with the reason.
    pub stopped: BTreeMap<String, LakeError>,
    /// Days of which objects stand that would be others, were they computed from what is left.
    pub standing: BTreeSet<Day>,
    /// Objects without a pipeline that were not put.
    pub refused: u64,
    /// Objects in whose place others stand.
    replaced: Vec<LakeKey>,
    untold: BTreeMap<&'static str, (u64, String)>,
    told: Option<Instant>,
    /// What had not been put when the run was stopped, and why.
    due: Vec<LakeKey>,
    reason: String,
}

impl Puts {
    /// Begins to put an object; waits for room first.
    pub async fn put(
        &mut self,
        lake: &Lake,
        object: impl Into<Object>,
        rows: Vec<RecordBatch>,
        notes: ObjectNotes,
    ) -> Result<(), LakeError> {
        self.put_rows(lake, object, Box::new(rows.into_iter().map(Ok)), notes).await
    }

    /// Like [`put`](Puts::put), of rows that come as they are asked for.
    pub async fn put_rows(
        &mut self,
        lake: &Lake,
        object: impl Into<Object>,
        rows: Rows,
        notes: ObjectNotes,
    ) -> Result<(), LakeError> {
        let object = object.into();
        if object.purpose.pipeline().is_some_and(|name| self.stopped.contains_key(name)) {
            return Ok(());
        }
        self.make_room(PUTS_AT_ONCE - 1).await?;
        let lake = lake.clone();
        self.under_way.spawn(async move {
            let outcome = lake.put_rows(&object.key, rows, notes).await;
            (object, outcome)
        });
        Ok(())
    }

    /// Takes out the objects in whose place others stand by now.
    pub fn take_replaced(&mut self) -> Vec<LakeKey> {
        std::mem::take(&mut self.replaced)
    }

    /// Takes in the puts that have ended, and more until at most half as many as may be are under way.
    pub async fn poll(&mut self) -> Result<(), LakeError> {
        while let Some(ended) = self.under_way.try_join_next() {
            self.take_in(ended)?;
        }
        self.make_room(PUTS_AT_ONCE / 2).await?;
        self.tell(TOLD_EVERY);
        Ok(())
    }

    /// Waits for every put. Where the run was stopped before all were done, the error says what is
    /// due.
    pub async fn finish(&mut self) -> Result<(), LakeError> {
        let mut failed = None;
        while let Some(outcome) = self.finish_one().await {
            match outcome {
                Ok(()) | Err(LakeError::Stopped { .. }) => {}
                Err(error) => failed = Some(failed.unwrap_or(error)),
            }
        }
        self.tell(Duration::ZERO);
        failed.map_or(Ok(()), Err)
    }

    /// What had not been put when the run was stopped: how many objects, the first, and why.
    pub fn due(&self) -> Option<(usize, &LakeKey, &str)> {
        self.due.first().map(|first| (self.due.len(), first, self.reason.as_str()))
    }

    async fn make_room(&mut self, at_most: usize) -> Result<(), LakeError> {
        while self.under_way.len() > at_most
            && let Some(outcome) = self.finish_one().await
        {
            outcome?;
        }
        Ok(())
    }

    /// Waits for one put; none when none is under way.
    async fn finish_one(&mut self) -> Option<Result<(), LakeError>> {
        let ended = self.under_way.join_next().await?;
        Some(self.take_in(ended))
    }

    /// What became of a put.
    fn take_in(&mut self, ended: Result<Put, JoinError>) -> Result<(), LakeError> {
        let (object, outcome) = match ended {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => return Err(LakeError::Interrupted { key: error.to_string() }),
            },
        };
        let Object { purpose, key, replaces } = object;
        // What an object that was not put was to replace is the only good copy.
        if outcome.is_ok() {
            self.replaced.extend(replaces);
        }
        let error = match outcome {
            Ok(PutOutcome::Written { bytes }) => {
                self.objects += 1;
                self.bytes += bytes as u64;
                metrics::counter!(names::OBJECTS).increment(1);
                metrics::counter!(names::OBJECT_BYTES).increment(bytes as u64);
                return Ok(());
            }
            Ok(PutOutcome::AlreadyThere) => return Ok(()),
            Err(error) => error,
        };
        if let LakeError::Stopped { reason, .. } = &error {
            self.reason.clone_from(reason);
            self.due.push(key);
            return Err(error);
        }
        if !error.is_of_object() {
            return Err(error);
        }
        metrics::counter!(names::LAKE_REFUSED, "section" => section_of(&key)).increment(1);
        match (purpose, error) {
            (For::RestOfInput(_), LakeError::Conflict { .. }) => {
                if let Some(day) = day_of(&key) {
                    self.stands(day);
                }
            }
            (For::Pipeline(name) | For::RestOfInput(name), error) => {
                tracing::error!(pipeline = %name, "{}; the pipeline is stopped", error.with_cause());
                self.stopped.entry(name).or_insert(error);
            }
            (For::Section, error) => self.refuse(&key, &error),
        }
        Ok(())
    }

    /// Notes, and tells once, that a day is left as objects of it stand.
    pub fn stands(&mut self, day: Day) {
        if self.standing.contains(&day) {
            return;
        }
        let (table, date) = &day;
        tracing::warn!(%table, %date, "objects of this day were computed from records that are gone \
            by now; they stand, and the day is not settled from what is left");
        self.standing.insert(day);
    }

    /// Alerts record what became of their cards, which depends on the clock; late rows on the
    /// pipelines that ran. The first to be put stands.
    fn refuse(&mut self, key: &LakeKey, error: &LakeError) {
        self.refused += 1;
        if !matches!(error, LakeError::Conflict { .. }) {
            tracing::error!(%key, "{}; its rows are not in the lake", error.with_cause());
        }
        let untold = self.untold.entry(section_of(key)).or_insert_with(|| (0, key.to_string()));
        untold.0 += 1;
    }

    fn tell(&mut self, after: Duration) {
        if self.untold.is_empty() || self.told.is_some_and(|told| told.elapsed() < after) {
            return;
        }
        self.told = Some(Instant::now());
        for (section, (objects, first)) in std::mem::take(&mut self.untold) {
            tracing::warn!(
                objects,
                "objects of `{section}/` are there already with other rows, or cannot be stored, \
                 `{first}` among them; what was put first stands"
            );
        }
    }
}

fn section_of(key: &LakeKey) -> &'static str {
    match key {
        LakeKey::Input { section, .. } | LakeKey::Aside { section, .. } => section.as_str(),
        LakeKey::Settled { .. } => TABLES,
        LakeKey::Live { .. } | LakeKey::Ending { .. } | LakeKey::Rows { .. } => LIVE,
    }
}

/// The day of a table that an object is of.
fn day_of(key: &LakeKey) -> Option<Day> {
    Some((key.table()?.clone(), key.date()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DurationSecondArray, Int64Array};

    use super::*;
    use crate::flow::lake_key::Section;
    use crate::flow::{Offset, Partition};

    fn rows(values: Vec<i64>) -> Vec<RecordBatch> {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        vec![RecordBatch::try_from_iter([("n", column)]).unwrap()]
    }

    /// Rows that the lake does not store.
    fn unstorable() -> Vec<RecordBatch> {
        let column: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
        vec![RecordBatch::try_from_iter([("wait", column)]).unwrap()]
    }

    fn settled(table: &str) -> LakeKey {
        LakeKey::Settled { table: SafeName::of(table), date: NaiveDate::default(), revision: 0 }
    }

    fn letters() -> LakeKey {
        let partition = Partition { topic: "t".into(), index: 0 };
        let input = crate::flow::lake_key::InputKey::of(&partition, Offset(0), Offset(9));
        LakeKey::Input { section: Section::DeadLetters, date: NaiveDate::default(), input }
    }

    async fn put(puts: &mut Puts, lake: &Lake, purpose: For, key: LakeKey, rows: Vec<RecordBatch>) {
        puts.put(lake, (purpose, key), rows, ObjectNotes::default()).await.unwrap();
        puts.finish().await.unwrap();
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_put_stops_its_pipeline_and_nothing_else() {
        let lake = Lake::in_memory();
        let mut puts = Puts::default();
        let of = |name: &str| For::Pipeline(name.to_owned());
        put(&mut puts, &lake, of("waits"), settled("waits"), unstorable()).await;
        put(&mut puts, &lake, of("counts"), settled("counts"), rows(vec![1])).await;
        put(&mut puts, &lake, of("counts"), settled("counts"), rows(vec![1])).await;
        assert_eq!(puts.stopped.keys().collect::<Vec<_>>(), ["waits"]);
        assert!(matches!(puts.stopped["waits"], LakeError::Encode { .. }));
        put(&mut puts, &lake, of("counts"), settled("counts"), rows(vec![2])).await;
        assert!(matches!(puts.stopped["counts"], LakeError::Conflict { .. }));
        put(&mut puts, &lake, of("counts"), settled("more"), rows(vec![3])).await;
        assert_eq!(puts.objects, 1, "nothing more is put for a pipeline that is stopped");
    }

    #[tokio::test]
    async fn what_is_replaced_leaves_when_what_replaces_it_stands() {
        let lake = Lake::in_memory();
        let mut puts = Puts::default();
        let object = |name: &str, key: &str| Object {
            purpose: For::Pipeline(name.to_owned()),
            key: settled(key),
            replaces: vec![settled(&format!("{key} live"))],
        };
        // Written, there already, of a type that is not stored, other rows, of a stopped pipeline.
        let turns = [
            (object("counts", "counts"), rows(vec![1]), 1),
            (object("counts", "counts"), rows(vec![1]), 1),
            (object("waits", "waits"), unstorable(), 0),
            (object("counts", "counts"), rows(vec![2]), 0),
            (object("counts", "more"), rows(vec![3]), 0),
        ];
        for (object, rows, expected) in turns {
            let said = format!("{object:?}");
            puts.put(&lake, object, rows, ObjectNotes::default()).await.unwrap();
            assert_eq!(puts.take_replaced(), [], "not before it has ended: {said}");
            puts.finish().await.unwrap();
            assert_eq!(puts.take_replaced().len(), expected, "{said}");
        }
    }

    #[tokio::test]
    async fn what_has_no_pipeline_is_counted() {
        let lake = Lake::in_memory();
        let mut puts = Puts::default();
        put(&mut puts, &lake, For::Section, letters(), rows(vec![1])).await;
        put(&mut puts, &lake, For::Section, letters(), rows(vec![1])).await;
        assert_eq!(puts.refused, 0);
        put(&mut puts, &lake, For::Section, letters(), rows(vec![2])).await;
        put(&mut puts, &lake, For::Section, letters(), Vec::new()).await;
        assert_eq!((puts.refused, puts.objects, puts.stopped.len()), (2, 1, 0));
    }

    #[tokio::test]
    async fn what_has_ended_is_known_at_the_next_poll() {
        let lake = Lake::in_memory();
        let mut puts = Puts::default();
        let of = For::Pipeline("waits".to_owned());
        puts.put(&lake, (of, settled("waits")), unstorable(), ObjectNotes::default())
            .await
            .unwrap();
        while puts.stopped.is_empty() {
            tokio::task::yield_now().await;
            puts.poll().await.unwrap();
        }
        assert_eq!(puts.stopped.keys().collect::<Vec<_>>(), ["waits"]);
    }

    #[tokio::test]
    async fn what_was_computed_from_more_stands() {
        let lake = Lake::in_memory();
        let mut puts = Puts::default();
        let rest = || For::RestOfInput("counts".to_owned());
        put(&mut puts, &lake, rest(), settled("counts"), rows(vec![1, 2])).await;
        put(&mut puts, &lake, rest(), settled("counts"), rows(vec![2])).await;
        assert!(puts.stopped.is_empty());
        assert!(puts.standing.contains(&(SafeName::of("counts"), NaiveDate::default())));
    }
}
