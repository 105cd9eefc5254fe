//! An event of an entity: its key, its word, and the row that it came in.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use xxhash_rust::xxh3::Xxh3;

use crate::flow::coded::Codes;
use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::{EventWord, StateMachine};
use crate::lifecycle::stage::JudgedEvents;
use crate::lifecycle::waiting::Timed;
use crate::lifecycle::words::RowWords;

/// The most columns that a key may have.
pub const MOST_KEYS: usize = 4;

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
    /// The rows of this machine out of its batch.
    pub rows: Option<Arc<RecordBatch>>,
    /// Its row among these.
    pub row: u32,
    /// Its row in the batch that it came in.
    pub batch_row: u32,
    /// Which guards hold.
    pub guards: u32,
    /// What it asks for.
    pub word: EventWord,
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
    let keys = machine.spec.entity.iter().take(MOST_KEYS);
    let keys = keys.map(|name| events.rows.column_by_name(name).map(Codes::of).transpose());
    let keys: Vec<Option<Codes>> = keys.collect::<Result<_, _>>()?;
    let said = (0..events.rows.num_rows()).filter_map(|row| {
        let (word, _) = words.of_row(row)?;
        let (key, hash) = key(&keys, row)?;
        Some((row, word, key, hash))
    });
    let said: Vec<(usize, EventWord, Key, u128)> = said.collect();
    if said.is_empty() {
        return Ok(Vec::new());
    }
    let places: UInt32Array = said.iter().map(|(row, ..)| *row as u32).collect();
    let rows = Arc::new(take_record_batch(events.rows, &places)?);
    let versions = versions(events.rows);
    let step =
        |(number, (row, word, key, hash)): (usize, (usize, EventWord, Key, u128))| EntityStep {
            at: events.times[row],
            offset: events.offsets[row],
            watermark_before: events.watermark_before[row],
            hash,
            key,
            version: versions.filter(|all| all.is_valid(row)).map(|all| all.value(row)),
            rows: Some(Arc::clone(&rows)),
            row: number as u32,
            batch_row: row as u32,
            guards: guards(events.guards, row),
            word,
        };
    Ok(said.into_iter().enumerate().map(step).collect())
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
