//! What a test's target is, and what follows from it: looked up by the codes of texts, so that each text
//! is asked for once.

use std::sync::Arc;

use super::record::{TestRecord, Time, Urgency};
use crate::flow::{Span, Timestamp};
use crate::lifecycle::texts::{CodedColumn, NO_TEXT, RunTexts};
use crate::reference::{
    Hours, Properties, Reference, ResolvedTarget, TargetClock, TargetSource, deadline, of_minutes,
    property,
};

/// In the place of the number of an origin: no target has been asked for.
pub(in crate::lifecycle) const NO_ORIGIN: u32 = u32::MAX;

/// Where a target comes from, and by which minutes it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetOrigin {
    /// What told it.
    pub source: TargetSource,
    /// Since when that is valid, RFC 3339; empty where it is always.
    pub version: Arc<str>,
    /// Which minutes count.
    pub clock: TargetClock,
}

/// A test's target and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TestTarget {
    /// How long, in microseconds; none without a deadline.
    pub(super) target: Time,
    pub(super) due: Time,
    pub(super) risk: Time,
    /// The number of its origin.
    pub(super) origin: u32,
}

/// Finds the targets of the tests of one partition.
#[derive(Debug)]
pub(super) struct TargetFinder {
    reference: Arc<Reference>,
    texts: Arc<RunTexts>,
    at_risk_share: f64,
    labs: Vec<u128>,
    assays: Vec<u128>,
    classes: Vec<u128>,
    priorities: [u128; Urgency::LETTERS.len()],
    /// By the code of the laboratory.
    hours: Vec<Arc<Hours>>,
    always: Arc<Hours>,
    origins: Vec<TargetOrigin>,
}

impl TargetFinder {
    pub(super) fn new(
        reference: Arc<Reference>,
        texts: Arc<RunTexts>,
        at_risk_share: f64,
    ) -> TargetFinder {
        TargetFinder {
            reference,
            texts,
            at_risk_share,
            labs: Vec::new(),
            assays: Vec::new(),
            classes: Vec::new(),
            priorities: Urgency::LETTERS.map(|letter| property(letter.as_bytes())),
            hours: Vec::new(),
            always: Arc::new(Hours::always()),
            origins: Vec::new(),
        }
    }

    /// The target of a test whose clock has started, in the laboratory of this code.
    pub(super) fn of(&mut self, test: &TestRecord, lab: u32) -> Option<TestTarget> {
        let clock_start = test.clock_start.get()?;
        let found = self.found(test, lab, clock_start);
        let collected = test.collected.get().map(Timestamp);
        let start = found.starts_at(Timestamp(clock_start), collected);
        let start = test.risen.get().map_or(start, |risen| start.max(Timestamp(risen)));
        let hours = match found.clock {
            TargetClock::Wall => None,
            TargetClock::Working => self.hours_of(lab),
        };
        let hours = hours.unwrap_or_else(|| Arc::clone(&self.always));
        let at = |time: Option<Timestamp>| time.map_or(Time::NONE, |time| Time::at(time.0));
        let target = found.minutes.map_or(Time::NONE, |minutes| Time::at(of_minutes(minutes).0));
        let due = at(found.due_at(start, &hours));
        let risk = at(found.share_at(start, &hours, self.at_risk_share));
        let ResolvedTarget { source, version, clock, .. } = found;
        let origin = self.origin_number(TargetOrigin { source, version, clock });
        Some(TestTarget { target, due, risk, origin })
    }

    /// The profile's own minutes take the place of those that the reference tells.
    fn found(&mut self, test: &TestRecord, lab: u32, at: i64) -> ResolvedTarget {
        let properties: Properties = [
            known(&mut self.labs, &self.texts, CodedColumn::Lab, lab),
            known(&mut self.assays, &self.texts, CodedColumn::Assay, test.assay),
            Some(self.priorities[test.priority.0 as usize]),
            known(&mut self.classes, &self.texts, CodedColumn::Class, test.class),
        ];
        let found = self.reference.targets.find(&properties, Timestamp(at)).clone();
        let Some(profile) = test.profile.get() else { return found };
        let minutes = deadline(profile as f64 / Span::MINUTE.0 as f64);
        ResolvedTarget { minutes, source: TargetSource::Profile, version: "".into(), ..found }
    }

    /// Working time between two instants in a laboratory; none where one is unknown or it is negative.
    pub(super) fn working(&mut self, lab: u32, from: Time, to: Time) -> Option<i64> {
        to.since(from)?;
        let (from, to) = (Timestamp(from.get()?), Timestamp(to.get()?));
        let hours = self.hours_of(lab);
        Some(hours.map_or(to.0 - from.0, |hours| hours.working_between(from, to).0))
    }

    /// The opening hours of a laboratory; none of an event without one.
    fn hours_of(&mut self, lab: u32) -> Option<Arc<Hours>> {
        if lab == NO_TEXT {
            return None;
        }
        while self.hours.len() <= lab as usize {
            let name = self.texts.text(CodedColumn::Lab, self.hours.len() as u32);
            let lab = self.reference.labs.of(name.as_deref().unwrap_or_default());
            self.hours.push(Arc::clone(&lab.hours));
        }
        self.hours.get(lab as usize).cloned()
    }

    fn origin_number(&mut self, origin: TargetOrigin) -> u32 {
        let known = self.origins.iter().position(|known| *known == origin);
        let number = known.unwrap_or_else(|| {
            self.origins.push(origin);
            self.origins.len() - 1
        });
        number as u32
    }

    /// The origin of a number.
    pub(super) fn origin(&self, number: u32) -> Option<TargetOrigin> {
        self.origins.get(number as usize).cloned()
    }
}

/// The property that a text is, by its code.
fn known(
    properties: &mut Vec<u128>,
    texts: &RunTexts,
    column: CodedColumn,
    code: u32,
) -> Option<u128> {
    if code == NO_TEXT {
        return None;
    }
    while properties.len() <= code as usize {
        let text = texts.text(column, properties.len() as u32);
        properties.push(property(text.as_deref().unwrap_or_default().as_bytes()));
    }
    properties.get(code as usize).copied()
}
