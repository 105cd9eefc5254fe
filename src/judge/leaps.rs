//! Tells of leaps that were contradicted: counted by laboratory, and a warning that names a machine,
//! at most once a minute.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::flow::{Span, Timestamp};
use crate::metrics as names;
use crate::window::HeldBack;

/// Laboratories that are counted by name. Beyond them the counter says `other`, so that what stands
/// in events cannot make metrics without end.
const LABS_NAMED: usize = 100;

/// How often a warning may come.
const TELL_EVERY: Span = Span::MINUTE;

/// What was told.
#[derive(Default)]
pub(crate) struct Leaps {
    labs: BTreeSet<Arc<str>>,
    told_at: Option<Timestamp>,
    untold: u64,
}

impl Leaps {
    /// Takes in the leaps that a batch has contradicted.
    pub(crate) fn note(&mut self, leaps: &[HeldBack], now: Timestamp) {
        let Some(last) = leaps.last() else { return };
        for leap in leaps {
            let lab = self.label(&leap.witness.lab);
            metrics::counter!(names::LEAPS, "lab" => lab).increment(1);
        }
        self.untold += leaps.len() as u64;
        if self.told_at.is_some_and(|told| now.minus(TELL_EVERY) < told) {
            return;
        }
        tracing::warn!(
            lab = %last.witness.lab,
            machine = last.witness.machine.as_deref().unwrap_or("none"),
            event_time = %last.event_time,
            others = %last.line,
            events = self.untold,
            "events are dated ahead of those that followed them, and move no time on; look at this \
             machine's clock, and at `quality` for all of them"
        );
        (self.told_at, self.untold) = (Some(now), 0);
    }

    fn label(&mut self, lab: &Arc<str>) -> String {
        if !self.labs.contains(lab) {
            if self.labs.len() >= LABS_NAMED {
                return "other".to_owned();
            }
            self.labs.insert(Arc::clone(lab));
        }
        lab.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_laboratories_are_named() {
        let mut leaps = Leaps::default();
        let labels: BTreeSet<String> =
            (0..300).map(|lab| leaps.label(&format!("lab-{lab}").into())).collect();
        assert_eq!(labels.len(), 101);
        assert_eq!(leaps.label(&"lab-7".into()), "lab-7");
        assert_eq!(leaps.label(&"lab-100".into()), "other");
    }
}
