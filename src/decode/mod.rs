//! Stage 2: JSON records into [`EventBatch`]es, and what cannot become an event into
//! [`DeadLetter`]s.
//!
//! Each record is one JSON object (`docs/events.md`). A record is judged by itself: what is
//! wrong with one never touches another of its batch, and the order of the records is kept. Every
//! record becomes either one row or one dead letter. The judgement does not depend on the columns
//! that are wanted.
//!
//! - Malformed: not UTF-8, not JSON, not an object, something behind the object; an empty Kafka
//!   message. Of a repeated key the last value counts. Blank lines of a file carry nothing.
//! - Wrong type: a known field holds another JSON type. `null` is absent. An integer may stand for
//!   a number; `3.0` may not stand for an integer.
//! - A blank id (nothing, or only space) is absent, so one that is required is missing; every other
//!   text is kept as it is. An ASCII control character in an id or a code is a fault.
//! - Unknown fields are ignored and counted, one for each key at the top level.
//! - The row form's event time is its `processed_at`, else its `received_at`, whatever `event_time`
//!   it may carry.
//! - A negative duration is not a fault here: the test is counted, its turnaround time is null.
//!
//! Two readers share the work: `scan` takes records of plain shape at the speed of memory, and
//! `careful` (serde_json) decides everything else. `scan` never refuses, so the answers are
//! `careful`'s throughout; tests hold the two together.
//!
//! This stage is a pure function. It does not look at watermarks; [`Repeats`], which does, has
//! state of its own.

mod block;
mod careful;
mod codes;
mod columns;
mod field_run;
mod fields;
mod instant;
mod repeats;
mod scan;
mod stops;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::flow::record::RecordFrame;
use crate::flow::{DeadLetter, EventBatch, Framing, RawBatch, Span, Timestamp};

use block::{Block, RecordFault, RecordLimits, RowBeside};
use careful::{Careful, LONGEST_RECORD};
use columns::{Columns, Defaults};
use fields::{EVENT_ID, FIELDS, bit};
pub use repeats::{Forgotten, Identity, Repeats};
use scan::{Scanner, skip_space};

/// Lines are checked for UTF-8 in runs of about this many bytes, small enough to stay in the
/// processor's cache until they are read.
const RUN: usize = 64 << 10;

/// An event has at least so many bytes: a lab, a specimen, a status and a time.
const SHORTEST_RECORD: usize = 64;

/// How records are judged and which columns are kept.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// The lab of events that name none.
    pub default_lab: Option<String>,
    /// How far an event time may lie after its record's own time.
    pub max_future: Span,
    /// The columns to keep, as positions in [`EVENT_FIELDS`](crate::flow::event::EVENT_FIELDS);
    /// `None` keeps all. The rows are then a projection of `DECODED_SCHEMA`, in its order.
    pub columns: Option<BTreeSet<usize>>,
}

/// What became of a batch of records.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The records that are events.
    pub events: EventBatch,
    /// The identity of each event, by its `event_id`, whether or not that column is kept.
    pub identities: Vec<Identity>,
    /// The records that are not.
    pub dead_letters: Vec<DeadLetter>,
    /// How many records there were: events and dead letters.
    pub records: u64,
    /// How many lines were blank.
    pub blank_lines: u64,
    /// How many keys were not known, over all events.
    pub unknown_fields: u64,
    /// How many records took the slow way through serde_json: escapes, nested values, faults.
    pub careful_records: u64,
}

/// Decodes a batch. The same batch and options give the same answer, on any thread.
pub fn decode(raw: &RawBatch, options: &DecodeOptions) -> Decoded {
    let mut decoder = Decoder::new(raw, options);
    match &raw.framing {
        Framing::Lines { first_offset, record_time } => {
            decoder.lines(*first_offset, *record_time);
        }
        Framing::Records(frames) => decoder.frames(frames),
    }
    decoder.finish()
}

struct Decoder<'a> {
    raw: &'a RawBatch,
    bytes: &'a [u8],
    options: &'a DecodeOptions,
    scanner: Scanner,
    careful: Careful,
    block: Block,
    /// How many of the batch's bytes have been read, for estimates.
    reached: usize,
    columns: Columns,
    offsets: Vec<i64>,
    record_times: Vec<Timestamp>,
    appended: Vec<bool>,
    identities: Vec<Identity>,
    dead_letters: Vec<DeadLetter>,
    blank_lines: u64,
    unknown_fields: u64,
    careful_records: u64,
}

/// Where a record stands in the input.
#[derive(Clone, Copy)]
struct Place {
    offset: i64,
    record_time: Timestamp,
    limits: RecordLimits,
}

impl<'a> Decoder<'a> {
    fn new(raw: &'a RawBatch, options: &'a DecodeOptions) -> Decoder<'a> {
        let wanted = match &options.columns {
            Some(fields) => fields
                .iter()
                .filter(|field| **field < FIELDS)
                .fold(0, |set, field| set | bit(*field)),
            None => bit(FIELDS) - 1,
        };
        let defaults = Defaults { lab_id: options.default_lab.clone().unwrap_or_default() };
        Decoder {
            raw,
            bytes: &raw.bytes,
            options,
            scanner: Scanner::new(),
            careful: Careful::new(),
            block: Block::new(raw.bytes.len()),
            reached: 0,
            columns: Columns::new(wanted, defaults),
            offsets: Vec::new(),
            record_times: Vec::new(),
            appended: Vec::new(),
            identities: Vec::new(),
            dead_letters: Vec::new(),
            blank_lines: 0,
            unknown_fields: 0,
            careful_records: 0,
        }
    }

    fn place(&self, offset: i64, record_time: Timestamp) -> Place {
        let latest = record_time.plus(self.options.max_future);
        let has_default_lab = self.options.default_lab.is_some();
        Place { offset, record_time, limits: RecordLimits { latest, has_default_lab } }
    }

    fn lines(&mut self, first_offset: i64, record_time: Timestamp) {
        let mut place = self.place(first_offset, record_time);
        let mut at = 0;
        while at < self.bytes.len() {
            let run_end = end_of_line(self.bytes, (at + RUN).min(self.bytes.len()) - 1);
            let run = &self.bytes[at..run_end];
            // Mostly true, and several times as fast to find out.
            let valid = run.is_ascii() || std::str::from_utf8(run).is_ok();
            while at < run_end {
                at = self.line(at, valid, place);
                place.offset += 1;
            }
        }
    }

    /// Reads the line that starts at `at`; gives the start of the next one. `valid` says that its
    /// bytes are known to be UTF-8.
    #[inline(always)]
    fn line(&mut self, at: usize, valid: bool, place: Place) -> usize {
        if valid && let Some((read, end)) = self.scanner.read(self.bytes, at, &mut self.block) {
            let end = skip_space(self.bytes, end);
            let ends = matches!(self.bytes.get(end), Some(b'\n') | None);
            if ends && end - at <= LONGEST_RECORD && self.keep(read, end, place).is_ok() {
                return (end + 1).min(self.bytes.len());
            }
        }
        self.unusual_line(at, place)
    }

    #[cold]
    fn unusual_line(&mut self, at: usize, place: Place) -> usize {
        let next = end_of_line(self.bytes, at);
        let line = &self.bytes[at..next];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            self.blank_lines += 1;
        } else {
            self.careful_record(at, at + line.len(), place);
        }
        next
    }

    fn frames(&mut self, frames: &[RecordFrame]) {
        for frame in frames {
            let place = self.place(frame.offset, frame.record_time);
            let (start, end) = (frame.start, frame.end);
            if std::str::from_utf8(&self.bytes[start..end]).is_ok()
                && let Some((read, after)) = self.scanner.read(self.bytes, start, &mut self.block)
                && after <= end
                && skip_space(self.bytes, after) >= end
                && end - start <= LONGEST_RECORD
                && self.keep(read, end, place).is_ok()
            {
                continue;
            }
            self.careful_record(start, end, place);
        }
        if frames.iter().any(|frame| frame.appended) {
            let mut frames = frames.iter();
            let mut appended =
                |offset| frames.by_ref().find(|f| f.offset == offset).is_some_and(|f| f.appended);
            self.appended = self.offsets.iter().map(|offset| appended(*offset)).collect();
        }
    }

    fn careful_record(&mut self, start: usize, end: usize, place: Place) {
        self.careful_records += 1;
        let record = &self.bytes[start..end];
        let read = self.careful.read(record, &mut self.block);
        if let Err(fault) = read.and_then(|read| self.keep(read, end, place)) {
            self.bury(record, fault, place);
        }
    }

    /// Takes the row that was just read up to `end`, if nothing is wrong with it as a whole.
    #[inline(always)]
    fn keep(&mut self, read: RowBeside, end: usize, place: Place) -> Result<(), RecordFault> {
        self.block.keep(read, place.limits)?;
        self.unknown_fields += u64::from(read.unknown);
        self.offsets.push(place.offset);
        self.record_times.push(place.record_time);
        self.reached = end;
        if self.block.is_full() {
            self.flush();
        }
        Ok(())
    }

    /// Moves the block's rows into the columns.
    #[inline(never)]
    fn flush(&mut self) {
        let texts = self.block.texts(self.bytes);
        self.columns.append(&self.block, texts);
        let ids = self.block.words(EVENT_ID).iter().zip(self.block.present());
        self.identities.extend(ids.map(|(word, present)| match present & bit(EVENT_ID) {
            0 => Identity::NONE,
            _ => Identity::of(texts.text(*word)),
        }));
        self.block.clear();
        if self.identities.capacity() < self.identities.len() + block::ROWS {
            self.reserve();
        }
    }

    /// Makes room for the rows to come, judged by the bytes that the rows so far took, so that the
    /// columns grow once or twice in a batch and not from nothing.
    fn reserve(&mut self) {
        let left = self.bytes.len().saturating_sub(self.reached);
        let rest = left as f64 / self.reached.max(1) as f64;
        let judged = (self.columns.rows() as f64 * rest * 1.05) as usize;
        // Were the first rows tiny and the rest one long text, the judgement would be far too high.
        let more = judged.min(left / SHORTEST_RECORD) + 2 * block::ROWS;
        self.columns.reserve(more);
        self.offsets.reserve(more);
        self.record_times.reserve(more);
        self.identities.reserve(more);
    }

    fn bury(&mut self, record: &[u8], fault: RecordFault, place: Place) {
        let RecordFault { reason, detail } = fault;
        self.dead_letters.push(DeadLetter {
            partition: self.raw.partition.clone(),
            offset: place.offset,
            record_time: place.record_time,
            reason,
            detail,
            // A copy, so that a dead letter that waits does not keep its whole batch in memory.
            bytes: Bytes::copy_from_slice(record),
        });
    }

    fn finish(mut self) -> Decoded {
        self.flush();
        let events = EventBatch {
            partition: self.raw.partition.clone(),
            rows: self.columns.finish(),
            offsets: self.offsets,
            record_times: self.record_times,
            appended: self.appended,
        };
        Decoded {
            records: (events.offsets.len() + self.dead_letters.len()) as u64,
            events,
            identities: self.identities,
            dead_letters: self.dead_letters,
            blank_lines: self.blank_lines,
            unknown_fields: self.unknown_fields,
            careful_records: self.careful_records,
        }
    }
}

/// The position after the line feed that ends the line around `at`, or the end.
fn end_of_line(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length + 1)
}
