//! Session windows: what has been collected for open sessions, and their firing.
//!
//! A session that fires does so alone, with rows of its own key; results of many are computed
//! together where states are merged.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use chrono::NaiveDate;
use datafusion::common::Result;

use super::family_state::FamilyState;
use super::finish::Parts;
use super::kit::{FiringKit, PendingRows, ROWS_PER_BATCH};
use super::output::FiredWindow;
use super::session_parts::{
    Gathered, PARTS_TO_MERGE, SessionPart, What, bytes_of_one, merge_smallest,
};
use super::sliding::Sliding;
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::collect::collected::{Chunk, Partial};
use crate::sql::collect::session_family::SessionFamily;
use crate::sql::collect::slice_key::SliceKey;
use crate::sql::plan::places::project_by_place;
use crate::sql::plan::query::{Incremental, Query, Way};
use crate::window::{Extent, OffsetsByPartition, Origins, Session, SessionBook};

/// The sessions of one table that are open.
pub(super) struct Sessions {
    gap: Span,
    wait: Span,
    book: SessionBook<SessionPart>,
    /// Bytes of all parts.
    bytes: usize,
    /// Of sessions that have fired.
    origins: Origins<Window>,
}

impl Sessions {
    /// None open.
    pub(super) fn new(family: &SessionFamily) -> Sessions {
        let (gap, wait) = (family.gap, family.wait);
        let (book, origins) = (SessionBook::new(gap), Origins::default());
        Sessions { gap, wait, book, bytes: 0, origins }
    }
}

impl FamilyState for Sessions {
    fn collect(
        &mut self,
        kit: &mut FiringKit,
        partial: Partial,
        partition: &Arc<Partition>,
    ) -> Result<()> {
        let mut parts: Vec<Vec<SessionPart>> = vec![Vec::new(); partial.sessions.len()];
        let mut put = |slice: SliceKey, what: What| match slice {
            SliceKey::Session(number) => {
                parts[number as usize].push(SessionPart { what, from: Vec::new() });
            }
            SliceKey::Pane { .. } | SliceKey::Period { .. } | SliceKey::Day(_) => {}
        };
        for mut cells in partial.cells {
            let slices = std::mem::take(&mut cells.slices);
            let cells = Arc::new(cells);
            let bytes = bytes_of_one(&cells);
            for (slice, range) in slices {
                put(slice, What::Cells(Arc::clone(&cells), range, bytes));
            }
        }
        for (slice, relation, rows) in partial.kept {
            put(slice, What::Rows(relation, rows));
        }
        for (slice, range) in &partial.origins {
            let SliceKey::Session(number) = slice else { continue };
            if let Some(part) = parts[*number as usize].first_mut() {
                part.from.push((Arc::clone(partition), *range));
            }
        }
        let keys: Vec<Arc<[u8]>> = (0..partial.session_keys.len() as u32)
            .map(|key| Arc::from(partial.session_keys.get(key)))
            .collect();
        for (session, parts) in partial.sessions.iter().zip(parts) {
            let key = &keys[session.key as usize];
            self.bytes += bytes_of_all(&parts);
            let held = self.book.add(key, session.start, session.last, parts);
            if held.len() >= PARTS_TO_MERGE {
                self.bytes -= bytes_of_all(held);
                merge_smallest(&kit.query, held)?;
                self.bytes += bytes_of_all(held);
            }
        }
        Ok(())
    }

    fn advance(
        &mut self,
        kit: &mut FiringKit,
        watermark: Timestamp,
        _extent: Extent,
    ) -> Result<Vec<OutputBatch>> {
        let mut due = self.due(watermark.minus(self.wait));
        let mut out = Vec::new();
        for session in &due {
            for (partition, range) in session.parts.iter().flat_map(|part| &part.from) {
                self.origins.add(session.window, 0, partition, *range);
            }
        }
        while !due.is_empty() {
            let later = due.split_off(enough(&due));
            out.extend(kit.fire_sessions(&due)?);
            due = later;
        }
        Ok(out)
    }

    fn first_held(&self, _reached: Timestamp) -> Option<Timestamp> {
        self.book.first_start()
    }

    fn settled_before(
        &self,
        _table: usize,
        watermark: Timestamp,
        allowed_lateness: Span,
    ) -> Option<NaiveDate> {
        let reached = watermark.minus(allowed_lateness);
        let settled = reached.minus(self.gap).minus(self.wait).date();
        let open = self.book.first_start().map(Timestamp::date);
        Some(open.map_or(settled, |open| open.min(settled)))
    }

    fn origins_of(&self, window: Window, _revision: u32) -> OffsetsByPartition {
        self.origins.over(window..=window, |_, _| true)
    }

    fn origins_of_day(&self, _table: usize, date: NaiveDate) -> OffsetsByPartition {
        let of = |date| Window { start: Timestamp::midnight(date), end: Timestamp::MIN };
        let next = date.succ_opt().unwrap_or(date);
        self.origins.over(of(date)..of(next), |_, _| true)
    }

    fn forget_origins(&mut self, date: NaiveDate) {
        self.origins.retain(|window| window.start.date() >= date);
    }

    fn weight(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    fn most_parts(&self) -> usize {
        self.book.parts().map(Vec::len).max().unwrap_or(0)
    }
}

impl Sessions {
    /// Takes out the sessions that end at or before `watermark`.
    fn due(&mut self, watermark: Timestamp) -> Vec<Session<SessionPart>> {
        let due = self.book.due(watermark);
        self.bytes -= due.iter().map(|session| bytes_of_all(&session.parts)).sum::<usize>();
        due
    }
}

fn bytes_of_all(parts: &[SessionPart]) -> usize {
    parts.iter().map(SessionPart::size).sum()
}

impl FiringKit {
    fn fire_sessions(&mut self, due: &[Session<SessionPart>]) -> Result<Vec<OutputBatch>> {
        let query = Arc::clone(&self.query);
        let (rows, of_row) = match &query.way {
            Way::Incremental(incremental) => self.merge_sessions(incremental, due)?,
            Way::Recompute(_) | Way::RowLevel(_) => self.recompute_sessions(&query, due)?,
        };
        // Sessions of several keys may have the same bounds: then they are one window of the
        // table, in which the grain tells them apart.
        let mut windows: Vec<FiredWindow> = Vec::new();
        let mut window_of = Vec::with_capacity(due.len());
        for session in due {
            if windows.last().is_none_or(|last| last.window != session.window) {
                windows.push(FiredWindow::of_instants(session.window));
            }
            window_of.push(windows.len() as u32 - 1);
        }
        let of_row = of_row.iter().map(|session| window_of[*session as usize]).collect();
        self.tables[0].output.assemble(rows, of_row, windows, 0)
    }

    /// Results by merging states, all sessions at once; what stands above the aggregate sees the
    /// rows of one session at a time.
    fn merge_sessions(
        &self,
        query: &Incremental,
        due: &[Session<SessionPart>],
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let parts = due.iter().map(|session| session.parts.as_slice());
        let gathered = Gathered::of(parts, &query.slots)?;
        let count = gathered.groups.len();
        let chunk = Chunk {
            groups: gathered.into,
            rows: gathered.rows,
            states: gathered.states,
            kept: Vec::new(),
        };
        let numbers: Vec<u32> = (0..count as u32).collect();
        let mut window = Sliding::new(query, None);
        window.enter(&chunk, 0, count)?;
        window.read(&numbers, count, || vec![&chunk])?;
        let slots = window.take_outputs()?;
        let mut columns = query.codec.columns(&gathered.keys, &gathered.groups)?;
        columns.extend(query.outputs.iter().map(|output| {
            let results: &ArrayRef = &slots[output.slot][output.index];
            Arc::clone(results)
        }));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let schema = Arc::clone(&query.aggregate_schema);
        let aggregates = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let pending = PendingRows {
            revision: 0,
            windows: due.iter().map(|session| FiredWindow::of_instants(session.window)).collect(),
            of_row: gathered.of_number,
            groups: gathered.groups,
        };
        self.above(query, aggregates, &pending)
    }

    /// The whole query over the rows of each session.
    fn recompute_sessions(
        &self,
        query: &Query,
        due: &[Session<SessionPart>],
    ) -> Result<(RecordBatch, Vec<u32>)> {
        let mut results = Parts::default();
        for (number, session) in due.iter().enumerate() {
            let batches = self.executor.run(&query.plan, &|leaf| {
                let mine = session.parts.iter().filter_map(|part| match &part.what {
                    What::Rows(relation, rows) => (relation == leaf.relation()).then_some(rows),
                    What::Cells(..) => None,
                });
                mine.map(|rows| project_by_place(rows, leaf.columns())).collect()
            })?;
            results.add(batches, number as u32);
        }
        results.join(&query.schema)
    }
}

/// How many of the sessions to fire at once: cells for a batch of results, and never some of those
/// with the same bounds without the others.
fn enough(due: &[Session<SessionPart>]) -> usize {
    let mut cells = 0;
    for (place, session) in due.iter().enumerate() {
        if cells >= ROWS_PER_BATCH && due[place - 1].window != session.window {
            return place;
        }
        cells += session.parts.iter().map(SessionPart::len).sum::<usize>();
    }
    due.len()
}
