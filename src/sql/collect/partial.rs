//! Rows to partial states: one micro-batch through everything below the aggregate, its rows
//! assigned to panes or calendar periods, and each aggregate's state per (slice, group) cell.
//!
//! Pure and independent of every other batch, so batches run on any core in any order; what is
//! collected from them is merged by key.

use std::collections::BTreeMap;

use arrow::array::{Array, BooleanArray, StringArray};
use arrow::compute::filter_record_batch;
use datafusion::common::Result;

use super::cell_states::{PlacedRows, cells};
use super::cells::Slices;
use super::collected::{Cells, Partial};
use super::family::{Family, Fates, Placer};
use super::proto_session;
use super::slice_key::SliceKey;
use super::sourced_rows::SourcedRows;
use crate::flow::coded::plain_rows;
use crate::sql::keys::Keys;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::query::{Below, Incremental, Query, Way};
use crate::sql::plan::relation_rows::RelationRows;

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
                    let Some(rows) = SourcedRows::of_branch(branch, inputs)? else { continue };
                    let placed = place(family, rows, &mut fates)?;
                    out.cells.extend(cells(incremental, placed)?);
                }
            }
            Below::Plan(plan) => {
                for (slice, input) in by_slice(family, inputs, &mut fates)? {
                    let batches = executor.run_over(plan, &[input])?;
                    for rows in batches {
                        let slices = Slices::of(slice, rows.num_rows());
                        out.cells.extend(cells(incremental, PlacedRows { rows, slices })?);
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

/// A row's lab; empty when there is none.
fn lab_of(labs: Option<&StringArray>, row: usize) -> &str {
    labs.filter(|labs| labs.is_valid(row)).map_or("", |labs| labs.value(row))
}

/// Finds each row's slice, notes its event's fate, and drops rows that missed every window.
fn place(family: &Family, sourced: SourcedRows, fates: &mut Fates) -> Result<PlacedRows> {
    let SourcedRows { rows, time, watermark_before, source_row, lab } = sourced;
    let (time, watermark, labs) = (time.values(), watermark_before.values(), lab.as_ref());
    let mut placer = Placer::new(family);
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
    Ok(PlacedRows { rows, slices })
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
