//! An event of an entity: its key, its word, and what else it says.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use xxhash_rust::xxh3::Xxh3;

use crate::flow::coded::Codes;
use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::{EventWord, StateMachine};
use crate::lifecycle::spec::{MOST_KEYS, WordSource};
use crate::lifecycle::stage::JudgedEvents;
use crate::lifecycle::waiting::Timed;
use crate::lifecycle::words::RowWords;
use crate::reference::{Target, published};

/// Which entity: its key's texts, in the order of the machine's `entity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    ids: [EntityId; MOST_KEYS],
    known: u8,
}

impl Key {
    /// A key column's text; none where the event had none.
    pub fn text(&self, column: usize) -> Option<&str> {
        (self.known >> column & 1 == 1).then(|| self.ids[column].text())
    }
}

/// What an event says beside its word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepSaid {
    /// Who did it.
    pub user: Option<Arc<str>>,
    /// The free text.
    pub reason: Option<Arc<str>>,
    /// Settings that it brings along.
    pub settings: SettingsSaid,
}

/// What an event says of settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SettingsSaid {
    /// Nothing.
    #[default]
    Nothing,
    /// What cannot be read.
    Unreadable,
    /// The laboratory's own targets, all of them.
    Targets(Arc<[Target]>),
}

/// One event of an entity.
#[derive(Clone, Debug, Default)]
pub struct EntityStep {
    /// Event time, microseconds.
    pub at: i64,
    /// The record's offset.
    pub offset: i64,
    /// The partition's watermark before it.
    pub watermark_before: i64,
    /// The key's 128-bit hash.
    pub hash: u128,
    /// The key.
    pub key: Key,
    /// The version that the event says to have seen.
    pub version: Option<i64>,
    /// What else it says.
    pub said: StepSaid,
    /// Its row in the batch that it came in.
    pub batch_row: u32,
    /// Which guards hold.
    pub guards: u32,
    /// What it asks for.
    pub word: EventWord,
    /// Whether its fate is told elsewhere: a table has counted its event by itself, or another machine
    /// has taken it.
    pub is_counted: bool,
}

impl Timed for EntityStep {
    fn at(&self) -> i64 {
        self.at
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn watermark_before(&self) -> i64 {
        self.watermark_before
    }
}

/// The steps of a batch's events that say something to the machine, in their order. An event without a
/// text in one of the key's columns is of no entity, but for the last columns, which may be missing.
pub fn steps(
    machine: &StateMachine,
    events: JudgedEvents<'_>,
) -> Result<Vec<EntityStep>, ArrowError> {
    let words = RowWords::of(machine, events.rows)?;
    let said = (0..events.rows.num_rows()).filter_map(|row| Some((row, words.of_row(row)?.0)));
    let said: Vec<(usize, EventWord)> = said.collect();
    if said.is_empty() {
        return Ok(Vec::new());
    }
    let codes = |name: &str| events.rows.column_by_name(name).map(Codes::of).transpose();
    let keys = machine.spec.entity.iter().take(MOST_KEYS).map(|name| codes(name));
    let keys: Vec<Option<Codes>> = keys.collect::<Result<_, _>>()?;
    let (users, reasons) = (codes("user")?, codes("reason")?);
    let text = |column: &Option<Codes>, row: usize| {
        column.as_ref().and_then(|column| column.text(row)).map(Arc::from)
    };
    let versions = versions(events.rows);
    let published = machine.spec.settings.as_ref().map(|_| codes("settings")).transpose()?;
    let published = published.flatten();
    let step = |(row, word): (usize, EventWord)| {
        let (key, hash) = key(&keys, row)?;
        Some(EntityStep {
            at: events.times[row],
            offset: events.offsets[row],
            watermark_before: events.watermark_before[row],
            hash,
            key,
            version: versions.filter(|all| all.is_valid(row)).map(|all| all.value(row)),
            said: StepSaid {
                user: text(&users, row),
                reason: text(&reasons, row),
                settings: settings_said(&published, row),
            },
            batch_row: row as u32,
            guards: guards(events.guards, row),
            word,
            is_counted: events.counted.is_some_and(|counted| counted[row]),
        })
    };
    Ok(said.into_iter().filter_map(step).collect())
}

/// The event's columns that entities of a machine are followed by, beside those that guards read.
pub fn columns(machine: &StateMachine) -> BTreeSet<String> {
    let words = machine.spec.events.iter().filter_map(|event| match &event.word {
        WordSource::Column(name) => Some(name.as_str()),
        WordSource::Says(_) => None,
    });
    let own = ["event_type", "event_time", "lab_id", "version", "user", "reason"];
    let entity = machine.spec.entity.iter().map(String::as_str);
    let settings = machine.spec.settings.iter().map(|_| "settings");
    own.into_iter().chain(words).chain(entity).chain(settings).map(str::to_owned).collect()
}

fn settings_said(column: &Option<Codes>, row: usize) -> SettingsSaid {
    match column.as_ref().and_then(|column| column.text(row)).map(published::targets) {
        None => SettingsSaid::Nothing,
        Some(Ok(targets)) => SettingsSaid::Targets(targets.into()),
        Some(Err(_)) => SettingsSaid::Unreadable,
    }
}

fn versions(rows: &RecordBatch) -> Option<&arrow::array::Int64Array> {
    rows.column_by_name("version").and_then(|column| column.as_any().downcast_ref())
}

fn key(columns: &[Option<Codes>], row: usize) -> Option<(Key, u128)> {
    let mut key = Key::default();
    let mut hash = Xxh3::new();
    for (at, column) in columns.iter().enumerate() {
        match column.as_ref().and_then(|column| column.text(row)) {
            Some(text) => {
                key.ids[at] = EntityId::new(text);
                key.known |= 1 << at;
                hash.update(text.as_bytes());
            }
            // The laboratory, and the first id below it, tell which entity.
            None if at < 2 => return None,
            None => {}
        }
        hash.update(&[0xff]);
    }
    Some((key, hash.digest128()))
}

fn guards(guards: &[BooleanArray], row: usize) -> u32 {
    let holds = |guard: &BooleanArray| guard.is_valid(row) && guard.value(row);
    guards.iter().enumerate().fold(0, |bits, (bit, guard)| bits | u32::from(holds(guard)) << bit)
}
