//! Rows to partial states: one micro-batch through everything below the aggregate, its rows
//! assigned to panes or calendar periods, and each aggregate's state per (slice, group) cell.
//!
//! Pure and independent of every other batch, so batches run on any core in any order; what is
//! collected from them is merged by key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use super::cells::{Slices, number_cells};
use super::family::{Family, Fates, Placer, SliceKey};
use super::groups::Keys;
use super::proto_session;
use crate::flow::Window;
use crate::flow::coded::plain_rows;
use crate::keep::held::Held;
use crate::sql::plan::chain::Branch;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::places::{project_by_place, project_coded};
use crate::sql::plan::query::{Below, Incremental, Query, Way};
use crate::window::ProtoSession;

/// Rows of one relation out of one batch of events.
#[derive(Clone, Debug)]
pub struct RelationRows {
    /// The relation.
    pub relation: Arc<str>,
    /// At least the columns that queries read, by name; texts may be coded.
    pub rows: RecordBatch,
    /// Event time of each row, microseconds.
    pub time: Int64Array,
    /// The partition's watermark before the event that each row came from.
    pub watermark_before: Int64Array,
    /// The event that each row came from, by its place in the batch.
    pub source_row: UInt32Array,
    /// The lab of each row, where a calendar asks for it.
    pub lab: Option<StringArray>,
}

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

/// An event that came too late for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateEvent {
    /// Its place in the batch.
    pub event: u32,
    /// From the start of the first window that it missed to the end of the last; none for sessions,
    /// whose bounds depend on what else comes.
    pub missed: Option<Window>,
}

/// What one batch of events gives to one family.
#[derive(Debug, Default)]
pub struct Partial {
    /// Partial states.
    pub cells: Vec<Cells>,
    /// Recompute only: rows by slice.
    pub kept: Vec<(SliceKey, Arc<str>, RecordBatch)>,
    /// The slices with the first and the last offset that each was collected from.
    pub origins: Vec<(SliceKey, (i64, i64))>,
    /// Sessions only: the proto-sessions that slices name.
    pub sessions: Vec<ProtoSession>,
    /// Sessions only: the keys that proto-sessions name.
    pub session_keys: Keys,
    /// One tally per table of the family.
    pub tallies: Vec<Tally>,
    /// Per table: the events that came too late for it.
    pub late_events: Vec<Vec<LateEvent>>,
    /// By event: whether at least one table counts it.
    pub counted_events: Vec<bool>,
}

/// Runs one batch of events, which stood at these ascending offsets, through a windowed query.
pub fn partial(
    query: &Query,
    family: &Family,
    inputs: &[RelationRows],
    offsets: &[i64],
    executor: &Executor,
) -> Result<Partial> {
    if let Family::Session(sessions) = family {
        return proto_session::partial(query, sessions, inputs, offsets, executor);
    }
    let tables = family.tables();
    let mut fates = Fates::new(tables, offsets.len());
    let mut out = Partial::default();
    if let Way::Incremental(incremental) = &query.way
        && incremental.group_exprs.is_empty()
    {
        let is_read = |input: &&RelationRows| query.reads.iter().any(|(n, _)| *n == input.relation);
        for input in inputs.iter().filter(is_read) {
            out.cells.extend(empty_cells(incremental, family, input, offsets.len())?);
        }
    }
    match &query.way {
        Way::Incremental(incremental) => match &incremental.below {
            Below::Branches(branches) => {
                for branch in branches {
                    let rows = branch_rows(branch, inputs)?;
                    let Some((rows, beside)) = rows else { continue };
                    let placed = place(family, rows, &beside, &mut fates)?;
                    out.cells.extend(cells(incremental, placed)?);
                }
            }
            Below::Plan(plan) => {
                for (slice, input) in by_slice(family, inputs, &mut fates)? {
                    let batches = executor.run_over(plan, &[input])?;
                    for rows in batches {
                        let slices = Slices::of(slice, rows.num_rows());
                        out.cells.extend(cells(incremental, Placed { rows, slices })?);
                    }
                }
            }
        },
        Way::Recompute(_) | Way::RowLevel(_) => {
            for (slice, input) in by_slice(family, inputs, &mut fates)? {
                out.kept.push((slice, input.relation, plain_rows(&input.rows)?));
            }
        }
    }
    fates.settle(offsets, &mut out);
    Ok(out)
}

/// Rows with the slice of each.
pub(crate) struct Placed {
    pub(crate) rows: RecordBatch,
    pub(crate) slices: Slices,
}

/// A branch's rows out of the batch, with time, watermark, source row and lab beside them.
pub fn branch_rows(
    branch: &Branch,
    inputs: &[RelationRows],
) -> Result<Option<(RecordBatch, Vec<ArrayRef>)>> {
    let Some(input) = inputs.iter().find(|input| input.relation == branch.relation) else {
        return Ok(None);
    };
    if input.rows.num_rows() == 0 {
        return Ok(None);
    }
    let rows = project_coded(&input.rows, &branch.columns, &branch.passed)?;
    let mut beside: Vec<ArrayRef> = vec![
        Arc::new(input.time.clone()),
        Arc::new(input.watermark_before.clone()),
        Arc::new(input.source_row.clone()),
    ];
    if let Some(lab) = &input.lab {
        beside.push(Arc::new(lab.clone()));
    }
    Ok(Some(branch.chain.evaluate(rows, beside)?))
}

impl RelationRows {
    /// The columns that a leaf reads, given by their places in the relation's whole schema.
    pub fn project(&self, columns: &[usize]) -> Result<RecordBatch> {
        project_by_place(&self.rows, columns)
    }

    /// Some of the rows.
    fn filtered(&self, keep: &BooleanArray) -> Result<RelationRows> {
        Ok(RelationRows {
            relation: Arc::clone(&self.relation),
            rows: filter_record_batch(&self.rows, keep)?,
            time: filter(&self.time, keep)?.as_primitive::<Int64Type>().clone(),
            watermark_before: filter(&self.watermark_before, keep)?
                .as_primitive::<Int64Type>()
                .clone(),
            source_row: filter(&self.source_row, keep)?.as_primitive::<UInt32Type>().clone(),
            lab: match &self.lab {
                Some(lab) => Some(filter(lab, keep)?.as_string::<i32>().clone()),
                None => None,
            },
        })
    }

    /// A run of the rows.
    pub fn slice(&self, start: usize, length: usize) -> RelationRows {
        RelationRows {
            relation: Arc::clone(&self.relation),
            rows: self.rows.slice(start, length),
            time: self.time.slice(start, length),
            watermark_before: self.watermark_before.slice(start, length),
            source_row: self.source_row.slice(start, length),
            lab: self.lab.as_ref().map(|lab| lab.slice(start, length)),
        }
    }
}

/// A row's lab; empty when there is none.
fn lab_of(labs: Option<&StringArray>, row: usize) -> &str {
    labs.filter(|labs| labs.is_valid(row)).map_or("", |labs| labs.value(row))
}

/// Finds each row's slice, notes its event's fate, and drops rows that missed every window.
fn place(
    family: &Family,
    rows: RecordBatch,
    beside: &[ArrayRef],
    fates: &mut Fates,
) -> Result<Placed> {
    let time = beside[0].as_primitive::<Int64Type>();
    let watermark = beside[1].as_primitive::<Int64Type>();
    let source = beside[2].as_primitive::<UInt32Type>();
    let labs = beside.get(3).map(|lab| lab.as_string::<i32>());
    let (time, watermark) = (time.values(), watermark.values());
    let mut placer = Placer::new(family);
    let mut slices = Slices::with_capacity(rows.num_rows());
    // The first and the last event of each slice.
    let mut spans: Vec<(u32, u32)> = Vec::new();
    let mut missed: Vec<usize> = Vec::new();
    let events = source.values();
    let mut row = 0;
    while row < events.len() {
        // Mostly what follows goes where this row goes.
        let (at, event) = (row, events[row]);
        row += 1;
        let slice = placer.slice(time[at], watermark[at], lab_of(labs, at), event as usize, fates);
        let Some(slice) = slice else {
            missed.push(at);
            continue;
        };
        let number = slices.push(slice);
        let following = time[row..].iter().zip(&watermark[row..]);
        let alike = |(time, watermark): &(&i64, &i64)| placer.is_as_before(**time, **watermark);
        row += following.take_while(alike).count();
        fates.count_in_all(&events[at + 1..row]);
        slices.push_last(row - at - 1);
        // Events ascend, since what stands below keeps their order.
        match spans.get_mut(number as usize) {
            Some((_, last)) => *last = events[row - 1],
            None => spans.push((event, events[row - 1])),
        }
    }
    for (slice, (first, last)) in slices.distinct().iter().zip(spans) {
        fates.contributes(*slice, first as usize);
        fates.contributes(*slice, last as usize);
    }
    let rows = if slices.len() == rows.num_rows() {
        rows
    } else {
        let mut keep = vec![true; rows.num_rows()];
        missed.iter().for_each(|row| keep[*row] = false);
        filter_record_batch(&rows, &BooleanArray::from(keep))?
    };
    Ok(Placed { rows, slices })
}

/// Whole relation rows by slice, for queries that are not row-wise below.
fn by_slice(
    family: &Family,
    inputs: &[RelationRows],
    fates: &mut Fates,
) -> Result<Vec<(SliceKey, RelationRows)>> {
    let mut out = Vec::new();
    for input in inputs {
        let mut placer = Placer::new(family);
        let slices: Vec<Option<SliceKey>> = (0..input.rows.num_rows())
            .map(|row| {
                let event = input.source_row.value(row) as usize;
                let lab = lab_of(input.lab.as_ref(), row);
                let (time, watermark) = (input.time.value(row), input.watermark_before.value(row));
                let slice = placer.slice(time, watermark, lab, event, fates)?;
                fates.contributes(slice, event);
                Some(slice)
            })
            .collect();
        let mut distinct: Vec<SliceKey> = slices.iter().flatten().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        for slice in distinct {
            let keep: BooleanArray = slices.iter().map(|held| Some(*held == Some(slice))).collect();
            out.push((slice, input.filtered(&keep)?));
        }
    }
    Ok(out)
}

/// The one group of a query without GROUP BY has a row in every window that holds rows of what the
/// query reads, though a filter may let none of them through: a cell without values for each slice.
fn empty_cells(
    query: &Incremental,
    family: &Family,
    input: &RelationRows,
    events: usize,
) -> Result<Option<Cells>> {
    let mut counts: BTreeMap<SliceKey, u32> = BTreeMap::new();
    let mut placer = Placer::new(family);
    // What is counted is what passes the filters.
    let mut fates = Fates::new(family.tables(), events);
    for row in 0..input.rows.num_rows() {
        let (time, watermark) = (input.time.value(row), input.watermark_before.value(row));
        let event = input.source_row.value(row) as usize;
        let lab = lab_of(input.lab.as_ref(), row);
        if let Some(slice) = placer.slice(time, watermark, lab, event, &mut fates) {
            *counts.entry(slice).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(None);
    }
    let mut keys = Keys::default();
    let groups = query.codec.intern(&[], counts.len(), &mut keys)?;
    let states: Result<Vec<_>> =
        query.slots.iter().map(|slot| slot.states_of_nothing(groups.len())).collect();
    let slices = counts.keys().enumerate().map(|(cell, slice)| (*slice, cell..cell + 1)).collect();
    Ok(Some(Cells { keys, slices, groups, rows: counts.into_values().collect(), states: states? }))
}

/// The states of placed rows by cell; none when there are no rows.
pub(crate) fn cells(query: &Incremental, placed: Placed) -> Result<Option<Cells>> {
    let Placed { rows, slices } = placed;
    let count = rows.num_rows();
    if count == 0 {
        return Ok(None);
    }
    let columns: Result<Vec<ArrayRef>> =
        query.group_exprs.iter().map(|expr| expr.evaluate(&rows)?.into_array(count)).collect();
    let mut keys = Keys::default();
    let groups = query.codec.intern(&columns?, count, &mut keys)?;
    let numbering = number_cells(&slices, &groups);
    let states: Result<Vec<Vec<ArrayRef>>> = query
        .slots
        .iter()
        .map(|slot| slot.states(&rows, &numbering.of_row, numbering.groups.len()))
        .collect();
    Ok(Some(Cells {
        keys,
        slices: numbering.slices,
        groups: numbering.groups,
        rows: numbering.rows,
        states: states?,
    }))
}
