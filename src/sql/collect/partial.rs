//! Rows to partial states: one micro-batch through everything below the aggregate, its rows
//! assigned to panes or calendar periods, and each aggregate's state per (slice, group) cell.
//!
//! Pure and independent of every other batch, so batches run on any core in any order; what is
//! collected from them is merged by key.

use std::collections::BTreeMap;

use arrow::array::{Array, BooleanArray, StringArray};
use arrow::compute::filter_record_batch;
use datafusion::common::Result;

use super::batch_input::BatchInput;
use super::cell_states::{PlacedRows, cells};
use super::cells::Slices;
use super::collected::{Cells, Partial};
use super::fates::Fates;
use super::slice_key::SliceKey;
use super::sourced_rows::SourcedRows;
use crate::flow::coded::plain_rows;
use crate::sql::keys::Keys;
use crate::sql::plan::query::{Below, Incremental, Way};
use crate::sql::plan::relation_rows::RelationRows;

/// A row as it is placed in time.
#[derive(Clone, Copy)]
pub(crate) struct RowInTime<'a> {
    /// Its event time, microseconds.
    pub(crate) time: i64,
    /// The watermark that stood before it.
    pub(crate) watermark: i64,
    /// Empty where nothing asks for it.
    pub(crate) lab: &'a str,
    /// What it came from, by its place in the batch.
    pub(crate) event: usize,
}

/// Assigns rows to slices; remembers the last answer, since neighbours in a feed share it.
pub(crate) trait RowPlacer {
    /// The row's slice, or none when it missed every window of every table. Notes the fate of what
    /// it came from.
    fn slice(&mut self, row: RowInTime<'_>, fates: &mut Fates) -> Option<SliceKey>;

    /// Whether a row has the slice of the last one, and is on time for every table as that was.
    fn is_as_before(&self, _time: i64, _watermark: i64) -> bool {
        false
    }
}

/// Runs one batch through a query over windows of so many tables, each row of which has its slice
/// from its own time; `fresh` makes a placer that knows nothing yet.
pub(crate) fn by_row<P: RowPlacer>(
    batch: &BatchInput<'_>,
    tables: usize,
    fresh: impl Fn() -> P,
) -> Result<Partial> {
    let BatchInput { query, inputs, executor, .. } = *batch;
    let mut fates = Fates::new(tables, batch.sources.len());
    let mut out = Partial::default();
    if let Way::Incremental(incremental) = &query.way
        && incremental.group_exprs.is_empty()
    {
        let is_read = |input: &&RelationRows| query.reads.iter().any(|(n, _)| *n == input.relation);
        for input in inputs.iter().filter(is_read) {
            // What is counted is what passes the filters.
            let unnoted = Fates::new(tables, batch.sources.len());
            out.cells.extend(empty_cells(incremental, fresh(), input, unnoted)?);
        }
    }
    match &query.way {
        Way::Incremental(incremental) => match &incremental.below {
            Below::Branches(branches) => {
                for branch in branches {
                    let Some(rows) = SourcedRows::of_branch(branch, inputs)? else { continue };
                    let placed = place(fresh(), rows, &mut fates)?;
                    out.cells.extend(cells(incremental, placed)?);
                }
            }
            Below::Plan(plan) => {
                for (slice, input) in by_slice(&fresh, inputs, &mut fates)? {
                    let batches = executor.run_over(plan, &[input])?;
                    for rows in batches {
                        let slices = Slices::of(slice, rows.num_rows());
                        out.cells.extend(cells(incremental, PlacedRows { rows, slices })?);
                    }
                }
            }
        },
        Way::Recompute(_) | Way::RowLevel(_) => {
            for (slice, input) in by_slice(&fresh, inputs, &mut fates)? {
                out.kept.push((slice, input.relation, plain_rows(&input.rows)?));
            }
        }
    }
    fates.settle(batch.sources, &mut out);
    Ok(out)
}

/// A row's lab; empty when there is none.
fn lab_of(labs: Option<&StringArray>, row: usize) -> &str {
    labs.filter(|labs| labs.is_valid(row)).map_or("", |labs| labs.value(row))
}

/// A relation's row.
fn row_of(input: &RelationRows, row: usize) -> RowInTime<'_> {
    RowInTime {
        time: input.time.value(row),
        watermark: input.watermark_before.value(row),
        lab: lab_of(input.lab.as_ref(), row),
        event: input.source_row.value(row) as usize,
    }
}

/// Finds each row's slice, notes its event's fate, and drops rows that missed every window.
fn place(
    mut placer: impl RowPlacer,
    sourced: SourcedRows,
    fates: &mut Fates,
) -> Result<PlacedRows> {
    let SourcedRows { rows, time, watermark_before, source_row, lab } = sourced;
    let (time, watermark, labs) = (time.values(), watermark_before.values(), lab.as_ref());
    let mut slices = Slices::with_capacity(rows.num_rows());
    // The first and the last event of each slice.
    let mut spans: Vec<(u32, u32)> = Vec::new();
    let mut missed: Vec<usize> = Vec::new();
    let events = source_row.values();
    let mut row = 0;
    while row < events.len() {
        // Mostly what follows goes where this row goes.
        let (at, event) = (row, events[row]);
        row += 1;
        let placed = RowInTime {
            time: time[at],
            watermark: watermark[at],
            lab: lab_of(labs, at),
            event: event as usize,
        };
        let Some(slice) = placer.slice(placed, fates) else {
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
    Ok(PlacedRows { rows, slices })
}

/// Whole relation rows by slice, for queries that are not row-wise below.
fn by_slice<P: RowPlacer>(
    fresh: &impl Fn() -> P,
    inputs: &[RelationRows],
    fates: &mut Fates,
) -> Result<Vec<(SliceKey, RelationRows)>> {
    let mut out = Vec::new();
    for input in inputs {
        let mut placer = fresh();
        let slices: Vec<Option<SliceKey>> = (0..input.rows.num_rows())
            .map(|row| {
                let row = row_of(input, row);
                let slice = placer.slice(row, fates)?;
                fates.contributes(slice, row.event);
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
    mut placer: impl RowPlacer,
    input: &RelationRows,
    mut unnoted: Fates,
) -> Result<Option<Cells>> {
    let mut counts: BTreeMap<SliceKey, u32> = BTreeMap::new();
    for row in 0..input.rows.num_rows() {
        if let Some(slice) = placer.slice(row_of(input, row), &mut unnoted) {
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
