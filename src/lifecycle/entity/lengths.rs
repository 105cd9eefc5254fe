//! How long timers of entities run, by reference data.

use std::sync::Arc;

use chrono_tz::Tz;

use super::step::Key;
use super::timers::Lengths;
use crate::flow::Timestamp;
use crate::lifecycle::machine::StateMachine;
use crate::reference::{KnownLab, Reference, TargetClock, TargetOf, of_minutes};

/// What reference data says of the entities of one machine, as far as their keys tell what they are.
#[derive(Debug)]
pub struct ReferenceLengths {
    reference: Arc<Reference>,
    /// Where the key has the laboratory, the instrument, the assay, the priority and the class.
    places: [Option<usize>; 5],
}

impl ReferenceLengths {
    /// For the entities of a machine.
    pub fn new(reference: Arc<Reference>, machine: &StateMachine) -> ReferenceLengths {
        let names = ["lab_id", "machine_id", "assay", "priority", "patient_class"];
        let place = |name| machine.spec.entity.iter().position(|column| column == name);
        ReferenceLengths { reference, places: names.map(place) }
    }

    fn text<'k>(&self, key: &'k Key, which: usize) -> Option<&'k str> {
        key.text(self.places[which]?)
    }

    fn lab(&self, key: &Key) -> &KnownLab {
        self.reference.labs.of(self.text(key, 0).unwrap_or_default())
    }
}

impl Lengths for ReferenceLengths {
    fn zone(&self, key: &Key) -> Tz {
        self.lab(key).zone
    }

    fn heartbeat(&self, key: &Key) -> Option<i64> {
        let (lab, machine) = (self.text(key, 0)?, self.text(key, 1)?);
        self.reference.instruments.of(lab, machine).heartbeat.map(|span| span.0)
    }

    /// That of the rows that fit what the key tells; of working minutes, as long as they last from there.
    fn target(&self, key: &Key, since: i64) -> Option<i64> {
        let of = TargetOf {
            lab_id: self.text(key, 0),
            assay: self.text(key, 2),
            priority: self.text(key, 3),
            patient_class: self.text(key, 4),
        };
        let since = Timestamp(since);
        let target = self.reference.targets.find(&of.properties(), since);
        let span = of_minutes(target.minutes?);
        Some(match target.clock {
            TargetClock::Wall => span.0,
            TargetClock::Working => {
                self.lab(key).hours.deadline(since, span).0.saturating_sub(since.0)
            }
        })
    }
}
