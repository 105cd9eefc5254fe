//! One record's fields before they enter the columns, and the rules that span fields.
//!
//! Both readers (`scan` and `careful`) fill a [`Row`]; [`Row::complete`] then decides alike for
//! both. Texts are not copied: a row points into the text that it was read from.

use crate::flow::event::EVENT_FIELDS;
use crate::flow::{Reason, Span, Timestamp};

use super::fields::{
    EVENT_TIME, EVENT_TYPE, FIELDS, LAB_ID, PRIORITY, PROCESSED_AT, RECEIVED_AT, REQUIRED_BY_STATE,
    REQUIRED_BY_STATUS, REQUIRED_BY_TYPE, SCHEMA_VERSION, SNAPSHOT, STATUS, TO_STATE, TRANSITION,
    bit,
};

/// Why a record is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The class.
    pub(super) reason: Reason,
    /// For a person; names fields, never values.
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: String) -> Fault {
        Fault { reason, detail }
    }
}

/// The limits that a row is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The latest instant that an event time may have.
    pub(super) latest: Timestamp,
    /// Whether a lab is known without `lab_id`.
    pub(super) has_default_lab: bool,
}

/// The fields of one record.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The known fields that the record names, also those that are null.
    pub(super) named: u64,
    /// The known fields that have a value.
    pub(super) present: u64,
    /// How many unknown fields the record names.
    pub(super) unknown: u32,
    /// A text's start in its source; an instant's or integer's bits; a number's bits; 0 or 1.
    pub(super) words: [u64; FIELDS],
    /// A text's length in bytes.
    pub(super) lengths: [u16; FIELDS],
    /// A word's place in its list.
    pub(super) codes: [u8; FIELDS],
}

impl Row {
    pub(super) fn new() -> Row {
        Row {
            named: 0,
            present: 0,
            unknown: 0,
            words: [0; FIELDS],
            lengths: [0; FIELDS],
            codes: [0; FIELDS],
        }
    }

    /// Forgets everything.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.named = 0;
        self.present = 0;
        self.unknown = 0;
    }

    #[inline(always)]
    pub(super) fn has(&self, field: usize) -> bool {
        self.present & bit(field) != 0
    }

    #[inline(always)]
    pub(super) fn set(&mut self, field: usize, word: u64) {
        self.present |= bit(field);
        self.words[field] = word;
    }

    /// `length` is within the field's limit, which is far below `u16::MAX`.
    #[inline(always)]
    pub(super) fn set_text(&mut self, field: usize, start: usize, length: usize) {
        self.set(field, start as u64);
        self.lengths[field] = length as u16;
    }

    /// A priority is stored by its first letter.
    #[inline(always)]
    pub(super) fn set_word(&mut self, field: usize, start: usize, length: usize, code: usize) {
        self.set_text(field, start, if field == PRIORITY { 1 } else { length });
        self.codes[field] = code as u8;
    }

    fn instant(&self, field: usize) -> i64 {
        self.words[field] as i64
    }

    /// Checks what spans fields and fills in what follows from other fields: the row form's event
    /// time, the schema version.
    #[inline(always)]
    pub(super) fn complete(&mut self, limits: Limits) -> Result<(), Fault> {
        let code = if self.has(EVENT_TYPE) { self.codes[EVENT_TYPE] as usize } else { SNAPSHOT };
        let mut required = REQUIRED_BY_TYPE[code];
        if code == SNAPSHOT && self.has(STATUS) {
            required |= REQUIRED_BY_STATUS[self.codes[STATUS] as usize];
        } else if code == TRANSITION && self.has(TO_STATE) {
            required |= REQUIRED_BY_STATE[self.codes[TO_STATE] as usize];
        }
        if limits.has_default_lab {
            required &= !bit(LAB_ID);
        }
        let missing = required & !self.present;
        if missing != 0 {
            return Err(missing_field(missing));
        }
        if code == SNAPSHOT {
            self.take_event_time_of_row_form(limits)?;
        } else if self.instant(EVENT_TIME) > limits.latest.0 {
            return Err(future(EVENT_TIME));
        }
        if !self.has(SCHEMA_VERSION) {
            self.set(SCHEMA_VERSION, 1);
        }
        Ok(())
    }

    #[inline(always)]
    fn take_event_time_of_row_form(&mut self, limits: Limits) -> Result<(), Fault> {
        let received = self.instant(RECEIVED_AT);
        if received > limits.latest.0 {
            return Err(future(RECEIVED_AT));
        }
        let mut event_time = received;
        if self.has(PROCESSED_AT) {
            event_time = self.instant(PROCESSED_AT);
            if event_time > limits.latest.0 {
                return Err(future(PROCESSED_AT));
            }
        }
        self.set(EVENT_TIME, event_time as u64);
        Ok(())
    }
}

#[cold]
fn missing_field(missing: u64) -> Fault {
    let name = EVENT_FIELDS[missing.trailing_zeros() as usize].0;
    Fault::new(Reason::MissingField, format!("`{name}` is required here and absent"))
}

#[cold]
fn future(field: usize) -> Fault {
    let name = EVENT_FIELDS[field].0;
    Fault::new(Reason::Future, format!("`{name}` lies too far after the record's own time"))
}

/// The latest event time that a record of this time may carry.
pub(super) fn latest(record_time: Timestamp, max_future: Span) -> Timestamp {
    record_time.plus(max_future)
}
