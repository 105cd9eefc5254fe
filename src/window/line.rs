//! The line of a partition: its largest event time that is borne out. Its watermark trails the line
//! by `max_disorder`.
//!
//! A record more than `max_leap` ahead of the line is a leap, and so is a partition's first one. It
//! is judged and kept like any other but moves the line only when it is borne out, so that one wrong
//! clock makes nobody late:
//!
//! - by the broker, where that has stamped the record itself and at about the same time;
//! - by another witness: the line rises to the second largest of the witnesses' largest times. A
//!   witness is a machine of a laboratory; records without a machine are one witness together. One
//!   that was contradicted bears out only what it nearly agrees with, and the next that leaps takes
//!   its place: or a row of the year 9999 would bear out every wrong clock after it;
//! - by [`LONE_RECORDS`] leaps in a row, with no record before them in between;
//! - by the clock or a silence, which the judge decides ([`Line::lone`], [`Line::advance_to`]).
//!
//! Of all witnesses only one is remembered. When the line has risen to the second largest of their
//! largest times, no more than one of these lies beyond it; and what lies at or before it can be the
//! second largest no more without being at or before it. So memory does not grow with witnesses, and
//! the line is that of a definition which remembers them all.
//!
//! A leap that a later record contradicts is told ([`HeldBack`]). A record more than a month before the
//! line contradicts nothing: its own clock has stopped. All of this is a function of the
//! records and of the advances between them, not of how they are cut into batches. No clock.

use std::sync::Arc;

use crate::flow::{Span, Timestamp};

/// So many leaps in a row, with no record before them in between, bear each other out.
pub const LONE_RECORDS: usize = 1_000;

/// A month: what lies further apart than this is not taken for one stretch of time. Of a partition's
/// first records those so much older than the rest are not where it begins; and a table without any
/// row for so long expects nothing more, until rows come again.
pub const CONNECTED: Span = Span(31 * Span::DAY.0);

/// Records up to which what lies a month before the rest may be of clocks that have stopped.
const FEW_RECORDS: usize = 100;

/// Who says what time it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The laboratory.
    pub lab: Arc<str>,
    /// The machine; records without one are one witness of their laboratory.
    pub machine: Option<Arc<str>>,
}

/// What has to be known of a leap.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Whose record it is.
    pub witness: Witness,
    /// When the broker has taken it in, where the broker says so.
    pub appended_at: Option<Timestamp>,
}

/// A leap that a later record has contradicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Whose record it was.
    pub witness: Witness,
    /// Its offset.
    pub offset: i64,
    /// Its event time.
    pub event_time: Timestamp,
    /// The offset of the record that has contradicted it.
    pub noticed_at: i64,
    /// The line after that record.
    pub line: Timestamp,
    /// The watermark before that record.
    pub watermark: Timestamp,
}

/// Consecutive records of one partition. `see` is asked only about leaps, by row.
pub struct Records<'a> {
    /// Event times, microseconds.
    pub times: &'a [i64],
    /// Offsets.
    pub offsets: &'a [i64],
    /// What has to be known of a row that leaps.
    pub see: &'a dyn Fn(usize) -> Sighting,
}

/// What records were judged to be.
#[derive(Debug, Default)]
pub struct Seen {
    /// The watermark before each record, microseconds.
    pub before: Vec<i64>,
    /// Leaps that were contradicted.
    pub held_back: Vec<HeldBack>,
}

/// The line of one partition.
#[derive(Clone, Debug)]
pub struct Line {
    max_disorder: i64,
    max_leap: i64,
    lone_records: usize,
    /// Microseconds; `i64::MIN` before anything is borne out.
    at: i64,
    /// The one witness whose largest time may lie beyond the line.
    held: Option<HeldWitness>,
    /// Leaps since the last record that was none.
    run: LeapRun,
    begin: Begin,
}

/// A witness that has leapt.
#[derive(Clone, Debug)]
struct HeldWitness {
    witness: Witness,
    /// Its largest event time.
    time: i64,
    /// Whether a record has contradicted it since.
    doubted: bool,
}

/// Leaps in a row.
#[derive(Clone, Debug, Default)]
struct LeapRun {
    /// How many; at most [`LONE_RECORDS`].
    length: usize,
    /// The largest event time, of those since time last went back by more than `max_leap`.
    high: i64,
    /// Those of them that lie too far beyond the line, at most [`LONE_RECORDS`].
    leaps: Vec<Leap>,
}

#[derive(Clone, Debug)]
struct Leap {
    witness: Witness,
    offset: i64,
    time: i64,
}

/// Where a partition begins: its earliest event time before the line stood, without those that are
/// far older than the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Begin {
    range: Option<(i64, i64)>,
    /// Records since, that were no leaps; counted up to [`FEW_RECORDS`].
    records: usize,
}

impl Line {
    /// The line of a partition that has delivered nothing.
    pub fn new(max_disorder: Span, max_leap: Span) -> Line {
        Line {
            max_disorder: max_disorder.0.max(0),
            max_leap: max_leap.0.max(0),
            lone_records: LONE_RECORDS,
            at: i64::MIN,
            held: None,
            run: LeapRun::default(),
            begin: Begin::default(),
        }
    }

    /// How far the partition has surely come.
    pub fn watermark(&self) -> Timestamp {
        Timestamp(self.at.saturating_sub(self.max_disorder))
    }

    /// Where the line stands; [`Timestamp::MIN`] before anything is borne out.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.at)
    }

    /// Where the partition begins, once it has a record: nothing is expected of a time before.
    pub fn begin(&self) -> Option<Timestamp> {
        self.begin.range.map(|(earliest, _)| Timestamp(earliest))
    }

    /// How far the records since the last one that was no leap have come, if there are any: what
    /// nothing has contradicted, and nobody borne out.
    pub fn lone(&self) -> Option<Timestamp> {
        (self.run.length > 0).then_some(Timestamp(self.run.high))
    }

    /// Moves the watermark to `to` without a record. An advance contains those before it: the last
    /// one alone has the effect of all.
    pub fn advance_to(&mut self, to: Timestamp) {
        if to > self.watermark() {
            self.at = self.at.max(to.0.saturating_add(self.max_disorder));
            self.run.forget_before(self.limit());
        }
    }

    /// Takes in the records from row `from` on to row `to`.
    pub fn observe(&mut self, records: &Records<'_>, (from, to): (usize, usize), seen: &mut Seen) {
        seen.before.reserve(to.saturating_sub(from));
        if self.at != i64::MIN && from < to {
            self.begin.note_first(records.times[from]);
        }
        let mut row = from;
        while row < to {
            if records.times[row] > self.limit() {
                self.leap(records, row, seen);
                row += 1;
                continue;
            }
            let tells = records.times[row] >= self.at.saturating_sub(CONNECTED.0);
            if tells && !self.run.is_over() {
                let contradicts = (records.offsets[row], self.watermark());
                self.rise(records.times[row]);
                seen.before.push(contradicts.1.0);
                self.contradict(contradicts, seen);
                row += 1;
            }
            let first = row;
            row = self.observe_ordinary(records.times, (row, to), &mut seen.before);
            self.begin.count(row - first);
        }
    }

    /// Takes in records until one leaps; gives its row.
    fn observe_ordinary(
        &mut self,
        times: &[i64],
        (from, to): (usize, usize),
        before: &mut Vec<i64>,
    ) -> usize {
        let mut line = self.at;
        // Where leaps wait, the next record that contradicts them is not taken in here.
        let (doubts, tells) = (!self.run.is_over(), line.saturating_sub(CONNECTED.0));
        let mut row = from;
        for time in &times[from..to] {
            if *time > line.saturating_add(self.max_leap) || (doubts && *time >= tells) {
                break;
            }
            before.push(line.saturating_sub(self.max_disorder));
            line = line.max(*time);
            row += 1;
        }
        self.at = line;
        row
    }

    /// Beyond this a record is a leap.
    fn limit(&self) -> i64 {
        // The first record is a leap from nothing.
        if self.at == i64::MIN { i64::MIN } else { self.at.saturating_add(self.max_leap) }
    }

    /// Raises the line to what a record has borne out.
    fn rise(&mut self, to: i64) {
        if self.at == i64::MIN {
            self.begin.settle(to);
        } else if to.saturating_sub(self.at) > CONNECTED.0 {
            self.begin.move_to(to);
        }
        self.at = self.at.max(to);
    }

    fn leap(&mut self, records: &Records<'_>, row: usize, seen: &mut Seen) {
        let (time, offset) = (records.times[row], records.offsets[row]);
        let Sighting { witness, appended_at } = (records.see)(row);
        let stood = self.watermark();
        seen.before.push(stood.0);
        if self.at == i64::MIN {
            self.begin.note(time);
        }
        let near = |appended: Timestamp| appended.0.abs_diff(time) <= self.max_leap.unsigned_abs();
        if appended_at.is_some_and(near) {
            self.rise(time);
            self.contradict((offset, stood), seen);
            return;
        }
        let second = self.second_largest(&witness, time);
        if second > self.at {
            self.rise(second);
            self.contradict((offset, stood), seen);
        }
        if time > self.limit() {
            self.run.add(Leap { witness, offset, time }, self.max_leap);
        }
        if self.run.length >= self.lone_records {
            self.rise(self.run.high);
            self.contradict((offset, stood), seen);
        }
    }

    /// Notes a witness's time; gives the second largest of the witnesses' largest times, if that may
    /// lie beyond the line.
    fn second_largest(&mut self, witness: &Witness, time: i64) -> i64 {
        let agrees = |held: &HeldWitness| held.time.abs_diff(time) <= self.max_leap.unsigned_abs();
        match &mut self.held {
            Some(held) if held.witness == *witness => {
                held.time = if held.doubted { time } else { time.max(held.time) };
                held.doubted = false;
                i64::MIN
            }
            Some(held) if !held.doubted || agrees(held) => {
                held.doubted = false;
                let other = held.time;
                if other < time {
                    *held = HeldWitness { witness: witness.clone(), time, doubted: false };
                }
                other.min(time)
            }
            held => {
                *held = Some(HeldWitness { witness: witness.clone(), time, doubted: false });
                i64::MIN
            }
        }
    }

    /// Time has been borne out: the leaps that lie beyond it were none, and the row of them ends.
    fn contradict(&mut self, (noticed_at, watermark): (i64, Timestamp), seen: &mut Seen) {
        let (limit, line) = (self.limit(), Timestamp(self.at));
        if let Some(held) = &mut self.held {
            held.doubted = held.time > limit;
        }
        let run = std::mem::take(&mut self.run);
        let beyond = run.leaps.into_iter().filter(|leap| leap.time > limit);
        seen.held_back.extend(beyond.map(|Leap { witness, offset, time }| HeldBack {
            witness,
            offset,
            event_time: Timestamp(time),
            noticed_at,
            line,
            watermark,
        }));
    }
}

impl LeapRun {
    /// Whether nothing waits to be borne out or contradicted.
    fn is_over(&self) -> bool {
        self.length == 0 && self.leaps.is_empty()
    }

    fn add(&mut self, leap: Leap, max_leap: i64) {
        let goes_back = self.length == 0 || leap.time.saturating_add(max_leap) < self.high;
        self.high = if goes_back { leap.time } else { self.high.max(leap.time) };
        self.length += 1;
        if self.leaps.len() < LONE_RECORDS {
            self.leaps.push(leap);
        }
    }

    fn forget_before(&mut self, limit: i64) {
        self.leaps.retain(|leap| leap.time > limit);
        if self.high <= limit {
            self.length = 0;
        }
    }
}

impl Begin {
    /// Notes a record's time where the line stands already: an earlier run has moved it, or the clock.
    fn note_first(&mut self, time: i64) {
        if self.range.is_none() {
            self.range = Some((time, time));
        }
    }

    fn count(&mut self, records: usize) {
        self.records = self.records.saturating_add(records).min(FEW_RECORDS);
    }

    /// The line leaves what it stood at by more than a month: of few records, those were not where the
    /// partition begins.
    fn move_to(&mut self, line: i64) {
        if self.records < FEW_RECORDS && self.range.is_some() {
            self.range = Some((line, line));
        }
    }

    /// The line stands.
    fn settle(&mut self, line: i64) {
        if let Some((earliest, _)) = &mut self.range {
            *earliest = line.min(*earliest);
        }
    }

    fn note(&mut self, time: i64) {
        self.range = match self.range {
            Some((earliest, latest)) if time.saturating_sub(latest) <= CONNECTED.0 => {
                let connected = earliest.saturating_sub(time) <= CONNECTED.0;
                Some((if connected { earliest.min(time) } else { earliest }, latest.max(time)))
            }
            Some(_) | None => Some((time, time)),
        };
    }
}

#[cfg(test)]
mod tests;
