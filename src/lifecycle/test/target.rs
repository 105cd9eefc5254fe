//! What a test's target is, and what follows from it: looked up by the codes of texts, so that each text
//! is asked for once.

use std::sync::Arc;

use super::record::{TestRecord, TestTarget, Time, Urgency};
use crate::flow::{Span, Timestamp};
use crate::lifecycle::texts::{CodedColumn, NO_TEXT, RunTexts};
use crate::reference::{
    Hours, Properties, Reference, Target, TargetClock, TargetSource, Targets, deadline, of_minutes,
    property,
};

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

/// Finds the targets of the tests of one partition.
#[derive(Debug)]
pub(super) struct TargetFinder {
    reference: Arc<Reference>,
    /// Those of the reference, with what the partition's centres have published.
    targets: Arc<Targets>,
    /// What they publish up to then is known to the step in hand.
    now: Timestamp,
    texts: Arc<RunTexts>,
    at_risk_share: f64,
    labs: Vec<u128>,
    assays: Vec<u128>,
    classes: Vec<u128>,
    priorities: [u128; Urgency::LETTERS.len()],
    /// By the code of the assay, how long its specimen may wait, and at risk from when on.
    holds: Vec<Option<(i64, i64)>>,
    /// By the code of the laboratory.
    hours: Vec<Arc<Hours>>,
    /// The version of what has none.
    none: Arc<str>,
    origins: Vec<TargetOrigin>,
}

impl TargetFinder {
    pub(super) fn new(
        reference: Arc<Reference>,
        texts: Arc<RunTexts>,
        at_risk_share: f64,
    ) -> TargetFinder {
        TargetFinder {
            targets: Arc::clone(&reference.targets),
            now: Timestamp::MIN,
            reference,
            texts,
            at_risk_share,
            labs: Vec::new(),
            assays: Vec::new(),
            classes: Vec::new(),
            priorities: Urgency::LETTERS.map(|letter| property(letter.as_bytes())),
            holds: Vec::new(),
            hours: Vec::new(),
            none: "".into(),
            origins: Vec::new(),
        }
    }

    /// The target of a test whose clock has started, in the laboratory of this code. The profile's own
    /// minutes take the place of those that the reference tells.
    pub(super) fn of(&mut self, test: &TestRecord, lab: u32) -> Option<TestTarget> {
        let clock_start = test.clock_start.get()?;
        let TargetFinder { targets, texts, labs, assays, classes, origins, .. } = self;
        let properties: Properties = [
            known(labs, texts, CodedColumn::Lab, lab),
            known(assays, texts, CodedColumn::Assay, test.assay),
            Some(self.priorities[test.priority.0 as usize]),
            known(classes, texts, CodedColumn::Class, test.class),
        ];
        // The version that was valid at the receipt counts.
        let received = Timestamp(test.received.get().unwrap_or(clock_start));
        let found = targets.find_known(&properties, received, self.now);
        let profile = test.profile.get().map(|profile| profile as f64 / Span::MINUTE.0 as f64);
        let minutes = profile.map_or(found.minutes, deadline);
        let origin = match profile {
            None => origin_number(origins, (found.source, found.clock), &found.version),
            Some(_) => origin_number(origins, (TargetSource::Profile, found.clock), &self.none),
        };
        let collected = test.collected.get().map(Timestamp);
        let start = found.starts_at(Timestamp(clock_start), collected);
        let start = test.risen.get().map_or(start, |risen| start.max(Timestamp(risen)));
        let Some(minutes) = minutes else {
            let none = Time::NONE;
            return Some(TestTarget { target: none, due: none, risk: none, origin });
        };
        let clock = found.clock;
        let after = |share: f64| of_minutes(minutes * share);
        let [due, risk] = [after(1.0), after(self.at_risk_share)].map(|span| {
            let hours = if clock == TargetClock::Working { self.hours_of(lab) } else { None };
            Time::at(hours.map_or(start.plus(span), |hours| hours.deadline(start, span)).0)
        });
        Some(TestTarget { target: Time::at(after(1.0).0), due, risk, origin })
    }

    /// Whether any assay's specimen may wait for so long and no longer.
    #[inline]
    pub(super) fn has_holds(&self) -> bool {
        self.reference.assays.has_holds()
    }

    /// How long a specimen of the assay of this code may wait, and from when on it is at risk.
    pub(super) fn hold(&mut self, assay: u32) -> Option<(i64, i64)> {
        if assay == NO_TEXT {
            return None;
        }
        while self.holds.len() <= assay as usize {
            let name = self.texts.text(CodedColumn::Assay, self.holds.len() as u32);
            let most = self.reference.assays.max_hold(name.as_deref().unwrap_or_default());
            let hold =
                most.map(|most| (most.0, (most.0 as f64 * self.at_risk_share).round() as i64));
            self.holds.push(hold);
        }
        self.holds.get(assay as usize).copied().flatten()
    }

    /// What centres publish up to `now` is known to the step in hand.
    #[inline]
    pub(super) fn work_at(&mut self, now: i64) {
        self.now = Timestamp(now);
    }

    /// A centre of the partition has published targets for tests received from then on.
    pub(super) fn publish(&mut self, lab_id: &str, rows: &[Target], valid_from: Timestamp) {
        Arc::make_mut(&mut self.targets).publish(lab_id, rows, valid_from);
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

    /// All origins so far, by number.
    pub(super) fn origins(&self) -> &[TargetOrigin] {
        &self.origins
    }
}

/// The number of an origin; there are as many as there are versions of the reference data.
fn origin_number(
    origins: &mut Vec<TargetOrigin>,
    (source, clock): (TargetSource, TargetClock),
    version: &Arc<str>,
) -> u32 {
    let is_it = |known: &TargetOrigin| {
        let same = Arc::ptr_eq(&known.version, version) || known.version == *version;
        known.source == source && known.clock == clock && same
    };
    let known = origins.iter().position(is_it);
    let number = known.unwrap_or_else(|| {
        origins.push(TargetOrigin { source, version: Arc::clone(version), clock });
        origins.len() - 1
    });
    number as u32
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
