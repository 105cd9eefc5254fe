//! Calendar windows: each period of each zone fires once, with what was collected for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Result;

use super::{Engine, Pending, ROWS_PER_BATCH};
use crate::flow::{OutputBatch, Timestamp};
use crate::sql::family::Zones;
use crate::sql::output::Fired;
use crate::sql::partial::Chunk;
use crate::window::Period;

impl Engine {
    pub(super) fn advance_calendar(
        &mut self,
        zones: &Zones,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Result<Vec<OutputBatch>> {
        let mut pending = Pending::new();
        let mut out = Vec::new();
        for period in self.due_periods(zones, watermark, empty_until) {
            let chunks = self.periods.remove(&(period.window.end, period)).unwrap_or_default();
            self.fire_period(zones, period, &chunks, &mut pending)?;
            if pending.groups.len() >= ROWS_PER_BATCH || self.tables[0].sliding.is_none() {
                out.extend(self.finish_with(0, std::mem::take(&mut pending), &chunks)?);
            }
        }
        if !pending.windows.is_empty() {
            out.extend(self.finish(0, pending)?);
        }
        Ok(out)
    }

    /// The periods to fire, in the order of their ends: those with rows, and those in which groups
    /// are expected.
    fn due_periods(
        &mut self,
        zones: &Zones,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Vec<Period> {
        let held = self.periods.keys().take_while(|(end, _)| *end <= watermark);
        let mut due: BTreeSet<(Timestamp, Period)> = held.copied().collect();
        if self.expected.is_some() {
            let table = &mut self.tables[0];
            let first = due.first().map(|(_, period)| *period);
            for (calendar, next) in zones.calendars().iter().zip(&mut table.next_period) {
                if next.is_none() {
                    *next = first.map(|first| calendar.period_of(first.window.start));
                }
                let last_held = due.last().map_or(Timestamp::MIN, |(end, _)| *end);
                let until = empty_until.min(watermark).max(last_held.min(watermark));
                while let Some(period) = next.filter(|period| period.window.end <= until) {
                    due.insert((period.window.end, period));
                    *next = Some(calendar.next(&period));
                }
            }
        }
        due.into_iter().map(|(_, period)| period).collect()
    }

    fn fire_period(
        &mut self,
        zones: &Zones,
        period: Period,
        chunks: &[Arc<Chunk>],
        pending: &mut Pending,
    ) -> Result<()> {
        let table = &mut self.tables[0];
        let fired = Fired::of_period(period);
        let Some(sliding) = &mut table.sliding else {
            pending.of_row.push(pending.windows.len() as u32);
            pending.groups.push(0);
            pending.windows.push(fired);
            return Ok(());
        };
        sliding.clear();
        for chunk in chunks {
            sliding.enter(chunk, 0, self.keys.len())?;
        }
        let mut groups = sliding.groups(&self.keys).to_vec();
        if let Some(expected) = &mut self.expected {
            let here = |lab: &str| {
                zones.calendars()[zones.of_lab(lab)].period_of(period.window.start) == period
            };
            expected.complete(&mut groups, &mut self.keys, Some(&here))?;
        }
        sliding.read(&groups, self.keys.len(), || chunks.iter().map(Arc::as_ref).collect())?;
        pending.of_row.extend(std::iter::repeat_n(pending.windows.len() as u32, groups.len()));
        pending.groups.extend(groups);
        pending.windows.push(fired);
        Ok(())
    }
}
