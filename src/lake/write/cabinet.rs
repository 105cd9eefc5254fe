//! Parts of a section's objects → whole objects, once nothing can be added to them. Pure, but that
//! rows which wait may go to disk.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::parts::{Filed, FiledPart};
use crate::flow::Cut;
use crate::flow::lake_key::Section;
use crate::keep::held::Keeper;
use crate::keep::pile::Pile;

/// Raw bytes of dead letters per object at most, unless one alone has more: a record may be as long as
/// a batch, and offsets alone would let an object grow beyond what memory, or a column, holds.
const RAW_BYTES_PER_OBJECT: usize = 32 << 20;

/// Parts that wait for the rest of their object, by section, object and date.
#[derive(Default)]
pub struct Cabinet {
    waiting: BTreeMap<(Section, Cut, NaiveDate), Folder>,
}

/// Whether a letter goes into an object that holds so many bytes.
fn fits(held: usize, letter: usize) -> bool {
    held == 0 || held + letter <= RAW_BYTES_PER_OBJECT
}

/// The length of each letter's raw bytes.
fn raw_lengths(rows: &RecordBatch) -> Result<Vec<usize>> {
    let column = rows.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
    let length = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
    match column {
        Some(letters) => Ok(letters.iter().map(length).collect()),
        None => internal_err!("dead letters that are to be filed have no column `bytes`"),
    }
}

/// Each letter's offset.
fn offsets_of(rows: &RecordBatch) -> Result<Vec<i64>> {
    let column = rows.column_by_name("offset");
    match column.and_then(|column| column.as_primitive_opt::<Int64Type>()) {
        Some(offsets) => Ok(offsets.values().to_vec()),
        None => internal_err!("dead letters that are to be filed have no column `offset`"),
    }
}

/// What waits for one object.
#[derive(Default)]
pub struct Folder {
    /// The rows so far.
    pub rows: Pile,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// Raw bytes of the rows, where they have any.
    pub bytes: usize,
}

impl Folder {
    fn add(
        &mut self,
        (rows, keeper): (&RecordBatch, &mut Keeper),
        (first, last): (i64, i64),
        bytes: usize,
    ) -> Result<()> {
        (self.first, self.last) = match self.rows.is_empty() {
            true => (first, last),
            false => (self.first.min(first), self.last.max(last)),
        };
        self.bytes += bytes;
        self.rows.add(rows, keeper)
    }
}

/// An object that is complete.
pub struct Complete {
    /// The section of the lake.
    pub section: Section,
    /// The date.
    pub date: NaiveDate,
    /// Its rows and offsets.
    pub folder: Folder,
}

impl Cabinet {
    /// Takes in what a batch files; gives the objects that are complete.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written, or dead letters do not tell their offsets.
    pub fn add(&mut self, filed: Filed, keeper: &mut Keeper) -> Result<Vec<Complete>> {
        let mut complete = Vec::new();
        for part in filed.parts {
            match part.section {
                Section::DeadLetters => complete.extend(self.add_letters(&part, keeper)?),
                Section::Events
                | Section::Late
                | Section::Alerts
                | Section::Quality
                | Section::Audit => {
                    let key = (part.section, part.cut, part.date);
                    let folder = self.waiting.entry(key).or_default();
                    folder.add((&part.rows, keeper), (part.first, part.last), 0)?;
                }
            }
        }
        complete.extend(self.complete(filed.reached));
        Ok(complete)
    }

    /// Takes in dead letters, which are cut by their bytes as well: an object is complete before the
    /// letter that would make it too large. So where it is cut follows from the letters alone.
    fn add_letters(&mut self, part: &FiledPart, keeper: &mut Keeper) -> Result<Vec<Complete>> {
        let key = (part.section, part.cut, part.date);
        let lengths = raw_lengths(&part.rows)?;
        let offsets = offsets_of(&part.rows)?;
        let mut complete = Vec::new();
        let mut from = 0;
        while from < lengths.len() {
            let folder = self.waiting.entry(key).or_default();
            let (mut to, mut bytes) = (from, 0);
            while to < lengths.len() && fits(folder.bytes + bytes, lengths[to]) {
                bytes += lengths[to];
                to += 1;
            }
            if to > from {
                let range = (offsets[from], offsets[to - 1]);
                folder.add((&part.rows.slice(from, to - from), keeper), range, bytes)?;
            }
            if to < lengths.len() {
                complete.extend(self.take(key));
            }
            from = to;
        }
        Ok(complete)
    }

    /// Bytes held, but for what the keeper has.
    pub fn size(&self) -> usize {
        self.waiting.values().map(|folder| folder.rows.size()).sum()
    }

    /// The objects that are complete once nothing before a cut can follow.
    pub fn complete(&mut self, reached: Cut) -> Vec<Complete> {
        let done: Vec<_> =
            self.waiting.keys().filter(|(_, cut, _)| *cut < reached).copied().collect();
        done.into_iter().filter_map(|key| self.take(key)).collect()
    }

    /// Every object: the input has ended.
    pub fn finish(&mut self) -> Vec<Complete> {
        let keys: Vec<_> = self.waiting.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn take(&mut self, key: (Section, Cut, NaiveDate)) -> Option<Complete> {
        let folder = self.waiting.remove(&key)?;
        Some(Complete { section: key.0, date: key.2, folder })
    }
}
