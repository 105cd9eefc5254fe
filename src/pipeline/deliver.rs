//! Puts objects on the lake while the loop goes on: a bounded number at once, each encoded on a
//! core that is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::task::JoinSet;

use super::build::PipelinePlan;
use super::filed::Complete;
use super::journal::Journal;
use super::live::{LiveName, LiveObject};
use super::tables::Settled;
use crate::flow::lake_key::{
    Fingerprint, FiringKey, InputKey, LIVE, LakeKey, SafeName, Section, TABLES,
};
use crate::flow::{IdleAdvance, Offset, OutputBatch, Partition, Span, Timestamp, Window};
use crate::sink::lake::{ArchivedRun, ColumnNote, Lake, LakeError, ObjectNotes, PutOutcome};
use crate::window::OffsetsByPartition;

/// Objects that are being encoded or put at once: enough to keep a slow store busy, few enough
/// that their rows stay a fraction of memory.
const PUTS_AT_ONCE: usize = 8;
/// Clock time that live objects stay after their day has settled, for readers that have listed
/// them.
pub const GRACE: Span = Span::HOUR;

/// What a put was about, for its error.
type PutResult = (Option<String>, Result<PutOutcome, LakeError>);

/// Puts under way.
pub struct Delivery {
    lake: Lake,
    /// Where dead letters go, when not to the lake.
    dead_letters: Option<Lake>,
    /// The advances of idle partitions.
    pub journal: Journal,
    tables: BTreeMap<String, TableNotes>,
    puts: JoinSet<PutResult>,
    /// Live objects to delete once their grace has passed.
    leaving: Vec<(Timestamp, Vec<LakeKey>)>,
    live: BTreeMap<(String, chrono::NaiveDate), Vec<LakeKey>>,
    archived: BTreeMap<(Section, Arc<Partition>), Vec<ArchivedRun>>,
    /// Objects written, and found there already.
    pub objects: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Pipelines that were stopped, with the reason.
    pub stopped: BTreeMap<String, LakeError>,
}

/// What is known of a table's objects.
#[derive(Clone)]
struct TableNotes {
    pipeline: String,
    notes: ObjectNotes,
    /// Live objects are small and many: they say what they are, not what their columns mean.
    live_notes: ObjectNotes,
    fingerprint: Fingerprint,
}

impl Delivery {
    /// Deliveries to a lake for these pipelines.
    pub fn new(lake: Lake, dead_letters: Option<Lake>, pipelines: &[PipelinePlan]) -> Delivery {
        let mut tables = BTreeMap::new();
        for pipeline in pipelines {
            for table in pipeline.spec.tables() {
                tables.insert(table.clone(), TableNotes::of(pipeline, &table));
            }
        }
        Delivery {
            journal: Journal::new(lake.clone()),
            lake,
            dead_letters,
            tables,
            puts: JoinSet::new(),
            leaving: Vec::new(),
            live: BTreeMap::new(),
            archived: BTreeMap::new(),
            objects: 0,
            bytes: 0,
            stopped: BTreeMap::new(),
        }
    }

    /// Marks the lake as ours, and learns which input is in the archive already, so that a source that has grown is filed
    /// from where it ended. Gives the advances that earlier runs have journalled.
    pub async fn learn(
        &mut self,
        partitions: &[Arc<Partition>],
    ) -> Result<Vec<IdleAdvance>, LakeError> {
        for lake in [Some(&self.lake), self.dead_letters.as_ref()].into_iter().flatten() {
            lake.claim().await?;
        }
        let filed = [Section::Events, Section::Late, Section::DeadLetters, Section::Quality];
        for section in filed {
            let ranges = self.lake_of(section).list_ranges(section, partitions).await?;
            let by_section =
                ranges.into_iter().map(|(partition, runs)| ((section, partition), runs));
            self.archived.extend(by_section);
        }
        for object in self.lake.list(LIVE).await? {
            let Some(table) = object.key.table() else { continue };
            let table = self.tables.keys().find(|name| SafeName::of(name) == *table);
            if let Some(table) = table.cloned() {
                self.live.entry((table, object.key.date())).or_default().push(object.key);
            }
        }
        self.journal.read(partitions).await
    }

    fn lake_of(&self, section: Section) -> &Lake {
        match (section, &self.dead_letters) {
            (Section::DeadLetters, Some(elsewhere)) => elsewhere,
            (_, _) => &self.lake,
        }
    }

    /// Puts an object of a day that is not settled; those that it covers leave after their grace.
    pub async fn live(&mut self, object: LiveObject, now: Timestamp) -> Result<(), LakeError> {
        let Some(table) = self.tables.get(&*object.table) else { return Ok(()) };
        let (pipeline, fingerprint) = (table.pipeline.clone(), table.fingerprint);
        let (name, date) = (SafeName::of(&object.table), object.date);
        let (key, revision) = match object.name {
            LiveName::Firing(window, revision) => {
                let firing = FiringKey { table: name, window, revision, fingerprint };
                (LakeKey::Live { date, firing }, revision)
            }
            LiveName::Ends(ends) => (LakeKey::Ending { table: name, date, ends, fingerprint }, 0),
            LiveName::Rows(input) => (LakeKey::Rows { table: name, date, input, fingerprint }, 0),
        };
        let notes = noted(&table.live_notes, revision, object.origins);
        let day = self.live.entry((object.table.to_string(), date)).or_default();
        let (covered, mut stay): (Vec<LakeKey>, Vec<LakeKey>) =
            std::mem::take(day).into_iter().partition(|held| key.covers(held));
        if !stay.contains(&key) {
            stay.push(key.clone());
        }
        *day = stay;
        if !covered.is_empty() {
            self.leaving.push((now.plus(GRACE), covered));
        }
        self.put(Some(&pipeline), key, object.rows, notes).await
    }

    /// Puts a settled day; its live objects leave after their grace.
    pub async fn settled(&mut self, day: Settled, now: Timestamp) -> Result<(), LakeError> {
        let Some(table) = self.tables.get(&*day.table).cloned() else { return Ok(()) };
        let live = self.live.remove(&(day.table.to_string(), day.date)).unwrap_or_default();
        if !live.is_empty() {
            self.leaving.push((now.plus(GRACE), live));
        }
        let key = LakeKey::Settled { table: SafeName::of(&day.table), date: day.date, revision: 0 };
        let notes = noted(&table.notes, 0, day.origins);
        self.put(Some(&table.pipeline), key, vec![day.rows], notes).await
    }

    /// Puts an object of a section that is complete, but for what an earlier run has put.
    pub async fn filed(
        &mut self,
        partition: &Arc<Partition>,
        object: Complete,
    ) -> Result<(), LakeError> {
        let place = (object.section, Arc::clone(partition));
        let runs = self.archived.get(&place).map_or(&[][..], Vec::as_slice);
        let there = runs.iter().filter(|run| run.date == object.date);
        let reached = there
            .filter(|run| run.first <= object.folder.last && run.to > object.folder.first)
            .map(|run| run.to)
            .max();
        let (rows, first) = match reached {
            None => (object.folder.rows, object.folder.first),
            Some(to) if to > object.folder.last => return Ok(()),
            Some(to) => (from_offset(&object.folder.rows, position_of(object.section), to), to),
        };
        let input = InputKey::of(partition, Offset(first), Offset(object.folder.last));
        let key = LakeKey::Input { section: object.section, date: object.date, input };
        let notes =
            ObjectNotes { table: object.section.as_str().to_owned(), ..ObjectNotes::default() };
        self.put(None, key, rows, notes).await
    }

    /// Puts the alerts of one firing.
    pub async fn alerts(
        &mut self,
        fired: &OutputBatch,
        window: Window,
        rows: Vec<RecordBatch>,
    ) -> Result<(), LakeError> {
        let Some(table) = self.tables.get(&*fired.table) else { return Ok(()) };
        let firing = FiringKey {
            table: SafeName::of(&fired.table),
            window,
            revision: fired.revision,
            fingerprint: table.fingerprint,
        };
        let key = LakeKey::Aside { section: Section::Alerts, date: fired.date, firing };
        let notes = ObjectNotes { table: "alerts".to_owned(), ..ObjectNotes::default() };
        self.put(None, key, rows, notes).await
    }

    async fn put(
        &mut self,
        pipeline: Option<&str>,
        key: LakeKey,
        rows: Vec<RecordBatch>,
        notes: ObjectNotes,
    ) -> Result<(), LakeError> {
        if pipeline.is_some_and(|name| self.stopped.contains_key(name)) {
            return Ok(());
        }
        while self.puts.len() >= PUTS_AT_ONCE {
            self.finish_one().await?;
        }
        let section = match &key {
            LakeKey::Input { section, .. } | LakeKey::Aside { section, .. } => Some(*section),
            LakeKey::Settled { .. }
            | LakeKey::Live { .. }
            | LakeKey::Ending { .. }
            | LakeKey::Rows { .. } => None,
        };
        let lake = section.map_or(&self.lake, |section| self.lake_of(section)).clone();
        let pipeline = pipeline.map(str::to_owned);
        self.puts.spawn(async move { (pipeline, lake.put(&key, rows, notes).await) });
        Ok(())
    }

    /// Waits for one put. A conflict stops its pipeline; any other error is the run's.
    async fn finish_one(&mut self) -> Result<(), LakeError> {
        let Some(joined) = self.puts.join_next().await else { return Ok(()) };
        let (pipeline, outcome) = match joined {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Ok(()),
        };
        match (outcome, pipeline) {
            (Ok(PutOutcome::Written { bytes }), _) => {
                self.objects += 1;
                self.bytes += bytes as u64;
                metrics::counter!(crate::metrics::OBJECTS).increment(1);
                metrics::counter!(crate::metrics::OBJECT_BYTES).increment(bytes as u64);
            }
            (Ok(PutOutcome::AlreadyThere), _) => {}
            (Err(error @ LakeError::Conflict { .. }), Some(pipeline)) => {
                tracing::error!(%pipeline, "{error}; the pipeline is stopped");
                self.stopped.entry(pipeline).or_insert(error);
            }
            // Alerts record what became of their cards, which depends on the clock; late rows on
            // the pipelines that ran. The first to be put stands.
            (Err(LakeError::Conflict { key, .. }), None) => {
                tracing::debug!(%key, "already put with other rows; the first stands");
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// Waits for every put.
    pub async fn finish(&mut self) -> Result<(), LakeError> {
        while !self.puts.is_empty() {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// Takes in the puts that are done, without waiting.
    pub async fn poll(&mut self) -> Result<(), LakeError> {
        while self.puts.len() >= PUTS_AT_ONCE / 2 {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// Deletes live objects whose grace has passed.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<(), LakeError> {
        let (due, later) =
            std::mem::take(&mut self.leaving).into_iter().partition(|(at, _)| *at <= now);
        self.leaving = later;
        let due: Vec<(Timestamp, Vec<LakeKey>)> = due;
        for (_, keys) in due {
            self.lake.delete(&keys).await?;
        }
        Ok(())
    }

    /// Deletes every live object of days that have settled, whoever put it: nothing stays behind
    /// a run that ends.
    pub async fn sweep_all(&mut self) -> Result<(), LakeError> {
        self.leaving.clear();
        let ours: BTreeSet<SafeName> = self.tables.keys().map(|name| SafeName::of(name)).collect();
        let day = |key: &LakeKey| Some((key.table()?.clone(), key.date()));
        let live = self.lake.list(LIVE).await?;
        if live.is_empty() {
            return Ok(());
        }
        let settled = self.lake.list(TABLES).await?;
        let settled: BTreeSet<_> = settled.iter().filter_map(|object| day(&object.key)).collect();
        let gone = live.into_iter().map(|object| object.key).filter(|key| {
            day(key).is_some_and(|day| ours.contains(&day.0) && settled.contains(&day))
        });
        let gone: Vec<LakeKey> = gone.collect();
        if !gone.is_empty() {
            self.lake.delete(&gone).await?;
        }
        Ok(())
    }
}

impl TableNotes {
    fn of(pipeline: &PipelinePlan, table: &str) -> TableNotes {
        let columns = pipeline.spec.columns.iter().map(|(name, doc)| {
            let note = ColumnNote {
                description: doc.description.clone(),
                unit: doc.unit.clone(),
                additive: doc.additive,
            };
            (name.clone(), note)
        });
        let live_notes = ObjectNotes {
            table: table.to_owned(),
            sql_fingerprint: pipeline.fingerprint.clone(),
            ..ObjectNotes::default()
        };
        TableNotes {
            live_notes,
            pipeline: pipeline.spec.name.clone(),
            fingerprint: Fingerprint::of(&pipeline.fingerprint),
            notes: ObjectNotes {
                table: table.to_owned(),
                description: pipeline.spec.description.clone(),
                sql_fingerprint: pipeline.fingerprint.clone(),
                columns: columns.collect(),
                ..ObjectNotes::default()
            },
        }
    }
}

/// A table's notes for one object.
fn noted(notes: &ObjectNotes, revision: u32, origins: OffsetsByPartition) -> ObjectNotes {
    let offsets = origins.into_iter().map(|(partition, range)| (partition.as_ref().clone(), range));
    ObjectNotes { revision, offsets: offsets.collect(), ..notes.clone() }
}

/// The column that says where in the input a section's row was found.
fn position_of(section: Section) -> &'static str {
    match section {
        Section::Quality => "noticed_offset",
        Section::Events | Section::Late | Section::DeadLetters | Section::Alerts => "offset",
    }
}

/// The rows whose offset is at least `from`.
fn from_offset(batches: &[RecordBatch], position: &str, from: i64) -> Vec<RecordBatch> {
    use arrow::array::{AsArray, BooleanArray};
    use arrow::datatypes::Int64Type;
    let kept = batches.iter().filter_map(|rows| {
        let offsets = rows.column_by_name(position)?.as_primitive_opt::<Int64Type>()?;
        let keep: BooleanArray = offsets.iter().map(|offset| Some(offset? >= from)).collect();
        arrow::compute::filter_record_batch(rows, &keep).ok()
    });
    kept.collect()
}
