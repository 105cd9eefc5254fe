//! The end of a run: what is open fires or stays, what is being put is waited for, cards are delivered.

use std::time::Duration;

use super::Stage;
use crate::alert::judging::Breaches;
use crate::flow::Timestamp;
use crate::lake::LakeError;
use crate::pipeline::RunError;
use crate::pipeline::progress::Summary;
use crate::pipeline::tables::Tables;

impl Stage {
    /// Ends the run after the loop has: waits for what is being put, and in every case for the cards.
    /// What waits in vain is said.
    pub async fn finish(
        mut self,
        outcome: Result<(), RunError>,
        empty_until: Option<Timestamp>,
        patience: Duration,
    ) -> Result<Summary, RunError> {
        let outcome = match outcome {
            Ok(()) => self.finish_lake(empty_until).await,
            Err(error) => Err(error),
        };
        let put = self.delivery.puts.finish().await.map_err(RunError::from);
        let stopped = self.stopped();
        let tables = self.tables.iter().flatten().flat_map(Tables::tallies);
        let tables = tables.map(|(table, tally)| (table.to_string(), tally)).collect();
        let Breaches { cards, last_cards, faults, .. } = &mut self.breaches;
        let (cards, last_cards) = (*cards, std::mem::take(last_cards));
        let rule_faults = std::mem::take(faults);
        let outcome = self.said_what_is_due(outcome.and(put));
        let report = self.breaches.drain(patience).await;
        if let Err(error) = outcome {
            for title in &report.undelivered {
                tracing::warn!("not delivered before the end: {title}");
            }
            return Err(error);
        }
        Ok(Summary {
            counts: self.counts,
            tables,
            objects: self.delivery.puts.objects,
            bytes: self.delivery.puts.bytes,
            cards,
            delivered: report.delivered,
            undelivered: report.undelivered,
            held: report.held,
            cards_kept: report.kept,
            largest: (self.largest > Timestamp::MIN).then_some(self.largest),
            seconds: 0.0,
            interrupted: self.interrupted,
            stopped,
            rule_faults,
            scattered: self.scattering.found(),
            last_cards,
        })
    }

    /// Where the input has ended every window that holds rows fires and every day settles; where the
    /// run was stopped, what is open stays open and will be computed again from the input.
    async fn finish_lake(&mut self, empty_until: Option<Timestamp>) -> Result<(), RunError> {
        if self.filing.once && !self.interrupted {
            let until = empty_until.or(self.reached).unwrap_or(self.largest);
            self.advance_to_the_end(until).await?;
            let cabinets = std::mem::take(&mut self.cabinets);
            for (partition, mut cabinet) in cabinets {
                for object in cabinet.finish() {
                    self.delivery.filed(&partition, object).await?;
                }
            }
        }
        self.put_live(false).await?;
        self.delivery.puts.finish().await?;
        if !self.filing.once {
            self.delivery.journal.tidy().await;
        } else if !self.interrupted {
            self.delivery.sweep_all().await;
        }
        Ok(())
    }

    /// The run's outcome; where it was stopped while the lake was away, with what is due.
    fn said_what_is_due(&self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        match (self.delivery.due(), outcome) {
            (Some(due), Ok(()) | Err(RunError::Lake(LakeError::Stopped { .. }))) => Err(due.into()),
            (_, outcome) => outcome,
        }
    }
}
