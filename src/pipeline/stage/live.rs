//! What of days that have not settled is put into `live/`.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::DataFusionError;

use super::{REST, Stage};
use crate::flow::OutputBatch;
use crate::lake::write::Settled;
use crate::lake::write::live::{Moment, WindowHours};
use crate::pipeline::RunError;
use crate::plan::planned::PipelinePlan;

/// The hours of a pipeline's tables, of which nothing has fired.
pub(super) fn hours_of(pipeline: &PipelinePlan) -> WindowHours {
    let mut hours = WindowHours::default();
    for family in &pipeline.families {
        let closes_after = family.family.kind().closes_after(pipeline.spec.allowed_lateness);
        for output in &family.outputs {
            hours.table(&output.table, closes_after, family.family.kind().is_keyed());
        }
    }
    hours
}

impl Stage {
    /// Puts what of days that have not settled is to be seen; `reading` says whether more of the
    /// input follows at once.
    pub(super) async fn put_live(&mut self, reading: bool) -> Result<(), RunError> {
        if self.filing.once {
            return Ok(());
        }
        let now = self.clock.now();
        let (watermark, follows_clock) = (self.watermark.current(), self.filing.record_times);
        if reading {
            self.read_at = Some(now);
        }
        let rests = !reading && self.read_at.is_none_or(|read| read.plus(REST) <= now);
        let moment = Moment { watermark, now, reading, rests, follows_clock };
        let (mut due, mut failed) = (Vec::new(), Vec::new());
        let pipelines = self.tables.iter_mut().zip(&mut self.hours).enumerate();
        for (place, (tables, hours)) in pipelines {
            let Some(tables) = tables else { continue };
            let present = |table: &Arc<str>| {
                let Some(past) = moment.past() else { return NaiveDate::MIN };
                let present = tables.first_present(table, past);
                let stays = self.delivery.first_staying_live(table);
                stays.map_or(present, |stays| stays.min(present))
            };
            let objects = hours.due(moment, present, &mut self.keeper);
            match objects.and_then(|objects| Ok((objects, tables.live_rows(moment)?))) {
                Ok((objects, rows)) => due.extend(objects.into_iter().chain(rows)),
                Err(error) => failed.push((place, error)),
            }
        }
        for (place, error) in failed {
            self.fail(place, &error);
        }
        if !due.is_empty() {
            self.delivery.journal.flush().await?;
        }
        for object in due {
            self.delivery.live(object).await?;
        }
        Ok(())
    }

    /// Notes what `live/` is to be filled from.
    pub(super) fn keep_hours(
        &mut self,
        place: usize,
        fired: &[OutputBatch],
        settled: &[Settled],
    ) -> Result<(), DataFusionError> {
        for batch in fired {
            let tables = self.tables[place].as_ref();
            let origins = tables.map_or_else(Vec::new, |tables| tables.origins_of(batch));
            self.hours[place].add(batch, origins, &mut self.keeper)?;
        }
        for day in settled {
            if !self.delivery.stays_live(&day.table, day.date) {
                self.hours[place].settled(&day.table, day.date);
            }
        }
        Ok(())
    }
}
