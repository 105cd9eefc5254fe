//! Rows to partial states for session windows: a batch's rows cut into proto-sessions by key.
//!
//! Sessions are cut over the rows of the relation, before the query's own WHERE, so that both ways
//! of computing it see the same ones. A row counts when its time is not before its partition's
//! watermark less the family's `wait`; an earlier one is late, and there is no revision that could
//! still take it in. Pure and independent of every other batch, as `partial` is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take, take_record_batch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use super::batch_input::{BatchInput, RowSources};
use super::cell_states::{PlacedRows, cells};
use super::cells::Slices;
use super::collected::Partial;
use super::fates::{Fates, range_of};
use super::session_family::SessionFamily;
use super::slice_key::SliceKey;
use super::window_family::{TableForm, WindowFamily};
use crate::flow::Span;
use crate::flow::coded::plain_rows;
use crate::sql::plan::chain::Branch;
use crate::sql::plan::places::project_coded;
use crate::sql::plan::query::{Below, Incremental, Way};
use crate::sql::plan::relation_rows::RelationRows;
use crate::window::session::cut;

/// The place of a row that is late.
const LATE: u32 = u32::MAX;

/// The proto-sessions of one relation's rows.
struct Cutting {
    /// The rows that count, by key and time.
    order: Vec<u32>,
    /// The number of each row's proto-session among the batch's, or `LATE`.
    of_row: UInt32Array,
    /// The numbers of its proto-sessions.
    numbers: std::ops::Range<usize>,
}

/// What becomes of a batch's events, and which of them each proto-session was collected from.
struct SessionNotes {
    fates: Fates,
    /// By proto-session: the first and the last event, by place in the batch.
    spans: Vec<Option<(usize, usize)>>,
}

impl SessionNotes {
    fn note(&mut self, session: u32, event: usize) {
        self.fates.note(event, session != LATE);
        if session == LATE {
            return;
        }
        let session = session as usize;
        if session >= self.spans.len() {
            self.spans.resize(session + 1, None);
        }
        let (first, last) = self.spans[session].unwrap_or((event, event));
        self.spans[session] = Some((first.min(event), last.max(event)));
    }

    fn settle(self, sources: RowSources<'_>, out: &mut Partial) {
        self.fates.settle(sources, out);
        let spans = self.spans.iter().enumerate();
        let origins = spans.filter_map(|(session, span)| {
            let (first, last) = (*span)?;
            Some((SliceKey::Session(session as u32), range_of(sources, first, last)))
        });
        out.origins = origins.collect();
    }
}

impl WindowFamily for SessionFamily {
    fn partial(&self, batch: &BatchInput<'_>) -> Result<Partial> {
        by_key(self, batch)
    }

    fn longest(&self) -> Span {
        Span(self.gap.0.saturating_add(self.wait.0))
    }

    fn forms(&self) -> Vec<TableForm> {
        vec![TableForm::KeyedWindows]
    }

    // A late row could make one of two sessions that have been given out: none is revised.

    fn closes_after(&self, _allowed_lateness: Span) -> Span {
        self.wait
    }

    fn is_keyed(&self) -> bool {
        true
    }
}

/// Runs one batch of events through a query over sessions.
fn by_key(family: &SessionFamily, batch: &BatchInput<'_>) -> Result<Partial> {
    let BatchInput { query, inputs, sources, executor, .. } = *batch;
    let mut notes = SessionNotes { fates: Fates::new(1, sources.len()), spans: Vec::new() };
    let mut out = Partial::default();
    for input in inputs {
        let cutting = cut_rows(family, input, &mut out)?;
        match &query.way {
            Way::Incremental(incremental) => match &incremental.below {
                Below::Branches(branches) => {
                    let mine = branches.iter().filter(|branch| branch.relation == input.relation);
                    for branch in mine {
                        let placed = place(branch, input, &cutting, &mut notes)?;
                        out.cells.extend(cells(incremental, placed)?);
                    }
                }
                Below::Plan(plan) => {
                    note_all(input, &cutting, &mut notes);
                    for (slice, rows) in by_session(input, &cutting, &out)? {
                        let batches = executor.run_over(plan, &[rows])?;
                        out.cells.extend(cells_of(incremental, slice, batches)?);
                    }
                }
            },
            Way::Recompute(_) | Way::RowLevel(_) => {
                note_all(input, &cutting, &mut notes);
                for (slice, rows) in by_session(input, &cutting, &out)? {
                    out.kept.push((slice, rows.relation, plain_rows(&rows.rows)?));
                }
            }
        }
    }
    notes.settle(sources, &mut out);
    Ok(out)
}

/// Cuts a relation's rows, and adds their proto-sessions to the batch's.
fn cut_rows(family: &SessionFamily, input: &RelationRows, out: &mut Partial) -> Result<Cutting> {
    let keys = family.keys_of(input, &mut out.session_keys)?;
    let (time, before) = (input.time.values(), input.watermark_before.values());
    let counts = |row: &u32| {
        let row = *row as usize;
        time[row] >= before[row].saturating_sub(family.wait.0)
    };
    let mut order: Vec<u32> = (0..keys.len() as u32).filter(counts).collect();
    order.sort_by_key(|row| (keys[*row as usize], time[*row as usize]));
    let rows = order.iter().map(|row| (keys[*row as usize], time[*row as usize]));
    let first = out.sessions.len();
    out.sessions.extend(cut(family.gap, rows));
    let mut of_row = vec![LATE; keys.len()];
    for (place, session) in out.sessions[first..].iter().enumerate() {
        for row in &order[session.rows.clone()] {
            of_row[*row as usize] = (first + place) as u32;
        }
    }
    let numbers = first..out.sessions.len();
    Ok(Cutting { order, of_row: UInt32Array::from(of_row), numbers })
}

/// A branch's rows with the proto-session of each; late rows are noted and dropped.
fn place(
    branch: &Branch,
    input: &RelationRows,
    cutting: &Cutting,
    notes: &mut SessionNotes,
) -> Result<PlacedRows> {
    let rows = project_coded(&input.rows, &branch.columns, &branch.passed)?;
    let beside: Vec<ArrayRef> =
        vec![Arc::new(cutting.of_row.clone()), Arc::new(input.source_row.clone())];
    let (rows, beside) = branch.chain.evaluate(rows, beside)?;
    let sessions = beside[0].as_primitive::<UInt32Type>().values();
    let source = beside[1].as_primitive::<UInt32Type>().values();
    for (session, event) in sessions.iter().zip(source) {
        notes.note(*session, *event as usize);
    }
    let mut slices = Slices::with_capacity(sessions.len());
    for session in sessions.iter().filter(|session| **session != LATE) {
        slices.push(SliceKey::Session(*session));
    }
    if slices.len() == rows.num_rows() {
        return Ok(PlacedRows { rows, slices });
    }
    let keep: BooleanArray = sessions.iter().map(|session| Some(*session != LATE)).collect();
    Ok(PlacedRows { rows: filter_record_batch(&rows, &keep)?, slices })
}

fn note_all(input: &RelationRows, cutting: &Cutting, notes: &mut SessionNotes) {
    for (session, event) in cutting.of_row.values().iter().zip(input.source_row.values()) {
        notes.note(*session, *event as usize);
    }
}

/// Whole relation rows by proto-session.
fn by_session(
    input: &RelationRows,
    cutting: &Cutting,
    out: &Partial,
) -> Result<Vec<(SliceKey, RelationRows)>> {
    let order = UInt32Array::from(cutting.order.clone());
    let times = |column: &dyn Array| -> Result<_> {
        Ok(take(column, &order, None)?.as_primitive::<Int64Type>().clone())
    };
    let sorted = RelationRows {
        relation: Arc::clone(&input.relation),
        rows: take_record_batch(&input.rows, &order)?,
        time: times(&input.time)?,
        watermark_before: times(&input.watermark_before)?,
        source_row: take(&input.source_row, &order, None)?.as_primitive::<UInt32Type>().clone(),
        lab: None,
    };
    let slices = cutting.numbers.clone().map(|number| {
        let rows = out.sessions[number].rows.clone();
        (SliceKey::Session(number as u32), sorted.slice(rows.start, rows.len()))
    });
    Ok(slices.collect())
}

fn cells_of(
    query: &Incremental,
    slice: SliceKey,
    batches: Vec<arrow::array::RecordBatch>,
) -> Result<Vec<super::collected::Cells>> {
    let mut found = Vec::new();
    for rows in batches {
        let slices = Slices::of(slice, rows.num_rows());
        found.extend(cells(query, PlacedRows { rows, slices })?);
    }
    Ok(found)
}
