//! Rows of `alerts/` that row-level tables bring: put together in stretches of five minutes, and filed
//! once the watermark has passed these.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::Stage;
use crate::flow::{OutputBatch, Span, TimedRows, Timestamp, Window};
use crate::pipeline::RunError;

/// How long a stretch is.
const STRETCH: Span = Span(5 * Span::MINUTE.0);
/// How long it is known that a stretch has been filed: what comes later than that is late for every
/// table.
const KNOWN_FOR: Span = Span(8 * Span::DAY.0);

/// Rows that wait, by the end of their stretch and their table.
#[derive(Default)]
pub(super) struct RowAlerts {
    waiting: BTreeMap<(Timestamp, Arc<str>), Vec<RecordBatch>>,
    /// How often each stretch has been filed.
    filed: BTreeMap<(Timestamp, Arc<str>), u32>,
}

/// Rows that are to be filed.
struct AlertStretch {
    /// Of which table, stretch and revision; without rows of its own.
    of: OutputBatch,
    window: Window,
    rows: Vec<RecordBatch>,
}

impl RowAlerts {
    fn add(&mut self, table: &Arc<str>, at: Timestamp, rows: Vec<RecordBatch>) {
        let end = Timestamp(at.0.div_euclid(STRETCH.0).saturating_add(1).saturating_mul(STRETCH.0));
        self.waiting.entry((end, Arc::clone(table))).or_default().extend(rows);
    }

    /// Takes out what a watermark has passed.
    fn due(&mut self, watermark: Timestamp) -> Vec<AlertStretch> {
        let mut due = Vec::new();
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= watermark
        {
            let ((end, table), rows) = entry.remove_entry();
            let filed = self.filed.entry((end, Arc::clone(&table))).or_default();
            let revision = std::mem::replace(filed, *filed + 1);
            let window = Window { start: end.minus(STRETCH), end };
            let none = RecordBatch::new_empty(rows[0].schema());
            let (date, windows) = (window.start.date(), vec![window]);
            let of = OutputBatch { table, date, windows, revision, rows: none };
            due.push(AlertStretch { of, window, rows });
        }
        self.filed.retain(|(end, _), _| end.plus(KNOWN_FOR) > watermark);
        due
    }
}

impl Stage {
    /// Judges rows of a pipeline that pass without a window: cards are made at once.
    pub(super) fn judge_passing(&mut self, place: usize, table: &Arc<str>, passing: &[TimedRows]) {
        let pipeline = &self.plan.pipelines[place];
        let Some(rules) = pipeline.rules.get(&**table) else { return };
        for rows in passing {
            match self.breaches.judge_passing(rules, table, rows) {
                Ok(judged) => {
                    for (at, rows) in judged {
                        self.row_alerts.add(table, at, rows);
                    }
                }
                Err(error) => {
                    self.fail(place, &error);
                    return;
                }
            }
        }
    }

    /// Files what was judged before a watermark.
    pub(super) async fn file_alerts(&mut self, watermark: Timestamp) -> Result<(), RunError> {
        for AlertStretch { of, window, rows } in self.row_alerts.due(watermark) {
            self.delivery.alerts(&of, window, rows).await?;
        }
        Ok(())
    }
}
