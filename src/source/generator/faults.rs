//! What goes wrong with a record on its way, decided record by record.
//!
//! Each fault draws from a stream of its own. A spoilt record (malformed, unknown status, from
//! the future) is neither late nor repeated, so that each dead letter has one cause.

use super::dice::Dice;
use super::rates::FaultRates;
use super::render::Twist;

const LATE_S: (f64, f64) = (5.0 * 60.0, 60.0 * 60.0);
const REPEATED_AFTER_S: (f64, f64) = (1.0, 120.0);
const AHEAD_DAYS: (f64, f64) = (1.0, 400.0);

/// How many records and faults a feed held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records, faults included.
    pub events: u64,
    /// Records that arrived 5 to 60 minutes after they should have.
    pub late: u64,
    /// Records that arrived a second time.
    pub repeated: u64,
    /// Records that are not a JSON object.
    pub malformed: u64,
    /// Transitions that no state machine allows.
    pub refused: u64,
    /// Records stamped with the future.
    pub future: u64,
    /// Records with a field that nobody declared.
    pub unknown_field: u64,
    /// Records with an unknown state, status or event type.
    pub unknown_status: u64,
}

/// The fate of one record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordFate {
    pub(super) twist: Twist,
    pub(super) malformed: bool,
    /// Arrives so much later, in microseconds.
    pub(super) late_us: Option<i64>,
    /// Arrives again so much later, in microseconds.
    pub(super) again_us: Option<i64>,
}

impl Counters {
    /// Counts one record and what is wrong with it. Always true: the record has been told.
    pub(super) fn add(&mut self, marks: Counters) -> bool {
        self.events += 1;
        self.late += marks.late;
        self.repeated += marks.repeated;
        self.malformed += marks.malformed;
        self.refused += marks.refused;
        self.future += marks.future;
        self.unknown_field += marks.unknown_field;
        self.unknown_status += marks.unknown_status;
        true
    }
}

impl RecordFate {
    /// Whether the record, or a copy of it, has to wait.
    pub(super) fn is_held(&self) -> bool {
        self.late_us.is_some() || self.again_us.is_some()
    }

    /// What is wrong with the record, once.
    pub(super) fn marks(&self) -> Counters {
        Counters {
            late: u64::from(self.late_us.is_some()),
            malformed: u64::from(self.malformed),
            future: u64::from(self.twist.ahead_s != 0),
            unknown_field: u64::from(self.twist.unknown_field),
            unknown_status: u64::from(self.twist.unknown_status),
            ..Counters::default()
        }
    }
}

/// Decides what goes wrong.
#[derive(Clone, Debug)]
pub(super) struct GeneratorFaults {
    rates: FaultRates,
    late: Dice,
    repeated: Dice,
    malformed: Dice,
    refused: Dice,
    future: Dice,
    unknown_field: Dice,
    unknown_status: Dice,
}

impl GeneratorFaults {
    pub(super) fn new(rates: FaultRates, seed: u64) -> GeneratorFaults {
        let stream = |number: u64| Dice::new(seed, (3 << 32) | number);
        GeneratorFaults {
            rates,
            late: stream(1),
            repeated: stream(2),
            malformed: stream(3),
            refused: stream(4),
            future: stream(5),
            unknown_field: stream(6),
            unknown_status: stream(7),
        }
    }

    /// What happens to the next record.
    pub(super) fn judge(&mut self) -> RecordFate {
        let rates = self.rates;
        let mut verdict = RecordFate {
            malformed: hit(&mut self.malformed, rates.malformed),
            ..RecordFate::default()
        };
        let unknown_status = hit(&mut self.unknown_status, rates.unknown_status);
        let future = hit(&mut self.future, rates.future);
        let unknown_field = hit(&mut self.unknown_field, rates.unknown_field);
        let late = hit(&mut self.late, rates.late);
        let repeated = hit(&mut self.repeated, rates.repeated);
        if verdict.malformed {
            return verdict;
        }
        if unknown_status {
            verdict.twist.unknown_status = true;
            return verdict;
        }
        if future {
            let absurd = self.future.chance(0.5);
            let days = self.future.between(AHEAD_DAYS.0, AHEAD_DAYS.1);
            verdict.twist.ahead_s = if absurd { i64::MAX } else { (days * 86_400.0) as i64 };
            return verdict;
        }
        verdict.twist.unknown_field = unknown_field;
        if late {
            verdict.late_us = Some(seconds_us(&mut self.late, LATE_S));
        }
        if repeated {
            verdict.again_us = Some(seconds_us(&mut self.repeated, REPEATED_AFTER_S));
        }
        verdict
    }

    /// Whether a finished test is followed by a transition that must be refused.
    pub(super) fn refuse(&mut self) -> bool {
        hit(&mut self.refused, self.rates.refused)
    }

    /// Makes the record that begins at `start` something else than a JSON object. Never empty,
    /// never with a line feed.
    pub(super) fn spoil(&mut self, line: &mut Vec<u8>, start: usize) {
        let length = line.len().saturating_sub(start);
        let cut = start + (length as f64 * self.malformed.between(0.2, 0.9)) as usize;
        match self.malformed.below(4) {
            0 => line.truncate(cut.max(start + 1)),
            1 => {
                if let Some(byte) = line.get_mut(cut) {
                    *byte = 0xFF;
                }
            }
            2 => {
                line.truncate(start);
                line.extend_from_slice(b"NAK analyser interface restarted");
            }
            _ => {
                line.insert(start, b'[');
                line.push(b']');
            }
        }
    }
}

/// True with the fault's rate; draws nothing when there is none.
fn hit(dice: &mut Dice, rate: f64) -> bool {
    rate > 0.0 && dice.chance(rate)
}

/// Whole milliseconds, as Kafka's timestamps are, in microseconds.
fn seconds_us(dice: &mut Dice, (low, high): (f64, f64)) -> i64 {
    (dice.between(low, high) * 1000.0) as i64 * 1000
}
