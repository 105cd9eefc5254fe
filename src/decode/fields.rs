//! What decode knows of each field: its position, its kind, its words, and what it requires.
//!
//! Everything here is a constant computed from [`EVENT_FIELDS`] at compile time, so that a field
//! added there is known here. A set of fields is a `u64` with one bit per position.

use crate::flow::event::{EVENT_FIELDS, FieldKind};

/// How many fields an event has.
pub(super) const FIELDS: usize = EVENT_FIELDS.len();

const _: () = assert!(FIELDS <= 62, "a set of fields is a u64, with two positions to spare");

pub(super) const EVENT_ID: usize = position("event_id");
pub(super) const SCHEMA_VERSION: usize = position("schema_version");
pub(super) const EVENT_TYPE: usize = position("event_type");
pub(super) const LAB_ID: usize = position("lab_id");
pub(super) const EVENT_TIME: usize = position("event_time");
pub(super) const SPECIMEN_ID: usize = position("specimen_id");
pub(super) const ASSAY: usize = position("assay");
pub(super) const PRIORITY: usize = position("priority");
pub(super) const TO_STATE: usize = position("to_state");
pub(super) const FROM_STATE: usize = position("from_state");
pub(super) const STATUS: usize = position("status");
pub(super) const RECEIVED_AT: usize = position("received_at");
pub(super) const PROCESSED_AT: usize = position("processed_at");
pub(super) const REJECT_REASON: usize = position("reject_reason");
/// The one text that people write; all others are ids and codes.
pub(super) const REASON: usize = position("reason");

/// The event types; the first one is the default.
pub(super) const EVENT_TYPES: &[&str] = &[
    "specimen.snapshot",
    "specimen.transition",
    "order.created",
    "result.critical",
    "critical.notified",
    "critical.acknowledged",
    "result.repeat",
    "result.corrected",
    "instrument.state",
    "center.event",
    "qc.flag",
];
/// The row form, which is also what an absent `event_type` means.
pub(super) const SNAPSHOT: usize = 0;
/// The transition form.
pub(super) const TRANSITION: usize = 1;

/// The row form's statuses, the most frequent first.
pub(super) const STATUSES: &[&str] =
    &["COMPLETED", "RECEIVED", "IN_PROCESS", "ERROR", "REJECTED", "CANCELLED"];

/// The states of a test.
pub(super) const STATES: &[&str] = &[
    "RECEIVED",
    "IN_PROCESS",
    "RESULTED",
    "VERIFIED",
    "PUBLISHED",
    "ORDERED",
    "COLLECTED",
    "IN_TRANSIT",
    "STORED",
    "DISPOSED",
    "REJECTED",
    "CANCELLED",
    "ERROR",
    "INVALIDATED",
    "REFERRED",
    "LOST",
    "ABANDONED",
];

/// Priorities as they are read; what is stored is the first letter.
pub(super) const PRIORITIES: &[&str] = &["ROUTINE", "STAT", "ASAP", "R", "S", "A"];

/// What the value of a field must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueKind {
    /// Text of at most so many bytes.
    Text(usize),
    /// One of these words.
    Words(&'static [&'static str]),
    /// An RFC 3339 instant.
    Time,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
}

/// The kind of each field.
pub(super) static KINDS: [ValueKind; FIELDS] = {
    let mut kinds = [ValueKind::Time; FIELDS];
    let mut field = 0;
    while field < FIELDS {
        kinds[field] = match EVENT_FIELDS[field].1 {
            FieldKind::Text(limit) | FieldKind::Code(limit) => ValueKind::Text(limit),
            FieldKind::Time => ValueKind::Time,
            FieldKind::Int => ValueKind::Int,
            FieldKind::Float => ValueKind::Float,
            FieldKind::Bool => ValueKind::Bool,
        };
        field += 1;
    }
    kinds[EVENT_TYPE] = ValueKind::Words(EVENT_TYPES);
    kinds[PRIORITY] = ValueKind::Words(PRIORITIES);
    kinds[TO_STATE] = ValueKind::Words(STATES);
    kinds[FROM_STATE] = ValueKind::Words(STATES);
    kinds[STATUS] = ValueKind::Words(STATUSES);
    kinds
};

/// The fields that an event of each type requires.
pub(super) static REQUIRED_BY_TYPE: [u64; EVENT_TYPES.len()] = {
    let mut sets = [0; EVENT_TYPES.len()];
    let mut code = 0;
    while code < EVENT_TYPES.len() {
        let name = EVENT_TYPES[code];
        let mut set = bit(LAB_ID);
        set |= if code == SNAPSHOT { bit(RECEIVED_AT) | bit(STATUS) } else { bit(EVENT_TIME) };
        if code == TRANSITION {
            set |= bit(TO_STATE);
        }
        let result = starts_with(name, "result.") || starts_with(name, "critical.");
        if result || starts_with(name, "specimen.") {
            set |= bit(SPECIMEN_ID);
        }
        if result || same(name, "order.created") {
            set |= bit(ASSAY);
        }
        sets[code] = set;
        code += 1;
    }
    sets
};

/// The fields that the transition form requires beside, by `to_state`: the assay from IN_PROCESS
/// on (events of the tube carry none), the reason with REJECTED.
pub(super) static REQUIRED_BY_STATE: [u64; STATES.len()] = {
    let of_a_test = ["IN_PROCESS", "RESULTED", "VERIFIED", "PUBLISHED", "ERROR", "INVALIDATED"];
    required_by(STATES, &of_a_test)
};

/// The fields that the row form requires beside, by `status`.
pub(super) static REQUIRED_BY_STATUS: [u64; STATUSES.len()] =
    required_by(STATUSES, &["IN_PROCESS", "COMPLETED", "ERROR"]);

const fn required_by<const N: usize>(words: &[&str], of_a_test: &[&str]) -> [u64; N] {
    let mut sets = [0; N];
    let mut code = 0;
    while code < N {
        let mut i = 0;
        while i < of_a_test.len() {
            if same(words[code], of_a_test[i]) {
                sets[code] |= bit(ASSAY);
            }
            i += 1;
        }
        if same(words[code], "REJECTED") {
            sets[code] |= bit(REJECT_REASON);
        }
        code += 1;
    }
    sets
}

/// The set that holds one field.
pub(super) const fn bit(field: usize) -> u64 {
    1 << field
}

const SLOTS: usize = 256;
const FREE: u8 = u8::MAX;

/// Open addressing over the fields' names, at most a quarter full.
static SLOT_OF: [u8; SLOTS] = {
    let mut slots = [FREE; SLOTS];
    let mut field = 0;
    while field < FIELDS {
        let mut slot = slot_of(EVENT_FIELDS[field].0.as_bytes());
        while slots[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = field as u8;
        field += 1;
    }
    slots
};

const fn slot_of(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let (first, middle, last) = (name[0], name[name.len() / 2], name[name.len() - 1]);
    let mixed = name.len() * 7 + first as usize * 31 + middle as usize * 13 + last as usize * 3;
    mixed % SLOTS
}

/// The field of this name, if there is one.
pub(super) fn field_named(name: &[u8]) -> Option<usize> {
    let mut slot = slot_of(name);
    loop {
        let field = SLOT_OF[slot];
        if field == FREE {
            return None;
        }
        if EVENT_FIELDS[field as usize].0.as_bytes() == name {
            return Some(field as usize);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The fields that tell things apart: an id that says nothing names nothing, so it counts as absent.
/// Other texts are kept as they are.
pub(super) const IDS: u64 = {
    let (mut ids, mut field) = (bit(ASSAY), 0);
    while field < FIELDS {
        if ends_with(EVENT_FIELDS[field].0, "_id") {
            ids |= bit(field);
        }
        field += 1;
    }
    ids
};

/// Whether a text says nothing: no letter, digit or sign in it.
#[inline(always)]
pub(super) fn is_blank(text: &[u8]) -> bool {
    match text.first() {
        None => true,
        // Most begin with a letter or a digit.
        Some(first) if first.is_ascii_graphic() => false,
        Some(_) => is_space(text),
    }
}

#[cold]
fn is_space(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty())
}

/// The word's place in its list.
pub(super) fn word_code(words: &[&str], text: &[u8]) -> Option<usize> {
    words.iter().position(|word| word.as_bytes() == text)
}

const fn position(name: &str) -> usize {
    let mut field = 0;
    while field < FIELDS {
        if same(EVENT_FIELDS[field].0, name) {
            return field;
        }
        field += 1;
    }
    panic!("no such field")
}

const fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && starts_with(a, b)
}

const fn ends_with(text: &str, end: &str) -> bool {
    text.len() >= end.len() && same(text.split_at(text.len() - end.len()).1, end)
}

const fn starts_with(text: &str, start: &str) -> bool {
    let (text, start) = (text.as_bytes(), start.as_bytes());
    if text.len() < start.len() {
        return false;
    }
    let mut i = 0;
    while i < start.len() {
        if text[i] != start[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name_and_nothing_else_is() {
        for (field, (name, _)) in EVENT_FIELDS.iter().enumerate() {
            assert_eq!(field_named(name.as_bytes()), Some(field), "{name}");
        }
        for name in ["", "lab", "lab_id ", "LAB_ID", "event_idx", "ab", "\0"] {
            assert_eq!(field_named(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn requirements_are_those_of_the_event_table() {
        let code = |words, word: &str| word_code(words, word.as_bytes()).unwrap();
        let state = |word| REQUIRED_BY_STATE[code(STATES, word)];
        assert_eq!(state("RECEIVED"), 0);
        assert_eq!(state("VERIFIED"), bit(ASSAY));
        assert_eq!(state("REJECTED"), bit(REJECT_REASON));
        assert_eq!(REQUIRED_BY_STATUS[code(STATUSES, "COMPLETED")], bit(ASSAY));
        assert_eq!(
            REQUIRED_BY_TYPE[SNAPSHOT],
            bit(LAB_ID) | bit(SPECIMEN_ID) | bit(RECEIVED_AT) | bit(STATUS)
        );
        assert_eq!(
            REQUIRED_BY_TYPE[code(EVENT_TYPES, "critical.notified")],
            bit(LAB_ID) | bit(EVENT_TIME) | bit(SPECIMEN_ID) | bit(ASSAY)
        );
        assert_eq!(
            REQUIRED_BY_TYPE[code(EVENT_TYPES, "center.event")],
            bit(LAB_ID) | bit(EVENT_TIME)
        );
    }
}
