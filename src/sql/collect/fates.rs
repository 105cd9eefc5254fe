//! What becomes of a batch's events in the tables of a family, by event: counted, late or neither.

use std::collections::BTreeMap;

use super::batch_input::RowSources;
use super::collected::{Partial, Tally};
use super::slice_key::SliceKey;
use crate::flow::{LateEvent, Offset, OffsetRange, Window};

/// The fate of a batch's events in each table of a family.
pub(crate) struct Fates {
    counted: Vec<Vec<bool>>,
    /// Per table, the events that came too late for some row, with the windows missed.
    late: Vec<BTreeMap<usize, Option<Window>>>,
    /// The slices with the first and the last event in each; those seen last stand at the end.
    spans: Vec<(SliceKey, u32, u32)>,
}

impl Fates {
    /// Of so many events in so many tables, none known yet.
    pub(crate) fn new(tables: usize, events: usize) -> Fates {
        Fates {
            counted: vec![vec![false; events]; tables],
            late: vec![BTreeMap::new(); tables],
            spans: Vec::new(),
        }
    }

    /// Notes the fate of one event in the first table.
    pub(crate) fn note(&mut self, event: usize, counts: bool) {
        match counts {
            true => self.counts(0, event),
            false => self.misses(0, event, None),
        }
    }

    /// Notes that every table counts an event.
    #[inline(always)]
    pub(crate) fn count_in_all(&mut self, events: &[u32]) {
        for counted in &mut self.counted {
            events.iter().for_each(|event| counted[*event as usize] = true);
        }
    }

    /// Notes that a table counts an event.
    #[inline(always)]
    pub(crate) fn counts(&mut self, table: usize, event: usize) {
        self.counted[table][event] = true;
    }

    /// Notes that an event came too late for these windows of a table.
    pub(crate) fn misses(&mut self, table: usize, event: usize, windows: Option<Window>) {
        self.late[table].insert(event, windows);
    }

    /// Notes that an event is collected under a slice.
    pub(crate) fn contributes(&mut self, slice: SliceKey, event: usize) {
        let event = event as u32;
        if let Some((held, first, last)) = self.spans.last_mut()
            && *held == slice
        {
            (*first, *last) = ((*first).min(event), (*last).max(event));
            return;
        }
        match self.spans.iter().rposition(|(held, ..)| *held == slice) {
            Some(place) => {
                let (_, first, last) = &mut self.spans[place];
                (*first, *last) = ((*first).min(event), (*last).max(event));
                // Neighbours in a feed share a slice, so the next search ends at once.
                let newest = self.spans.len() - 1;
                self.spans.swap(place, newest);
            }
            None => self.spans.push((slice, event, event)),
        }
    }

    /// The fates as tallies, the events that came too late, and where slices came from.
    pub(crate) fn settle(self, sources: RowSources<'_>, out: &mut Partial) {
        let spans = self.spans.iter();
        out.origins = spans
            .map(|(slice, first, last)| {
                (*slice, range_of(sources, *first as usize, *last as usize))
            })
            .collect();
        out.counted_events = vec![false; self.counted.first().map_or(0, Vec::len)];
        for (counted, late) in self.counted.iter().zip(self.late) {
            for (any, counts) in out.counted_events.iter_mut().zip(counted) {
                *any |= counts;
            }
            let held = counted.iter().enumerate();
            let held =
                held.filter(|(source, counts)| **counts && sources.is_event(*source)).count();
            let is_late = |source: usize| !counted[source] && sources.is_event(source);
            let late = late.into_iter().filter(|(source, _)| is_late(*source));
            let late_events: Vec<LateEvent> =
                late.map(|(event, missed)| LateEvent { event: event as u32, missed }).collect();
            let events = (0..counted.len()).filter(|source| sources.is_event(*source)).count();
            out.tallies.push(Tally {
                counted: held as u64,
                late: late_events.len() as u64,
                other: (events - held - late_events.len()) as u64,
            });
            out.late_events.push(late_events);
        }
    }
}

/// The offsets from one of a batch's sources to another, both within.
pub(super) fn range_of(sources: RowSources<'_>, first: usize, last: usize) -> OffsetRange {
    OffsetRange::through(Offset(sources.offsets[first]), Offset(sources.offsets[last]))
}
