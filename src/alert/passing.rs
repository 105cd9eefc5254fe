//! Judges the alert rules of a row-level table over rows as they come, each at its own time: nobody
//! waits for a window to close.
//!
//! A row speaks of its own group alone. Rows that neither begin nor end anything are passed over.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result;

use super::judging::{Breaches, JudgedFiring, Judgement, Rule};
use crate::flow::{OutputBatch, TimedRows, Timestamp, Window};

impl Breaches {
    /// Judges rows of a table, in the order of their times; gives the rows of `alerts/` for each time
    /// that has some.
    ///
    /// # Errors
    /// When rows cannot be taken out, which is a fault of ours.
    pub fn judge_passing(
        &mut self,
        rules: &[Rule],
        table: &Arc<str>,
        passing: &TimedRows,
    ) -> Result<Vec<(Timestamp, Vec<RecordBatch>)>> {
        let Some((rows, times)) = self.of_concern(rules, table, passing)? else {
            return Ok(Vec::new());
        };
        let judged: Vec<(&Rule, Judgement)> =
            rules.iter().map(|rule| (rule, rule.judge(&rows))).collect();
        let (date, windows) = (times[0].date(), Vec::new());
        let fired = OutputBatch { table: Arc::clone(table), date, windows, revision: 0, rows };
        let firing = JudgedFiring { fired: &fired, overlapping: false, keyed: true };
        let mut logged = Vec::new();
        let mut start = 0;
        for at in times.chunk_by(|one, other| one == other) {
            let (time, length) = (at[0], at.len());
            let window = Window { start: time, end: time };
            let alerts = self.judge_window(firing, &judged, window, start..start + length);
            start += length;
            if !alerts.is_empty() {
                logged.push((time, alerts));
            }
        }
        self.name_the_last();
        Ok(logged)
    }

    /// The rows that may begin or end a breach, in the order of their times; none where there is none.
    fn of_concern(
        &mut self,
        rules: &[Rule],
        table: &str,
        TimedRows { rows, times }: &TimedRows,
    ) -> Result<Option<(RecordBatch, Vec<Timestamp>)>> {
        let mut concerns = vec![false; rows.num_rows()];
        for rule in rules {
            let judgement = rule.judge(rows);
            if let Some(failed) = &judgement.failed {
                self.fault(&rule.rule.name, failed.rows.count_set_bits(), &failed.reason);
            }
            let ends_by_any = rule.until.is_none() && self.has_open(&rule.rule.name, table);
            note(&judgement.when, &mut concerns);
            judgement.until.iter().for_each(|until| note(until, &mut concerns));
            concerns.iter_mut().for_each(|concerns| *concerns |= ends_by_any);
        }
        let mut chosen: Vec<u32> =
            (0..rows.num_rows() as u32).filter(|row| concerns[*row as usize]).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        chosen.sort_by_key(|row| times[*row as usize]);
        let of_chosen = chosen.iter().map(|row| Timestamp(times[*row as usize])).collect();
        let rows = take_record_batch(rows, &UInt32Array::from(chosen))?;
        Ok(Some((rows, of_chosen)))
    }
}

fn note(holds: &BooleanArray, concerns: &mut [bool]) {
    for (row, concerns) in concerns.iter_mut().enumerate() {
        *concerns |= holds.is_valid(row) && holds.value(row);
    }
}
