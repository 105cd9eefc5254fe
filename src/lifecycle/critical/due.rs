//! What time brings about: a reminder, a breach, and the end of what nobody tells of.

use std::sync::Arc;

use super::apply::ToldBy;
use super::rows::{CriticalChanges, CriticalDeadlineRow, CriticalOutcome, CriticalStage};
use super::rules::Due;
use super::{Brought, CriticalResults};
use crate::lifecycle::spec::TimerWhen;
use crate::lifecycle::wheel::WheelTimer;

impl CriticalResults {
    /// What comes next of a result, and when.
    fn due(&self, at: u32) -> Option<(i64, Due)> {
        let record = &self.records[at];
        let clock = &record.limit;
        let share = |thousandths: i64| {
            let part = clock.target?.checked_mul(thousandths)? / 1000;
            clock.start.checked_add(part)
        };
        let reminder = (self.rules.settings.reminder_share * 1000.0).round() as i64;
        let waits = !record.is_reminded && self.rules.runs(record.state);
        let reminder = waits.then(|| share(reminder)).flatten();
        let reminder = reminder.map(|time| (time, Due::Reminder));
        let timers = self.rules.timers(record.state).filter_map(|(number, when)| {
            let time = match when {
                TimerWhen::Share(thousandths) => share(i64::from(*thousandths))?,
                TimerWhen::After(span) => record.since.checked_add(span.0)?,
                TimerWhen::At(..) | TimerWhen::Silence(_) => return None,
            };
            Some((time, Due::Timer(number)))
        });
        // Of equal times the first: the reminder.
        reminder.into_iter().chain(timers).min_by_key(|(time, _)| *time)
    }

    /// Sets a result's timer for what comes next.
    pub(super) fn wind(&mut self, at: u32) {
        let next = self.due(at).map(|(time, _)| time);
        let record = &mut self.records[at];
        let is_earlier = next.is_some() && record.timer.is_none_or(|timer| next < Some(timer));
        let born = record.born;
        if let Some(time) = next.filter(|_| is_earlier) {
            record.timer = Some(time);
            self.order.wheel.set(WheelTimer { at: time, born, entity: at });
        }
    }

    /// Does what a timer does, if it is still set.
    pub(super) fn timer_went_off(
        &mut self,
        timer: WheelTimer,
        brought: Brought,
        changes: &mut CriticalChanges,
    ) {
        let WheelTimer { at: time, born, entity: at } = timer;
        let record = &self.records[at];
        if record.timer != Some(time) || record.born != born {
            return;
        }
        let due = self.due(at).filter(|(at, _)| *at == time);
        self.records[at].timer = None;
        if let Some((_, due)) = due {
            changes.moves.by_time(brought);
            self.came(at, (time, due), changes);
        }
        self.wind(at);
    }

    /// Lets come what comes of a result before `until`.
    pub(super) fn overrun(&mut self, at: u32, until: i64, changes: &mut CriticalChanges) {
        while let Some((time, due)) = self.due(at).filter(|(time, _)| *time < until) {
            self.came(at, (time, due), changes);
        }
    }

    fn came(&mut self, at: u32, (time, due): (i64, Due), changes: &mut CriticalChanges) {
        let record = &mut self.records[at];
        // A clock that began before the flag may have run when the flag came.
        let at_row = record.flagged.map_or(time, |flagged| time.max(flagged));
        // Time is on time, unless a late event let it begin in the past.
        let told = ToldBy { at: at_row, stood: at_row.max(self.order.passed), ..ToldBy::default() };
        let number = match due {
            Due::Reminder => {
                record.is_reminded = true;
                return self.deadline(at, CriticalStage::Reminder, &told, changes);
            }
            Due::Timer(number) => number,
        };
        let timer = &self.rules.machine.timers[number];
        let (to, name) = (timer.to, Arc::from(timer.name.as_str()));
        self.go(at, (to, name), told.clone(), changes);
        if to == self.rules.breached {
            self.deadline(at, CriticalStage::Breached, &told, changes);
            self.judge(at, CriticalOutcome::Overdue, told, changes);
        } else if self.records[at].is_breached {
            self.deadline(at, CriticalStage::Ended, &told, changes);
        } else if self.records[at].flagged.is_some() {
            self.judge(at, CriticalOutcome::Abandoned, told, changes);
        }
    }

    fn deadline(
        &self,
        at: u32,
        stage: CriticalStage,
        told: &ToldBy,
        changes: &mut CriticalChanges,
    ) {
        let (head, state) = (self.head(at, told, changes), self.records[at].state);
        changes.deadlines.push(CriticalDeadlineRow { head, stage, state });
    }
}
