//! What is put when: firings, settled days, filed input, alerts; and what leaves again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::NaiveDate;

use super::archived::{Archived, OtherInput, SECTIONS, first_difference};
use super::cabinet::Complete;
use super::journal::Journal;
use super::leaving::Leaving;
use super::live::{LiveName, LiveObject};
use super::puts::{Day, For, Object, Puts};
use super::standing::Standing;
use super::{Settled, TableNotes, WriteError};
use crate::flow::Extents;
use crate::flow::lake_key::{FiringKey, InputKey, LIVE, LakeKey, SafeName, Section, TABLES};
use crate::flow::{IdleAdvance, Offset, OutputBatch, Partition, Span, Timestamp, Window};
use crate::keep::pile::Pile;
use crate::lake::{Lake, LakeError, ObjectNotes, Rows, RowsError};
use crate::window::OffsetsByPartition;

/// Clock time that live objects stay after their day has settled, for readers that have listed
/// them.
pub const GRACE: Span = Span::HOUR;

/// What a run delivers to its lake.
pub struct Delivery {
    lake: Lake,
    /// Where dead letters go, when not to the lake.
    dead_letters: Option<Lake>,
    /// The advances of idle partitions.
    pub journal: Journal,
    /// What is being put.
    pub puts: Puts,
    tables: BTreeMap<String, TableNotes>,
    leaving: Leaving,
    live: BTreeMap<Day, BTreeSet<LakeKey>>,
    /// Live objects that earlier runs have put.
    earlier: BTreeSet<LakeKey>,
    archived: Archived,
    standing: Standing,
}

impl Delivery {
    /// Deliveries of these tables, by name, to a lake.
    pub fn new(
        lake: Lake,
        dead_letters: Option<Lake>,
        tables: BTreeMap<String, TableNotes>,
    ) -> Delivery {
        Delivery {
            journal: Journal::new(lake.clone()),
            leaving: Leaving::new(lake.clone()),
            lake,
            dead_letters,
            puts: Puts::default(),
            tables,
            live: BTreeMap::new(),
            earlier: BTreeSet::new(),
            archived: Archived::default(),
            standing: Standing::default(),
        }
    }

    /// Marks the lake as ours, and learns what it holds: which input is in the archive already, so
    /// that a source that has grown is filed from where it ended; which days are settled; which live
    /// objects are to leave when theirs is. Gives the advances that earlier runs have journalled.
    pub async fn learn(
        &mut self,
        partitions: &[Arc<Partition>],
        extents: &Extents,
        now: Timestamp,
    ) -> Result<Vec<IdleAdvance>, WriteError> {
        for lake in [Some(&self.lake), self.dead_letters.as_ref()].into_iter().flatten() {
            lake.claim().await?;
        }
        for section in SECTIONS {
            let lake = self.lake_of(section).clone();
            self.archived.read(&lake, section, partitions).await?;
        }
        self.archived.check(extents)?;
        let mut settled = BTreeSet::new();
        for object in self.lake.list(TABLES).await? {
            if let LakeKey::Settled { table, date, .. } = object.key {
                settled.insert((table, date));
            }
        }
        let known: BTreeSet<SafeName> =
            self.tables.keys().map(|table| SafeName::of(table)).collect();
        let mut left_behind = Vec::new();
        for object in self.lake.list(LIVE).await? {
            let Some(table) = object.key.table() else { continue };
            let day = (table.clone(), object.key.date());
            if settled.contains(&day) {
                left_behind.push(object.key);
            } else if known.contains(&day.0) {
                self.live.entry(day).or_default().insert(object.key);
            }
        }
        self.leaving.add(now.plus(GRACE), left_behind);
        let begun = self.live.keys().cloned().collect();
        self.earlier = self.live.values().flatten().cloned().collect();
        self.standing = Standing::new(&self.archived, extents, settled, begun);
        Ok(self.journal.read(partitions, extents).await?)
    }

    fn lake_of(&self, section: Section) -> &Lake {
        match (section, &self.dead_letters) {
            (Section::DeadLetters, Some(elsewhere)) => elsewhere,
            (_, _) => &self.lake,
        }
    }

    /// Puts an object of a day that is not settled; those that it covers leave after their grace, once
    /// it stands. What would cover objects that cannot be computed again is left.
    pub async fn live(&mut self, object: LiveObject) -> Result<(), WriteError> {
        let Some(table) = self.tables.get(&*object.table).cloned() else {
            return Err(unknown(&object.table));
        };
        let fingerprint = table.fingerprint;
        let (name, date) = (SafeName::of(&object.table), object.date);
        let place = (name.clone(), date);
        let (key, revision) = match object.name {
            LiveName::Firing(window, revision) => {
                let firing = FiringKey { table: name, window, revision, fingerprint };
                (LakeKey::Live { date, firing }, revision)
            }
            LiveName::Ends(ends) => (LakeKey::Ending { table: name, date, ends, fingerprint }, 0),
            LiveName::Rows(input) => (LakeKey::Rows { table: name, date, input, fingerprint }, 0),
        };
        let held = self.live.entry(place.clone()).or_default();
        let covered: Vec<LakeKey> = held.iter().filter(|held| key.covers(held)).cloned().collect();
        let from_more = covered.iter().any(|held| self.earlier.contains(held));
        if from_more && self.standing.stays_live(&place) {
            self.puts.stands(place);
            return Ok(());
        }
        held.retain(|held| !covered.contains(held));
        held.insert(key.clone());
        let notes = noted(&table.live_notes, revision, object.origins);
        let purpose = self.purpose(&table, date);
        let put = Object { purpose, key, replaces: covered };
        Ok(self.puts.put_rows(&self.lake, put, rows_of(object.rows), notes).await?)
    }

    /// Puts a settled day; its live objects leave after their grace, once it stands. A day that stands as it is, or
    /// of which live objects stand that cannot be computed again, is left.
    pub async fn settled(&mut self, day: Settled, now: Timestamp) -> Result<(), WriteError> {
        let Some(table) = self.tables.get(&*day.table).cloned() else {
            return Err(unknown(&day.table));
        };
        let place = (SafeName::of(&day.table), day.date);
        if self.standing.may_differ(day.date) {
            // What becomes of its live objects says whether it can be settled.
            self.puts.finish().await?;
            if self.standing.stays_live(&place) {
                self.puts.stands(place);
                return Ok(());
            }
            if self.puts.standing.contains(&place) {
                return Ok(());
            }
        }
        let live = self.live.remove(&place).unwrap_or_default();
        let replaces: Vec<LakeKey> = live.into_iter().collect();
        if self.standing.is_settled(&place) {
            self.leaving.add(now.plus(GRACE), replaces);
            return Ok(());
        }
        let key = LakeKey::Settled { table: place.0, date: day.date, revision: 0 };
        let notes = noted(&table.notes, 0, day.origins);
        let purpose = self.purpose(&table, day.date);
        let rows = Box::new(day.rows.map(|rows| rows.map_err(RowsError::from)));
        let put = Object { purpose, key, replaces };
        Ok(self.puts.put_rows(&self.lake, put, rows, notes).await?)
    }

    fn purpose(&self, table: &TableNotes, date: NaiveDate) -> For {
        let pipeline = table.pipeline.clone();
        match self.standing.may_differ(date) {
            true => For::RestOfInput(pipeline),
            false => For::Pipeline(pipeline),
        }
    }

    /// Notes the time of a partition's first record.
    pub fn heard(&mut self, partition: &Arc<Partition>, record_time: Timestamp) {
        self.standing.heard(partition, record_time);
    }

    /// Whether a day is left as its live objects have it, and new windows are put beside them.
    pub fn stays_live(&self, table: &str, date: NaiveDate) -> bool {
        self.standing.stays_live(&(SafeName::of(table), date))
    }

    /// The first day of a table that is left so.
    pub fn first_staying_live(&self, table: &str) -> Option<NaiveDate> {
        self.standing.first_staying_live(&SafeName::of(table))
    }

    /// Puts an object of a section that is complete, but for what an earlier run has put.
    pub async fn filed(
        &mut self,
        partition: &Arc<Partition>,
        object: Complete,
    ) -> Result<(), WriteError> {
        if let Some(key) = self.archived.to_compare(partition, &object) {
            self.compare(partition, &object, &key).await?;
        }
        let (section, date) = (object.section, object.date);
        let rest = self.archived.rest(partition, object);
        let lake = self.lake_of(section).clone();
        for stretch in rest.map_err(|error| WriteError::of(section.as_str(), error))? {
            let input = InputKey::of(partition, Offset(stretch.first), Offset(stretch.last));
            let key = LakeKey::Input { section, date, input };
            let notes =
                ObjectNotes { table: section.as_str().to_owned(), ..ObjectNotes::default() };
            self.puts.put_rows(&lake, (For::Section, key), rows_of(stretch.rows), notes).await?;
        }
        Ok(())
    }

    /// Errs when the archive holds other records at the same offsets.
    async fn compare(
        &self,
        partition: &Arc<Partition>,
        object: &Complete,
        key: &LakeKey,
    ) -> Result<(), WriteError> {
        let theirs = match self.lake.read(key).await {
            Ok(Some(theirs)) => theirs,
            Ok(None) => {
                tracing::warn!(%key, "the object has left the archive; the source is not compared \
                    with it");
                return Ok(());
            }
            Err(error) if error.is_of_object() => {
                tracing::warn!(%key, "{}", error.with_cause());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let differs = object.folder.rows.load();
        let differs = differs.and_then(|ours| first_difference(&ours, &theirs));
        let differs = differs.map_err(|error| WriteError::of("events", error))?;
        let Some(offset) = differs else { return Ok(()) };
        let (topic, index) = (Arc::clone(&partition.topic), partition.index);
        Err(OtherInput::Differs { topic, index, offset, key: key.to_string() }.into())
    }

    /// Puts the alerts of one firing.
    pub async fn alerts(
        &mut self,
        fired: &OutputBatch,
        window: Window,
        rows: Vec<RecordBatch>,
    ) -> Result<(), WriteError> {
        let Some(table) = self.tables.get(&*fired.table) else {
            return Err(unknown(&fired.table));
        };
        let firing = FiringKey {
            table: SafeName::of(&fired.table),
            window,
            revision: fired.revision,
            fingerprint: table.fingerprint,
        };
        let key = LakeKey::Aside { section: Section::Alerts, date: fired.date, firing };
        let notes = ObjectNotes { table: "alerts".to_owned(), ..ObjectNotes::default() };
        Ok(self.puts.put(&self.lake, (For::Section, key), rows, notes).await?)
    }

    /// Where the run was stopped while the lake was away: the error that says what is due.
    pub fn due(&self) -> Option<LakeError> {
        let (objects, first, reason) = self.puts.due()?;
        let store = self.lake.store().name.clone();
        let due = match objects {
            1 => format!("`{first}` was put"),
            _ => format!("{objects} objects were put, `{first}` among them"),
        };
        Some(LakeError::Stopped { store, due, reason: reason.to_owned() })
    }

    /// Begins to delete live objects whose grace has passed; that of those in whose place others stand
    /// by now begins.
    pub fn sweep(&mut self, now: Timestamp) {
        self.leaving.add(now.plus(GRACE), self.puts.take_replaced());
        self.leaving.sweep(now);
    }

    /// Deletes every live object of days that have settled, whoever put it: nothing stays behind
    /// a run that ends, unless it cannot be deleted.
    pub async fn sweep_all(&mut self) {
        self.leaving.clear();
        if let Err(error) = self.try_sweep_all().await {
            metrics::counter!(crate::metrics::LAKE_UNDELETED).increment(1);
            tracing::warn!("live objects of settled days stay: {}", error.with_cause());
        }
    }

    async fn try_sweep_all(&self) -> Result<(), LakeError> {
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

/// Rows to put, read as they are asked for.
fn rows_of(rows: Pile) -> Rows {
    Box::new(rows.into_batches().map(|rows| rows.map_err(RowsError::from)))
}

/// A table that no pipeline has: a fault of ours, which must not lose rows in silence.
fn unknown(table: &str) -> WriteError {
    let error = datafusion::common::internal_datafusion_err!("no pipeline has the table `{table}`");
    WriteError::of(table, error)
}

/// A table's notes for one object.
fn noted(notes: &ObjectNotes, revision: u32, origins: OffsetsByPartition) -> ObjectNotes {
    let offsets = origins.into_iter().map(|(partition, range)| (partition.as_ref().clone(), range));
    ObjectNotes { revision, offsets: offsets.collect(), ..notes.clone() }
}
