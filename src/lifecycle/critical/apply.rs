//! What an event does to a critical result.

use std::sync::Arc;

use super::rows::{
    CriticalChanges, CriticalDeadlineRow, CriticalOutcome, CriticalRow, CriticalStage,
};
use super::step::{CriticalSaid, CriticalStep};
use super::{CriticalClock, CriticalHead, CriticalRecord, CriticalResults};
use crate::flow::Timestamp;
use crate::lifecycle::entity::{Move, Refused, StepSaid};
use crate::lifecycle::machine::{EventWord, MachineState};
use crate::lifecycle::test::change::{Fate, RefusalReason};
use crate::reference::{CriticalStart, of_minutes};

/// Where the machine leads, and by which transition.
type WayOn = (MachineState, Arc<str>);

/// What a row is told by: its time, the watermark before it, and what the event said.
#[derive(Clone, Debug, Default)]
pub(super) struct ToldBy {
    pub(super) at: i64,
    pub(super) stood: i64,
    pub(super) said: StepSaid,
}

impl ToldBy {
    fn step(step: &CriticalStep, at: i64) -> ToldBy {
        let entity = &step.entity;
        ToldBy { at, stood: entity.watermark_before, said: entity.said.clone() }
    }
}

impl CriticalResults {
    pub(super) fn apply(&mut self, step: &CriticalStep, changes: &mut CriticalChanges) -> Fate {
        let at = self.record(step);
        let word = step.entity.word;
        let record = &self.records[at];
        let is_finished = self.rules.machine.is_finished(record.state);
        let is_ours = [self.rules.flag, self.rules.notify, self.rules.acknowledge].contains(&word);
        let fate = if is_ours && is_finished && record.is_over {
            // It was handled, or nobody had to: nothing is asked for any more.
            Fate::Repeated
        } else if !is_ours || is_finished {
            self.ask_or_refuse(at, step, changes)
        } else if word == self.rules.flag {
            self.flag(at, step, changes)
        } else {
            self.told(at, step, changes)
        };
        let record = &self.records[at];
        if record.state != MachineState::NONE {
            self.wind(at);
        } else if record.attempts == 0 && record.said.read_back.is_none() {
            self.remove(at);
        } else {
            self.may_leave(at);
        }
        fate
    }

    /// Where the machine leads from a state.
    fn way(&self, from: MachineState, word: EventWord, guards: u32) -> Option<WayOn> {
        let way = self.rules.machine.way(from, word, guards)?;
        Some((way.to, way.name.as_str().into()))
    }

    fn ask_or_refuse(
        &mut self,
        at: u32,
        step: &CriticalStep,
        changes: &mut CriticalChanges,
    ) -> Fate {
        let (word, guards) = (step.entity.word, step.entity.guards);
        let Some(way) = self.way(self.records[at].state, word, guards) else {
            return self.refuse(at, step, changes);
        };
        let told = ToldBy::step(step, step.entity.at);
        self.go(at, way, told, changes);
        Fate::Moved
    }

    /// The flag. What was done before it counts as done at once; what was done after it and told before it
    /// is done now.
    fn flag(&mut self, at: u32, step: &CriticalStep, changes: &mut CriticalChanges) -> Fate {
        let (time, word) = (step.entity.at, step.entity.word);
        let record = &self.records[at];
        if record.flagged.is_some() {
            return Fate::Repeated;
        }
        let done =
            [(record.called, self.rules.notify), (record.acknowledged, self.rules.acknowledge)];
        let before = done.iter().any(|(done, _)| done.is_some_and(|done| done <= time));
        let from = if before { record.state } else { MachineState::NONE };
        let Some(way) = self.way(from, word, step.entity.guards) else {
            return self.refuse(at, step, changes);
        };
        let clock = self.clock(step);
        let record = &mut self.records[at];
        record.state = from;
        record.flagged = Some(time);
        record.limit = clock;
        record.said = record.said.with_flag(&step.said);
        let (to, name) = (way.0, Arc::clone(&way.1));
        self.go(at, way, ToldBy::step(step, time), changes);
        if to == self.rules.exempt {
            self.judge(at, CriticalOutcome::Exempt, ToldBy::step(step, time), changes);
            if let Some(row) = changes.results.last_mut() {
                row.exempt = Some(name);
            }
        } else if self.rules.machine.is_finished(to) {
            self.judge(at, CriticalOutcome::Handled, ToldBy::step(step, time), changes);
        } else {
            self.done_since(at, done, step, changes);
        }
        Fate::Moved
    }

    /// What was told before its flag and done after it, in the order of time.
    fn done_since(
        &mut self,
        at: u32,
        done: [(Option<i64>, EventWord); 2],
        step: &CriticalStep,
        changes: &mut CriticalChanges,
    ) {
        let done = done.into_iter().filter_map(|(done, word)| Some((done?, word)));
        let mut done: Vec<(i64, EventWord)> = done.collect();
        done.sort_by_key(|(done, _)| *done);
        for (time, word) in done {
            self.overrun(at, time, changes);
            let Some(way) = self.way(self.records[at].state, word, 0) else { continue };
            self.handled(at, way, ToldBy::step(step, time), changes);
        }
    }

    /// A call or an acknowledgement.
    fn told(&mut self, at: u32, step: &CriticalStep, changes: &mut CriticalChanges) -> Fate {
        let (time, word, guards) = (step.entity.at, step.entity.word, step.entity.guards);
        let (flagged, called) = (self.rules.flagged, self.rules.called);
        let is_acknowledged = word == self.rules.acknowledge;
        let flag = self.rules.flag;
        let record = &mut self.records[at];
        record.said = record.said.with_call(&step.said, is_acknowledged);
        if is_acknowledged && step.said.read_back == Some(false) {
            // It was heard, and not understood: somebody has to call again.
            return Fate::Repeated;
        }
        if !is_acknowledged && step.said.is_unreached {
            record.attempts += 1;
            return Fate::Repeated;
        }
        let done = if is_acknowledged { &mut record.acknowledged } else { &mut record.called };
        *done = Some(done.map_or(time, |done| done.min(time)));
        let (state, is_breached, due) = (record.state, record.is_breached, record.limit.due());
        let way = match record.flagged {
            // Told late: it was done when the flag came.
            Some(at_flag) if time <= at_flag => self.way(called, flag, 0),
            Some(_) if is_acknowledged && is_breached && due.is_some_and(|due| time <= due) => {
                self.way(flagged, word, guards)
            }
            Some(_) | None => self.way(state, word, guards),
        };
        match way {
            Some(way) => {
                let time = record_time(&self.records[at], time);
                self.handled(at, way, ToldBy::step(step, time), changes);
                Fate::Moved
            }
            // A second call, or one of what is overdue: it is noted.
            None if !is_acknowledged || self.records[at].flagged.is_none() => Fate::Repeated,
            None => self.refuse(at, step, changes),
        }
    }

    /// Moves a result on, and judges it where it is over by that.
    fn handled(&mut self, at: u32, way: WayOn, told: ToldBy, changes: &mut CriticalChanges) {
        let is_over = self.rules.machine.is_finished(way.0);
        self.go(at, way, told.clone(), changes);
        if !is_over {
            return;
        }
        let record = &self.records[at];
        let in_time = record.is_in_time();
        let outcome = match (record.is_breached, in_time) {
            (false, _) => CriticalOutcome::Handled,
            (true, Some(true)) => CriticalOutcome::Overturned,
            (true, Some(false) | None) => CriticalOutcome::HandledLate,
        };
        self.judge(at, outcome, told, changes);
    }

    /// Says what became of a result; it is over, but for one that is overdue.
    pub(super) fn judge(
        &mut self,
        at: u32,
        outcome: CriticalOutcome,
        told: ToldBy,
        changes: &mut CriticalChanges,
    ) {
        let head = self.head(at, &told, changes);
        let record = &mut self.records[at];
        let goes_on = outcome == CriticalOutcome::Overdue;
        let was_said = record.is_reminded || record.is_breached;
        record.is_over |= !goes_on && outcome != CriticalOutcome::Abandoned;
        record.is_breached |= goes_on;
        if !goes_on && was_said {
            let (stage, state) = (CriticalStage::Ended, record.state);
            changes.deadlines.push(CriticalDeadlineRow { head: head.clone(), stage, state });
        }
        let flagged = record.flagged.unwrap_or(told.at);
        let before = |done: Option<i64>| done.is_some_and(|done| done <= flagged);
        changes.results.push(CriticalRow {
            head,
            outcome,
            exempt: None,
            flag: record.said.flag.clone(),
            flagged,
            start: record.limit.start,
            source: record.limit.source,
            version: Arc::clone(&record.limit.version),
            notified: record.called,
            acknowledged: record.acknowledged,
            before_flag: before(record.called) || before(record.acknowledged),
            attempts: record.attempts,
            read_back: record.said.read_back,
            channel: record.said.channel.clone(),
            role: record.said.role.clone(),
        });
    }

    /// What a row has in front.
    pub(super) fn head(&self, at: u32, told: &ToldBy, changes: &CriticalChanges) -> CriticalHead {
        let record = &self.records[at];
        CriticalHead {
            // What is told late is judged when it is told.
            at: told.at.max(told.stood),
            watermark_before: told.stood,
            cause: changes.moves.cause(),
            key: record.key.clone(),
            priority: record.said.priority.clone(),
            patient_class: record.said.patient_class.clone(),
            location: record.said.location.clone(),
            due: record.limit.due(),
            target: record.limit.target,
        }
    }

    /// Moves a result on, and says so.
    pub(super) fn go(
        &mut self,
        at: u32,
        (to, name): WayOn,
        told: ToldBy,
        changes: &mut CriticalChanges,
    ) {
        let record = &mut self.records[at];
        let from = record.state;
        let stayed =
            (from != MachineState::NONE && told.at >= record.since).then(|| told.at - record.since);
        if to != from {
            record.since = told.at;
        }
        record.state = to;
        record.version += 1;
        changes.moves.moved.push(Move {
            at: told.at,
            watermark_before: told.stood,
            cause: changes.moves.cause(),
            key: record.key.clone(),
            from,
            to,
            name,
            stayed,
            version: record.version,
            holder: None,
            in_force: None,
            said: told.said,
        });
        if self.rules.machine.is_finished(to) {
            self.may_leave(at);
        }
    }

    fn refuse(&mut self, at: u32, step: &CriticalStep, changes: &mut CriticalChanges) -> Fate {
        let entity = &step.entity;
        changes.moves.refused.push(Refused {
            noticed_at: entity.at.max(entity.watermark_before),
            watermark_before: entity.watermark_before,
            cause: changes.moves.cause(),
            key: entity.key.clone(),
            reason: RefusalReason::NotAllowed,
            state: self.records[at].state,
            word: entity.word,
        });
        Fate::Refused
    }

    /// How long there is for a result that is flagged now.
    fn clock(&self, step: &CriticalStep) -> CriticalClock {
        let (entity, said) = (&step.entity, &step.said);
        let key = |name: &str| {
            let columns = &self.rules.machine.spec.entity;
            entity.key.text(columns.iter().position(|column| column == name)?)
        };
        let targets = &self.rules.settings.reference.critical_targets;
        let class = said.patient_class.as_deref();
        let limit = targets.resolve(key("lab_id"), key("assay"), class, Timestamp(entity.at));
        let start = match limit.from {
            CriticalStart::Flagged => entity.at,
            CriticalStart::Resulted | CriticalStart::Verified => {
                said.resulted.map_or(entity.at, |resulted| resulted.min(entity.at))
            }
        };
        CriticalClock {
            start,
            target: limit.minutes.map(|minutes| of_minutes(minutes).0),
            source: limit.source.as_str(),
            version: Arc::clone(&limit.version),
        }
    }
}

/// The time of a row about something done: not before the flag.
fn record_time(record: &CriticalRecord, done: i64) -> i64 {
    record.flagged.map_or(done, |flagged| done.max(flagged))
}

impl CriticalRecord {
    /// Whether what ended it was done within its time, as all is that was done before the flag; none where
    /// it has no deadline.
    fn is_in_time(&self) -> Option<bool> {
        let due = self.limit.due()?;
        let flagged = self.flagged?;
        let by = |done: Option<i64>, limit: i64| done.is_some_and(|done| done <= limit);
        Some(by(self.called, flagged) || by(self.acknowledged, due.max(flagged)))
    }
}

impl CriticalSaid {
    /// With what the flag says of the result.
    fn with_flag(&self, flag: &CriticalSaid) -> CriticalSaid {
        CriticalSaid {
            priority: flag.priority.clone(),
            patient_class: flag.patient_class.clone(),
            location: flag.location.clone(),
            flag: flag.flag.clone(),
            ..self.clone()
        }
    }

    /// With what a call or an acknowledgement says first; an answer that was read back counts.
    fn with_call(&self, call: &CriticalSaid, is_acknowledged: bool) -> CriticalSaid {
        let read_back = match (self.read_back, call.read_back) {
            (Some(true), _) => Some(true),
            (known, Some(told)) if is_acknowledged => Some(told || known == Some(true)),
            (known, Some(_) | None) => known,
        };
        CriticalSaid {
            read_back,
            channel: self.channel.clone().or_else(|| call.channel.clone()),
            role: self.role.clone().or_else(|| call.role.clone()),
            ..self.clone()
        }
    }
}
