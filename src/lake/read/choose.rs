//! Which of a lake's objects make up which table: of every window the highest revision, of two objects
//! for the same rows one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::error::LakeViewError;
use crate::flow::Window;
use crate::flow::lake_key::{FiringKey, InputKey, LIVE, LakeKey, SafeName, Section, TABLES};
use crate::flow::layout::{self, FORMAT, OtherLayout};

/// Whether the lake is marked as one of our layout. One without the mark has nothing or old names;
/// that is seen when it is listed.
pub(super) async fn refuse_other_layout(
    objects: &Arc<dyn ObjectStore>,
    prefix: &Path,
) -> Result<bool, LakeViewError> {
    let mark = FORMAT.split('/').fold(prefix.clone(), |path, part| path.join(part));
    match objects.get(&mark).await {
        Ok(found) => {
            let text = found.bytes().await.map_err(LakeViewError::List)?;
            layout::read(&text).map(|()| true).map_err(LakeViewError::OtherLayout)
        }
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(LakeViewError::List(error)),
    }
}

/// Lists our objects. Live ones first: a day that settles meanwhile is then seen twice, never
/// not at all, and settled wins.
pub(super) async fn list(
    objects: &Arc<dyn ObjectStore>,
    prefix: &Path,
) -> Result<Vec<(LakeKey, ObjectMeta)>, LakeViewError> {
    let sections = Section::ALL.iter().map(|section| section.as_str());
    let folders: Vec<&str> = [LIVE, TABLES].into_iter().chain(sections).collect();
    list_folders(objects, prefix, &folders).await
}

/// Lists our objects of some folders, in the order of these.
pub(super) async fn list_folders(
    objects: &Arc<dyn ObjectStore>,
    prefix: &Path,
    folders: &[&str],
) -> Result<Vec<(LakeKey, ObjectMeta)>, LakeViewError> {
    let depth = prefix.parts().count();
    let mut listed = Vec::new();
    for folder in folders {
        let folder = prefix.clone().join(*folder);
        let metas: Vec<ObjectMeta> =
            objects.list(Some(&folder)).try_collect().await.map_err(LakeViewError::List)?;
        for meta in metas {
            let parts: Vec<_> = meta.location.parts().skip(depth).collect();
            let name = parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/");
            if let Some(key) = LakeKey::parse(&name) {
                listed.push((key, meta));
            } else if layout::is_old(&name) {
                return Err(LakeViewError::OtherLayout(OtherLayout::Old));
            }
        }
    }
    Ok(listed)
}

/// Of two objects for the same rows, which one counts: the higher revision; computed by two
/// versions of the SQL, the one put later.
type Rank = (u32, chrono::DateTime<chrono::Utc>, Path);

/// The objects of each table and section.
pub type TableObjects = BTreeMap<String, Vec<TableObject>>;

/// An object of a table: what its name says, and what the store says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableObject {
    /// Its name, read.
    pub key: LakeKey,
    /// Where it stands, its size and when it was put.
    pub meta: ObjectMeta,
}

/// Which objects make up which table. Every section is there, maybe without objects.
pub(super) fn choose(listed: Vec<(LakeKey, ObjectMeta)>) -> TableObjects {
    let mut settled: BTreeMap<(SafeName, NaiveDate), (Rank, TableObject)> = BTreeMap::new();
    let mut live: BTreeMap<(SafeName, NaiveDate, LivePlace), (Rank, TableObject)> = BTreeMap::new();
    let mut tables: TableObjects =
        Section::ALL.iter().map(|section| (section.as_str().to_owned(), Vec::new())).collect();
    let rank = |revision, meta: &ObjectMeta| (revision, meta.last_modified, meta.location.clone());
    for (key, meta) in without_covered(listed) {
        let object = TableObject { key: key.clone(), meta };
        match key {
            LakeKey::Settled { table, date, revision } => {
                let rank = rank(revision, &object.meta);
                keep_higher(&mut settled, (table, date), rank, object);
            }
            LakeKey::Live { date, firing } => {
                let FiringKey { table, window, revision, .. } = firing;
                let rank = rank(revision, &object.meta);
                keep_higher(&mut live, (table, date, LivePlace::Window(window)), rank, object);
            }
            LakeKey::Ending { table, date, ends, .. } => {
                let rank = rank(0, &object.meta);
                keep_higher(&mut live, (table, date, LivePlace::Ends(ends)), rank, object);
            }
            LakeKey::Rows { table, date, input, .. } => {
                let rank = rank(0, &object.meta);
                keep_higher(&mut live, (table, date, LivePlace::Rows(input)), rank, object);
            }
            LakeKey::Input { section, .. } | LakeKey::Aside { section, .. } => {
                tables.entry(section.as_str().to_owned()).or_default().push(object);
            }
        }
    }
    let settled_days: BTreeSet<_> = settled.keys().cloned().collect();
    for ((table, _), (_, object)) in settled {
        tables.entry(table.as_str().to_owned()).or_default().push(object);
    }
    for ((table, date, _), (_, object)) in live {
        let day = (table, date);
        if !settled_days.contains(&day) {
            tables.entry(day.0.as_str().to_owned()).or_default().push(object);
        }
    }
    tables
}

/// What a live object holds: of two for the same place one counts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum LivePlace {
    Window(Window),
    Ends(Window),
    Rows(InputKey),
}

/// The objects but those live ones in whose place another stands.
fn without_covered(listed: Vec<(LakeKey, ObjectMeta)>) -> Vec<(LakeKey, ObjectMeta)> {
    let mut covering: BTreeMap<(SafeName, NaiveDate), Vec<LakeKey>> = BTreeMap::new();
    for (key, _) in &listed {
        if let LakeKey::Ending { table, date, .. } | LakeKey::Rows { table, date, .. } = key {
            covering.entry((table.clone(), *date)).or_default().push(key.clone());
        }
    }
    let covered = |key: &LakeKey| {
        let Some(table) = key.table() else { return false };
        let day = covering.get(&(table.clone(), key.date()));
        day.is_some_and(|day| day.iter().any(|other| other.covers(key)))
    };
    listed.into_iter().filter(|(key, _)| !covered(key)).collect()
}

fn keep_higher<K: Ord>(
    kept: &mut BTreeMap<K, (Rank, TableObject)>,
    place: K,
    rank: Rank,
    object: TableObject,
) {
    let higher = kept.get(&place).is_none_or(|(other, _)| *other < rank);
    if higher {
        kept.insert(place, (rank, object));
    }
}
