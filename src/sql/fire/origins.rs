//! Where the rows that windows count came from, for the notes of the objects they are put in.

use std::ops::RangeBounds;
use std::sync::Arc;

use chrono::NaiveDate;

use super::Engine;
use crate::flow::{OffsetRange, Partition, Timestamp, Window};
use crate::sql::collect::family::Family;
use crate::sql::collect::slice_key::SliceKey;
use crate::window::OffsetsByPartition;

impl Engine {
    pub(crate) fn note_origins(
        &mut self,
        origins: &[(SliceKey, OffsetRange)],
        partition: &Arc<Partition>,
    ) {
        for (slice, range) in origins {
            match slice {
                SliceKey::Pane { pane, ready } => {
                    self.fixed.origins.add(*pane, *ready, partition, *range);
                }
                SliceKey::Period { period, revision } => {
                    let since = i64::from(*revision);
                    self.calendar.origins.add(*period, since, partition, *range);
                }
                // Noted by `Sessions`.
                SliceKey::Session(_) => {}
            }
        }
    }

    /// Where the rows came from that a window of a table counts in a revision.
    pub fn origins_of(&self, window: Window, revision: u32) -> OffsetsByPartition {
        match self.family.as_ref() {
            Family::Fixed { grid, .. } => {
                let (start, end) = (grid.pane_of(window.start.0), grid.pane_of(window.end.0));
                let bound = grid.bound(end, revision);
                self.fixed.origins.over(start..end, |_, ready| ready <= bound)
            }
            Family::Calendar(_) => {
                let of = |period: &crate::window::Period| period.window == window;
                let revision = i64::from(revision);
                self.calendar.origins.over(.., |period, since| of(period) && since <= revision)
            }
            Family::Session(_) => self.session_origins(window..=window),
        }
    }

    /// Where the rows came from that the windows of a table's day count in their last revision.
    pub fn origins_of_day(&self, table: usize, date: NaiveDate) -> OffsetsByPartition {
        match self.family.as_ref() {
            Family::Fixed { grid, shapes } => {
                let shape = shapes[table];
                let midnight = |date: NaiveDate| grid.pane_of(Timestamp::midnight(date).0 - 1) + 1;
                let first = shape.align_up(midnight(date));
                let next = shape.align_up(midnight(date.succ_opt().unwrap_or(date)));
                let last_end = next - shape.slide + shape.size;
                let last = grid.lateness().revisions();
                self.fixed.origins.over(first..last_end, |pane, ready| {
                    ready <= grid.bound(shape.last_end(*pane).min(last_end), last)
                })
            }
            Family::Calendar(_) => {
                self.calendar.origins.over(.., |period, _| period.local_start.date() == date)
            }
            Family::Session(_) => {
                let of = |date| Window { start: Timestamp::midnight(date), end: Timestamp::MIN };
                let next = date.succ_opt().unwrap_or(date);
                self.session_origins(of(date)..of(next))
            }
        }
    }

    /// Forgets where rows came from that only days before `date` count.
    pub fn forget_origins(&mut self, date: NaiveDate) {
        if let Family::Fixed { grid, .. } = self.family.as_ref() {
            let first = grid.pane_of(Timestamp::midnight(date).0);
            self.fixed.origins.retain(|pane| *pane >= first);
        }
        self.calendar.origins.retain(|period| period.local_start.date() >= date);
        if let Some(sessions) = &mut self.sessions {
            sessions.origins.retain(|window| window.start.date() >= date);
        }
    }

    fn session_origins(&self, windows: impl RangeBounds<Window>) -> OffsetsByPartition {
        let sessions = self.sessions.as_ref();
        sessions.map_or_else(OffsetsByPartition::new, |sessions| {
            sessions.origins.over(windows, |_, _| true)
        })
    }
}
