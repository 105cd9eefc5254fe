//! A run of records' fields before they enter the columns, and the rules that span fields.
//!
//! Both readers (`scan` and `careful`) fill the [`OpenRow`] behind the rows that count; [`Block::keep`]
//! then decides alike for both whether it counts too. Until then it costs nothing to drop it.
//! Fields lie column by column, so that whole runs enter the columns at once.
//!
//! Texts are not copied: a row points into the batch's bytes, or, behind their end, into the
//! block's own buffer of texts that had to be unescaped.

use crate::flow::event::EVENT_FIELDS;
use crate::flow::{Reason, Timestamp};

use super::fields::{
    EVENT_TIME, EVENT_TYPE, LAB_ID, PRIORITY, PROCESSED_AT, RECEIVED_AT, REQUIRED_BY_STATE,
    REQUIRED_BY_STATUS, REQUIRED_BY_TYPE, SCHEMA_VERSION, SNAPSHOT, STATUS, TO_STATE, TRANSITION,
    bit,
};

/// Rows in a block: enough to share the cost of a run, few enough for the first-level cache.
pub(super) const ROWS: usize = 128;

/// Columns in a block: a power of two, so that an index into it is a mask.
pub(super) const COLUMNS: usize = 64;

/// Unescaped texts beyond this many bytes fill a block.
const MOST_UNESCAPED: usize = 1 << 20;

/// Why a record is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordFault {
    /// The class.
    pub(super) reason: Reason,
    /// For a person; names fields, never values.
    pub(super) detail: String,
}

impl RecordFault {
    pub(super) fn new(reason: Reason, detail: String) -> RecordFault {
        RecordFault { reason, detail }
    }
}

/// The limits that a row is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLimits {
    /// The latest instant that an event time may have.
    pub(super) latest: Timestamp,
    /// Whether a lab is known without `lab_id`.
    pub(super) has_default_lab: bool,
}

/// The rows of a run, the current one behind them.
#[derive(Debug)]
pub(super) struct Block {
    /// By field, then by row: a text's place, the bits of an instant, an integer or a number, or a
    /// truth.
    words: Box<[[u64; ROWS]; COLUMNS]>,
    /// By row: the fields that have a value.
    present: [u64; ROWS],
    /// How many rows count.
    rows: usize,
    /// The length of the batch, where `unescaped` begins.
    base: usize,
    /// Texts that do not stand in the batch as they are.
    pub(super) unescaped: String,
}

/// The row that is being read. It counts once it is kept.
#[derive(Debug)]
pub(super) struct OpenRow<'a> {
    words: &'a mut [[u64; ROWS]; COLUMNS],
    at: usize,
    read: RowBeside,
}

/// What of a row does not lie in the block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowBeside {
    /// The fields that have a value.
    pub(super) present: u64,
    /// Words by their place in their lists.
    event_type: u8,
    status: u8,
    to_state: u8,
    /// How many unknown fields the record names.
    pub(super) unknown: u32,
}

impl Block {
    /// For a batch of so many bytes.
    pub(super) fn new(base: usize) -> Block {
        Block {
            words: Box::new([[0; ROWS]; COLUMNS]),
            present: [0; ROWS],
            rows: 0,
            base,
            unescaped: String::new(),
        }
    }

    /// A new row, the buffer for its unescaped texts, and the place of that buffer's start.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> (OpenRow<'_>, &mut String, usize) {
        let row =
            OpenRow { words: &mut self.words, at: self.rows % ROWS, read: RowBeside::default() };
        (row, &mut self.unescaped, self.base)
    }

    #[inline(always)]
    fn instant(&self, field: usize) -> i64 {
        self.words[field % COLUMNS][self.rows % ROWS] as i64
    }

    #[inline(always)]
    fn set(&mut self, read: &mut RowBeside, field: usize, word: u64) {
        read.present |= bit(field);
        self.words[field % COLUMNS][self.rows % ROWS] = word;
    }

    /// Makes the row that was just read count, if nothing that spans fields is wrong with it, with
    /// what follows from other fields filled in: the row form's event time, the schema version.
    /// The block must not be full.
    #[inline(always)]
    pub(super) fn keep(
        &mut self,
        mut read: RowBeside,
        limits: RecordLimits,
    ) -> Result<(), RecordFault> {
        let code = if read.has(EVENT_TYPE) { read.event_type as usize } else { SNAPSHOT };
        let mut required = REQUIRED_BY_TYPE[code];
        if code == SNAPSHOT && read.has(STATUS) {
            required |= REQUIRED_BY_STATUS[read.status as usize];
        } else if code == TRANSITION && read.has(TO_STATE) {
            required |= REQUIRED_BY_STATE[read.to_state as usize];
        }
        if limits.has_default_lab {
            required &= !bit(LAB_ID);
        }
        let missing = required & !read.present;
        if missing != 0 {
            return Err(missing_field(missing));
        }
        if code == SNAPSHOT {
            self.take_event_time_of_row_form(&mut read, limits)?;
        } else if self.instant(EVENT_TIME) > limits.latest.0 {
            return Err(future(EVENT_TIME));
        }
        if !read.has(SCHEMA_VERSION) {
            self.set(&mut read, SCHEMA_VERSION, 1);
        }
        self.present[self.rows % ROWS] = read.present;
        self.rows += 1;
        Ok(())
    }

    #[inline(always)]
    fn take_event_time_of_row_form(
        &mut self,
        read: &mut RowBeside,
        limits: RecordLimits,
    ) -> Result<(), RecordFault> {
        let received = self.instant(RECEIVED_AT);
        if received > limits.latest.0 {
            return Err(future(RECEIVED_AT));
        }
        let mut event_time = received;
        if read.has(PROCESSED_AT) {
            event_time = self.instant(PROCESSED_AT);
            if event_time > limits.latest.0 {
                return Err(future(PROCESSED_AT));
            }
        }
        self.set(read, EVENT_TIME, event_time as u64);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.rows == ROWS || self.unescaped.len() > MOST_UNESCAPED
    }

    /// The rows that count.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Of each row that counts, the fields that have a value.
    pub(super) fn present(&self) -> &[u64] {
        &self.present[..self.rows]
    }

    /// The field's words of the rows that count.
    pub(super) fn words(&self, field: usize) -> &[u64] {
        &self.words[field % COLUMNS][..self.rows]
    }

    /// The texts that this block's rows point to, in a batch of `bytes`.
    pub(super) fn texts<'a>(&'a self, bytes: &'a [u8]) -> Texts<'a> {
        Texts { bytes, unescaped: self.unescaped.as_bytes() }
    }

    /// Forgets the rows.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.unescaped.clear();
    }
}

impl OpenRow<'_> {
    #[inline(always)]
    pub(super) fn set(&mut self, field: usize, word: u64) {
        self.read.present |= bit(field);
        self.words[field % COLUMNS][self.at % ROWS] = word;
    }

    /// A text of the batch's bytes, within its field's limit.
    #[inline(always)]
    pub(super) fn set_text(&mut self, field: usize, start: usize, length: usize) {
        self.set(field, Text { start, length }.to_word());
    }

    /// A text that is the word `code` of the field's list. A priority is kept by its first letter.
    #[inline(always)]
    pub(super) fn set_coded(&mut self, field: usize, start: usize, length: usize, code: usize) {
        let kept = if field == PRIORITY { 1 } else { length };
        self.set_text(field, start, kept);
        match field {
            EVENT_TYPE => self.read.event_type = code as u8,
            STATUS => self.read.status = code as u8,
            TO_STATE => self.read.to_state = code as u8,
            _ => {}
        }
    }

    pub(super) fn count_unknown(&mut self) {
        self.read.unknown += 1;
    }

    /// The known fields that have a value so far.
    pub(super) fn present(&self) -> u64 {
        self.read.present
    }

    /// What was read.
    #[inline(always)]
    pub(super) fn end(self) -> RowBeside {
        self.read
    }
}

impl RowBeside {
    #[inline(always)]
    fn has(&self, field: usize) -> bool {
        self.present & bit(field) != 0
    }
}

/// Where a text stands: 48 bits of start, 16 of length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Text {
    #[inline(always)]
    fn to_word(self) -> u64 {
        (self.start as u64) << 16 | self.length as u64
    }

    #[inline(always)]
    pub(super) fn of_word(word: u64) -> Text {
        Text { start: (word >> 16) as usize, length: (word & 0xffff) as usize }
    }
}

/// What a block's texts point into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    bytes: &'a [u8],
    unescaped: &'a [u8],
}

impl<'a> Texts<'a> {
    /// The text and what stands behind it.
    #[inline(always)]
    pub(super) fn from(self, text: Text) -> &'a [u8] {
        match self.bytes.get(text.start..) {
            Some(rest) if !rest.is_empty() => rest,
            Some(_) | None => &self.unescaped[text.start - self.bytes.len()..],
        }
    }

    #[inline(always)]
    pub(super) fn text(self, word: u64) -> &'a [u8] {
        let text = Text::of_word(word);
        &self.from(text)[..text.length]
    }
}

#[cold]
fn missing_field(missing: u64) -> RecordFault {
    let name = EVENT_FIELDS[missing.trailing_zeros() as usize].0;
    RecordFault::new(
        Reason::MissingField,
        format!("`{name}` is required here, and absent or blank"),
    )
}

#[cold]
fn future(field: usize) -> RecordFault {
    let name = EVENT_FIELDS[field].0;
    RecordFault::new(Reason::Future, format!("`{name}` lies too far after the record's own time"))
}
