//! What a watermark makes due: windows fire, what they give is judged by alert rules, days settle.

use super::Stage;
use crate::alert::judging::JudgedFiring;
use crate::flow::{OutputBatch, Span, Timestamp};
use crate::metrics as names;
use crate::pipeline::tables::Tables;
use crate::pipeline::{RunError, failed};
use crate::plan::planned::PipelinePlan;

impl Stage {
    /// Fires the windows that end by a watermark, judges what they gave, and settles days.
    pub(super) async fn advance(
        &mut self,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Result<(), RunError> {
        if watermark <= self.advanced_to {
            return Ok(());
        }
        self.advanced_to = watermark;
        let extent = self.watermark.extent(empty_until);
        for place in 0..self.tables.len() {
            self.heed_stopped();
            let Some(tables) = &mut self.tables[place] else { continue };
            let (fired, settled) = match tables.advance(watermark, extent) {
                Ok(fired) => (fired, tables.settle(watermark)),
                Err(error) => {
                    self.fail(place, &error);
                    continue;
                }
            };
            if !fired.is_empty() || !settled.is_empty() {
                self.delivery.journal.flush().await?;
            }
            for batch in &fired {
                self.judge(place, batch).await?;
            }
            if !self.filing.once
                && let Err(error) = self.keep_hours(place, &fired, &settled)
            {
                self.fail(place, &error);
            }
            let now = self.clock.now();
            for day in settled {
                self.delivery.settled(day, now).await?;
            }
        }
        self.file_alerts(watermark).await
    }

    /// Judges what fired by the table's alert rules.
    async fn judge(&mut self, place: usize, fired: &OutputBatch) -> Result<(), RunError> {
        let windows = fired.windows.len() as u64;
        metrics::counter!(names::WINDOWS, "table" => fired.table.to_string()).increment(windows);
        let pipeline = &self.plan.pipelines[place];
        let rules = pipeline.rules.get(&*fired.table).map_or(&[][..], Vec::as_slice);
        let judged = self.breaches.judge(rules, firing_of(pipeline, fired));
        let judged = judged.map_err(|error| failed(&pipeline.spec.name, error))?;
        for (window, rows) in judged {
            self.delivery.alerts(fired, window, rows).await?;
        }
        Ok(())
    }

    /// Fires and settles everything, a day of event time after the other: a long window's last row
    /// is in thousands of windows, which would otherwise all be held at once. Where windows without
    /// rows fire, no further than these do.
    pub(super) async fn advance_to_the_end(
        &mut self,
        empty_until: Timestamp,
    ) -> Result<(), RunError> {
        let expects = self.tables.iter().flatten().any(Tables::expects);
        let limit = if expects { empty_until } else { Timestamp::MAX };
        let earliest = |one: (Timestamp, Span), other: (Timestamp, Span)| {
            (one.0.min(other.0), one.1.max(other.1))
        };
        loop {
            // Days in which nothing is due are passed over: there may be millions before the next row.
            let done = if expects { Timestamp::MIN } else { self.advanced_to };
            let open = self.tables.iter().flatten().flat_map(|tables| tables.open_from(done));
            let Some((first, longest)) = open.reduce(earliest) else { break };
            let reached = self.advanced_to.max(first);
            let Some(tomorrow) = reached.date().succ_opt() else { break };
            let next = Timestamp::midnight(tomorrow);
            if next >= self.largest.plus(longest) || next > limit {
                break;
            }
            self.advance(next, empty_until.min(next)).await?;
        }
        self.advance(Timestamp::MAX, empty_until).await
    }
}

/// What fired, with what its rules ask of the kind of its windows.
fn firing_of<'a>(pipeline: &PipelinePlan, fired: &'a OutputBatch) -> JudgedFiring<'a> {
    let of_table = pipeline.families.iter().find_map(|family| {
        let output = family.outputs.iter().find(|output| output.table == fired.table)?;
        Some((family, output))
    });
    JudgedFiring {
        fired,
        overlapping: of_table.is_some_and(|(_, output)| !output.is_tile()),
        keyed: of_table.is_some_and(|(family, _)| family.family.kind().is_keyed()),
    }
}
