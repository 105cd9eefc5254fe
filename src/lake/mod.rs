//! Stage 7a: rows → immutable Parquet objects on object storage.
//!
//! The invariant: an object, once put, never changes. Every put is put-if-absent; an object that
//! is already there with the same rows is success, with other rows it is a [`LakeError::Conflict`].
//! So the same input may be written any number of times, by any number of processes.
//!
//! In come rows and names (`flow::lake_key`), out go objects; nothing is kept. This file is every verb of one
//! lake, over a `store` that may be away (`patience`, `error`); `encode` makes an object's bytes, with
//! `row_group`, `row_hash` and `pieces`; `section` is the schema of what is no table. `write` decides what a
//! run puts when and under which name; `read` reads a lake as tables.

// long because it is every verb of one store.

pub mod access;
pub mod cards;
pub mod encode;
pub mod error;
pub mod journal;
mod layout;
pub mod patience;
mod pieces;
pub mod read;
mod row_group;
pub mod row_hash;
pub mod section;
pub mod store;
pub mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::NaiveDate;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use tokio_util::sync::CancellationToken;

pub use encode::{ColumnNote, EncodeError, Encoded, ObjectNotes, Rows, RowsError};
pub use error::{LakeError, StoreKind};
pub use patience::{Patience, StoreReach};
pub use row_hash::{RowHash, RowHasher};
pub use store::{Purpose, Store};

use patience::StoreWait;

use crate::flow::lake_key::{DAY, InputKey, LIVE, LakeKey, SafeName, Section, TABLES};
use crate::flow::{Offset, OffsetRange, Partition, Timestamp};

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object was not there and is now.
    Written {
        /// Its size.
        bytes: usize,
    },
    /// The object was there with the same rows.
    AlreadyThere,
}

/// One of our objects, as a store lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: LakeKey,
    /// Its size in bytes.
    pub size: u64,
    /// When it was put, by the store's clock.
    pub put_at: Timestamp,
}

/// A run of input that is in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchivedRun {
    /// The day it is filed under.
    pub date: NaiveDate,
    /// The first offset within.
    pub first: i64,
    /// The first offset beyond.
    pub to: i64,
}

/// A lake that can be written. Clones share the store; every method may run concurrently.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Store,
    waiting: StoreWait,
}

/// Most footers fit, so that one request reads them.
const FOOTER_HINT_BYTES: usize = 64 * 1024;

impl Lake {
    /// Opens a lake for writing; see [`store::open`] for locations and settings.
    pub fn open(
        location: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Lake, LakeError> {
        Ok(Lake::new(store::open(location, environment, Purpose::Write)?))
    }

    /// A lake in an opened store, which waits for it as a person would.
    pub fn new(store: Store) -> Lake {
        let patience = Patience::For(first_patience(store.kind, store::WRITE_PATIENCE));
        Lake { store, waiting: StoreWait::new(patience) }
    }

    /// The lake as a run uses it: how long it waits for a store that is away, and when it stops
    /// waiting. A run that has no end waits without end once the store has answered.
    #[must_use]
    pub fn for_run(mut self, patience: Duration, endless: bool, stop: CancellationToken) -> Lake {
        let first = first_patience(self.store.kind, patience);
        let patience = if endless { Patience::Endless(first) } else { Patience::For(first) };
        self.waiting = StoreWait { reach: Arc::default(), patience, stop };
        self
    }

    /// Whether the store answers, for those who watch.
    pub fn reach(&self) -> Arc<StoreReach> {
        Arc::clone(&self.waiting.reach)
    }

    /// A lake in main memory, for tests.
    pub fn in_memory() -> Lake {
        let objects: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        Lake::new(Store {
            uploads: Arc::clone(&objects),
            objects,
            prefix: Path::default(),
            name: "memory".to_owned(),
            kind: StoreKind::Memory,
        })
    }

    /// The store, for readers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Encodes rows on a blocking thread and puts them, unless they are there already. `rows`
    /// holds at least one batch, maybe an empty one.
    pub async fn put(
        &self,
        key: &LakeKey,
        rows: Vec<RecordBatch>,
        notes: ObjectNotes,
    ) -> Result<PutOutcome, LakeError> {
        self.put_rows(key, Box::new(rows.into_iter().map(Ok)), notes).await
    }

    /// Like [`put`](Lake::put), of rows that come as they are asked for, on a blocking thread.
    pub async fn put_rows(
        &self,
        key: &LakeKey,
        rows: Rows,
        notes: ObjectNotes,
    ) -> Result<PutOutcome, LakeError> {
        let encoding = tokio::task::spawn_blocking(move || encode::encode_rows(rows, &notes));
        let encoded = match encoding.await {
            Ok(encoded) => encoded,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(LakeError::Interrupted { key: key.to_string() }),
            },
        };
        let encoded =
            encoded.map_err(|source| LakeError::Encode { key: key.to_string(), source })?;
        self.put_encoded(key, &encoded).await
    }

    /// Puts an encoded object, unless it is there already. A put that failed, or whose answer was
    /// lost, is tried again, which is harmless since it is conditional.
    pub async fn put_encoded(
        &self,
        key: &LakeKey,
        encoded: &Encoded,
    ) -> Result<PutOutcome, LakeError> {
        let (name, size) = (key.to_string(), encoded.size());
        let put = || self.try_put(key, encoded);
        self.waiting.persist_upload(&self.store.name, &name, size, put).await
    }

    /// Tries again what the store did not do; see [`Patience`].
    async fn persist<T, A>(&self, what: &str, attempt: impl FnMut() -> A) -> Result<T, LakeError>
    where
        A: Future<Output = Result<T, LakeError>>,
    {
        self.waiting.persist(&self.store.name, what, attempt).await
    }

    async fn try_put(&self, key: &LakeKey, encoded: &Encoded) -> Result<PutOutcome, LakeError> {
        let path = self.path(&key.to_string())?;
        let payload = PutPayload::from_iter(encoded.pieces.iter().cloned());
        let options = PutOptions::from(PutMode::Create);
        let longest = patience::longest_upload(encoded.size());
        let put = self.store.uploads.put_opts(&path, payload, options);
        let put = tokio::time::timeout(longest, put).await.unwrap_or_else(|_elapsed| {
            let source = format!("not done within {} s", longest.as_secs()).into();
            Err(object_store::Error::Generic { store: "upload", source })
        });
        match put {
            Ok(_) => Ok(PutOutcome::Written { bytes: encoded.size() }),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = self.row_hash(key, &path).await?;
                if there == Some(encoded.row_hash) {
                    Ok(PutOutcome::AlreadyThere)
                } else {
                    let store = self.store.name.clone();
                    Err(LakeError::Conflict { store, key: key.to_string() })
                }
            }
            Err(error) => Err(self.failed(format!("write `{key}`"), error)),
        }
    }

    /// The row hash in an object's footer; `None` when the footer has none.
    async fn row_hash(&self, key: &LakeKey, path: &Path) -> Result<Option<RowHash>, LakeError> {
        let objects = &self.store.objects;
        let action = || format!("read `{key}`");
        let size = match objects.head(path).await {
            Ok(meta) => meta.size,
            // A store may answer "conflict" while two puts race, though neither has won.
            Err(source @ object_store::Error::NotFound { .. }) => {
                return Err(LakeError::Unreachable {
                    store: self.store.name.clone(),
                    action: format!("write `{key}`"),
                    remedy: "another process writes the same object; start again",
                    source: source.into(),
                });
            }
            Err(error) => return Err(self.failed(action(), error)),
        };
        let footer = ParquetMetaDataReader::new()
            .with_prefetch_hint(Some(FOOTER_HINT_BYTES))
            .load_and_finish(RangeReads { objects, path }, size)
            .await
            .map_err(|source| self.unreadable(key, source))?;
        let entries = footer.file_metadata().key_value_metadata();
        let entry = entries.and_then(|all| all.iter().find(|e| e.key == encode::ROW_HASH_KEY));
        Ok(entry.and_then(|entry| entry.value.as_ref()?.parse().ok()))
    }

    fn unreadable(&self, key: &LakeKey, source: ParquetError) -> LakeError {
        match source {
            ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
                Ok(error) => self.failed(format!("read `{key}`"), *error),
                Err(cause) => self.not_ours(key, ParquetError::External(cause)),
            },
            source => self.not_ours(key, source),
        }
    }

    fn not_ours(&self, key: &LakeKey, source: ParquetError) -> LakeError {
        LakeError::Unreadable { store: self.store.name.clone(), key: key.to_string(), source }
    }

    /// The settled days of a table, in order.
    pub async fn settled_days(&self, table: &str) -> Result<Vec<Listed>, LakeError> {
        let table = SafeName::of(table);
        self.list(&format!("{TABLES}/{table}")).await
    }

    /// The live objects of one day of a table, in order.
    pub async fn live_objects(
        &self,
        table: &str,
        date: NaiveDate,
    ) -> Result<Vec<Listed>, LakeError> {
        let table = SafeName::of(table);
        self.list(&format!("{LIVE}/{table}/{DAY}{date}")).await
    }

    /// Every live object of a table, in order.
    pub async fn live_objects_of(&self, table: &str) -> Result<Vec<Listed>, LakeError> {
        let table = SafeName::of(table);
        self.list(&format!("{LIVE}/{table}")).await
    }

    /// Which runs of the partitions' input the archive, or another section, holds; in order. One
    /// listing for all of them.
    pub async fn list_ranges(
        &self,
        section: Section,
        partitions: &[Arc<Partition>],
    ) -> Result<BTreeMap<Arc<Partition>, Vec<ArchivedRun>>, LakeError> {
        let names: HashMap<(SafeName, u32), &Arc<Partition>> = partitions
            .iter()
            .map(|partition| {
                let InputKey { topic, index, .. } = InputKey::of(partition, Offset(0), Offset(0));
                ((topic, index), partition)
            })
            .collect();
        let mut runs: BTreeMap<Arc<Partition>, Vec<ArchivedRun>> = BTreeMap::new();
        for object in self.list(section.as_str()).await? {
            let LakeKey::Input { date, input, .. } = object.key else { continue };
            if let Some(partition) = names.get(&(input.topic.clone(), input.index)) {
                let run = archived_run(date, &input);
                runs.entry(Arc::clone(partition)).or_default().push(run);
            }
        }
        for runs in runs.values_mut() {
            runs.sort_by_key(|run| (run.first, run.to, run.date));
        }
        Ok(runs)
    }

    /// An object's bytes; `None` when it is gone, which is no outage and is not waited for.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, LakeError> {
        let path = self.path(name)?;
        let read = || async {
            let read = match self.store.objects.get(&path).await {
                Ok(found) => found.bytes().await,
                Err(error) => Err(error),
            };
            match read {
                Ok(bytes) => Ok(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failed(format!("read `{name}`"), error)),
            }
        };
        self.persist(name, read).await
    }

    /// The rows of an object; `None` when it is gone.
    pub async fn read(&self, key: &LakeKey) -> Result<Option<Vec<RecordBatch>>, LakeError> {
        let Some(bytes) = self.get(&key.to_string()).await? else { return Ok(None) };
        let decode = move || -> Result<Vec<RecordBatch>, ParquetError> {
            let rows = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        match tokio::task::spawn_blocking(decode).await {
            Ok(rows) => rows.map(Some).map_err(|source| self.not_ours(key, source)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(LakeError::Interrupted { key: key.to_string() }),
            },
        }
    }

    /// Our objects below a folder, by name. Others' files are passed over.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, LakeError> {
        let metas = self.list_names(folder).await?;
        let mut listed: Vec<(String, Listed)> = metas
            .into_iter()
            .filter_map(|(name, meta)| {
                let put_at = Timestamp(meta.last_modified.timestamp_micros());
                let key = LakeKey::parse(&name)?;
                Some((name, Listed { key, size: meta.size, put_at }))
            })
            .collect();
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(listed.into_iter().map(|(_, object)| object).collect())
    }

    /// Whatever stands below a folder, with its name relative to the lake, in no order.
    async fn list_names(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>, LakeError> {
        self.persist(folder, || self.try_list(folder)).await
    }

    async fn try_list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>, LakeError> {
        let prefix = self.path(folder)?;
        let depth = self.store.prefix.parts().count();
        let metas: Vec<_> = self
            .store
            .objects
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(|error| self.failed(format!("list `{folder}/`"), error))?;
        let named = metas.into_iter().map(|meta| {
            let parts: Vec<_> = meta.location.parts().skip(depth).collect();
            (parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/"), meta)
        });
        Ok(named.collect())
    }

    /// Deletes objects by their names; one that is gone already is no error. Returns how many were
    /// there. Not tried again: nothing depends on it.
    pub async fn delete(&self, keys: &[impl Display]) -> Result<usize, LakeError> {
        let names = keys.iter().map(|key| self.path(&key.to_string()));
        let paths: Vec<Path> = names.collect::<Result<_, _>>()?;
        let deleting = self.delete_paths(paths);
        self.waiting.unless_stopped(&self.store.name, "objects that are to go", deleting).await
    }

    async fn delete_paths(&self, paths: Vec<Path>) -> Result<usize, LakeError> {
        let paths = futures::stream::iter(paths).map(Ok).boxed();
        let mut outcomes = self.store.objects.delete_stream(paths);
        let mut deleted = 0;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) => deleted += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("delete objects".to_owned(), error)),
            }
        }
        Ok(deleted)
    }

    fn path(&self, name: &str) -> Result<Path, LakeError> {
        let whole = format!("{}/{name}", self.store.prefix);
        Path::parse(whole).map_err(|error| LakeError::BadLocation {
            location: format!("{}/{name}", self.store.name),
            problem: error.to_string(),
        })
    }

    fn failed(&self, action: String, error: object_store::Error) -> LakeError {
        self.store.failed(action, error)
    }
}

fn archived_run(date: NaiveDate, input: &InputKey) -> ArchivedRun {
    let OffsetRange { from, to } = input.offsets();
    ArchivedRun { date, first: from.0, to: to.0 }
}

/// Before a store has ever answered: a folder that cannot be used is wrong, not away.
fn first_patience(kind: StoreKind, patience: Duration) -> Duration {
    match kind {
        StoreKind::Local | StoreKind::Memory => Duration::ZERO,
        StoreKind::S3 | StoreKind::Azure | StoreKind::Google => patience,
    }
}

/// Reads parts of one object.
struct RangeReads<'a> {
    objects: &'a Arc<dyn ObjectStore>,
    path: &'a Path,
}

impl MetadataFetch for RangeReads<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let read = self.objects.get_range(self.path, range).await;
            read.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
