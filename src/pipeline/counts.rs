//! What became of records and events, counted once each.

use std::sync::Arc;

use super::family_work::PipelineWork;
use crate::flow::LateEvent;
use crate::lake::write::sections::LateRows;
use crate::plan::planned::PipelinePlan;

/// What became of a batch's records: each is counted, late only, repeated, a dead letter or other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// FiledRecords, whatever became of them.
    pub records: u64,
    /// Events that at least one table counts.
    pub counted: u64,
    /// Events that some table missed and none counts.
    pub late_only: u64,
    /// Events that were dropped as repeats.
    pub repeated: u64,
    /// Events that none of the tests that they addressed allowed.
    pub refused: u64,
    /// FiledRecords that could not become events.
    pub dead_letters: u64,
    /// Events of kinds that no table counts.
    pub other: u64,
    /// Events that some table missed, whether or not another one counts them.
    pub late: u64,
    /// Fields that were not known.
    pub unknown_fields: u64,
}

impl Counts {
    /// Events of which it is not known yet what becomes of them: they wait for the watermark.
    pub fn waiting(&self) -> u64 {
        let known = self.counted + self.late_only + self.repeated + self.refused;
        self.records.saturating_sub(known + self.dead_letters + self.other)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        let Counts {
            records,
            counted,
            late_only,
            repeated,
            refused,
            dead_letters,
            other,
            late,
            unknown_fields,
        } = more;
        self.records += records;
        self.counted += counted;
        self.late_only += late_only;
        self.repeated += repeated;
        self.refused += refused;
        self.dead_letters += dead_letters;
        self.other += other;
        self.late += late;
        self.unknown_fields += unknown_fields;
    }
}

/// The fate of each event, or of each cause of changes, over all tables.
pub(super) struct EventFates {
    pub(super) counted: Vec<bool>,
    pub(super) late: Vec<bool>,
    /// Whose fate is told elsewhere.
    left: Vec<bool>,
}

impl EventFates {
    /// Of so many, none known yet.
    pub(super) fn new(events: usize) -> EventFates {
        let none = || vec![false; events];
        EventFates { counted: none(), late: none(), left: none() }
    }

    /// Which events some table has counted or missed.
    pub(super) fn settled(&self) -> impl Iterator<Item = bool> {
        self.counted.iter().zip(&self.late).map(|(counted, late)| *counted || *late)
    }

    /// Leaves the fates of those of these events to others that no table has counted or missed.
    pub(super) fn leave(&mut self, events: &[u32]) {
        for event in events {
            let event = *event as usize;
            self.left[event] = !self.counted[event] && !self.late[event];
        }
    }

    /// What became of the events; of other records nothing.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for ((counted, late), left) in self.counted.iter().zip(&self.late).zip(&self.left) {
            counts.late += u64::from(*late);
            match (counted, late) {
                (_, _) if *left => {}
                (true, _) => counts.counted += 1,
                (false, true) => counts.late_only += 1,
                (false, false) => counts.other += 1,
            }
        }
        counts
    }

    fn late(&mut self, table: &Arc<str>, events: &[LateEvent], late: &mut Vec<LateRows>) {
        for event in events {
            self.late[event.event as usize] = true;
        }
        if !events.is_empty() {
            late.push(LateRows { table: Arc::clone(table), events: events.to_vec() });
        }
    }

    pub(super) fn note(
        &mut self,
        pipeline: &PipelinePlan,
        (worked, counted): &(PipelineWork, Vec<bool>),
        late: &mut Vec<LateRows>,
    ) {
        for (any, counts) in self.counted.iter_mut().zip(counted) {
            *any |= counts;
        }
        for (family, partial) in pipeline.families.iter().zip(&worked.partials) {
            for (output, events) in family.outputs.iter().zip(&partial.late_events) {
                self.late(&output.table, events, late);
            }
        }
    }
}
