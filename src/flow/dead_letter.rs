//! A record that could not become an event, kept with its bytes and the reason.

use std::sync::Arc;

use bytes::Bytes;

use super::{Partition, Timestamp};

/// Why a record is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not one JSON object in valid UTF-8.
    Malformed,
    /// A known field holds a value of another type.
    WrongType,
    /// A field that its event type requires is absent.
    MissingField,
    /// A field's value lies outside of its enumeration.
    UnknownValue,
    /// An id holds a control character.
    ControlCharacter,
    /// Longer than the field or the message may be.
    TooLong,
    /// A timestamp that does not exist or lies outside of the years 1970 to 9999.
    BadTimestamp,
    /// A timestamp too far after the record's own time.
    Future,
}

impl Reason {
    /// The reason's name in `dead_letters/` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::WrongType => "wrong_type",
            Reason::MissingField => "missing_field",
            Reason::UnknownValue => "unknown_value",
            Reason::ControlCharacter => "control_character",
            Reason::TooLong => "too_long",
            Reason::BadTimestamp => "bad_timestamp",
            Reason::Future => "future",
        }
    }
}

/// A record that could not become an event.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The partition it came on.
    pub partition: Arc<Partition>,
    /// Its offset there.
    pub offset: i64,
    /// The record's own Kafka timestamp (files: the run's `--as-of`).
    pub record_time: Timestamp,
    /// Why.
    pub reason: Reason,
    /// What exactly, for a person: the field, the value's kind, the place. Never the value of a
    /// field that could identify a patient.
    pub detail: String,
    /// The payload as it came.
    pub bytes: Bytes,
}
