//! What is collected: of one batch of events, the partial states and the fates of its events; under
//! one slice, the states of its cells.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use super::slice_key::SliceKey;
use crate::flow::{LateEvent, OffsetRange, RowPart, TimedRows};
use crate::keep::held::Held;
use crate::sql::keys::Keys;
use crate::window::ProtoSession;

/// What has been collected under one slice.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The group of each cell.
    pub groups: Vec<u32>,
    /// The number of rows of each cell.
    pub rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    pub states: Vec<Vec<ArrayRef>>,
    /// Recompute only: the rows themselves.
    pub kept: Vec<(Arc<str>, Held)>,
}

/// The cells of one branch of one family.
#[derive(Debug, Default)]
pub struct Cells {
    /// The groups' keys; a cell's group is a number in here.
    pub keys: Keys,
    /// The slices with the range of their cells.
    pub slices: Vec<(SliceKey, Range<usize>)>,
    /// The group of each cell.
    pub groups: Vec<u32>,
    /// The number of rows of each cell.
    pub rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    pub states: Vec<Vec<ArrayRef>>,
}

/// What became of a batch's events in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that at least one window counts.
    pub counted: u64,
    /// Events that were of the table's kind and missed every window.
    pub late: u64,
    /// Events that were not of the table's kind.
    pub other: u64,
}

/// What one batch of events gives to one family.
#[derive(Debug, Default)]
pub struct Partial {
    /// Partial states.
    pub cells: Vec<Cells>,
    /// Recompute only: rows by slice.
    pub kept: Vec<(SliceKey, Arc<str>, RecordBatch)>,
    /// The slices with the range of offsets that each was collected from.
    pub origins: Vec<(SliceKey, OffsetRange)>,
    /// Sessions only: the proto-sessions that slices name.
    pub sessions: Vec<ProtoSession>,
    /// Sessions only: the keys that proto-sessions name.
    pub session_keys: Keys,
    /// Rows that pass without a window, on time, by run and day.
    pub passed: Vec<RowPart>,
    /// The same rows with their times, where alert rules judge them.
    pub judged: Vec<TimedRows>,
    /// One tally per table of the family.
    pub tallies: Vec<Tally>,
    /// Per table: the events that came too late for it.
    pub late_events: Vec<Vec<LateEvent>>,
    /// By event: whether at least one table counts it.
    pub counted_events: Vec<bool>,
}
