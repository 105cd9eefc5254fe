//! What stands on the lake and cannot be computed again, because the beginning of its input is gone.
//!
//! Until state is written down a start reads its input from the beginning. Where retention has removed
//! the beginning, a day would come out of part of its records, differ from what stands, and stop its
//! pipeline, or worse, take its place. So the days that were settled when the run began are left as
//! they are, and a day whose records may be gone in part stays as its live objects have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

use super::archived::Archived;
use super::puts::Day;
use crate::flow::Extents;
use crate::flow::lake_key::SafeName;
use crate::flow::{Offset, Partition, Span, Timestamp};

/// Partitions that a warning names.
const NAMED: usize = 5;
/// An event is hardly dated further ahead of its record.
const AHEAD: Span = Span::HOUR;

/// What stands.
#[derive(Default)]
pub struct Standing {
    /// Partitions of which the beginning is gone: the first offset that is left, and the time of the
    /// first record that came. What is gone is older.
    trimmed: BTreeMap<Arc<Partition>, (Offset, Option<Timestamp>)>,
    /// Whether nothing is left of one of them, so that nothing says how old it was.
    emptied: bool,
    settled: BTreeSet<Day>,
    begun: BTreeSet<Day>,
}

impl Standing {
    /// What stands, of the days that are settled and those that have begun, and what the source still
    /// holds.
    pub fn new(
        archived: &Archived,
        extents: &Extents,
        settled: BTreeSet<Day>,
        begun: BTreeSet<Day>,
    ) -> Standing {
        let gone = extents
            .iter()
            .filter(|(partition, extent)| !archived.begins_at(partition, extent.from));
        let (left, emptied): (Vec<_>, Vec<_>) =
            gone.partition(|(_, extent)| extent.from < extent.to);
        let trimmed = left
            .into_iter()
            .map(|(partition, extent)| (Arc::clone(partition), (extent.from, None)))
            .collect();
        let standing = Standing { trimmed, emptied: !emptied.is_empty(), settled, begun };
        standing.tell();
        standing
    }

    /// Whether the beginning of some input is gone.
    pub fn is_rest(&self) -> bool {
        self.emptied || !self.trimmed.is_empty()
    }

    /// Notes the time of a partition's first record.
    pub fn heard(&mut self, partition: &Arc<Partition>, record_time: Timestamp) {
        if let Some((_, first @ None)) = self.trimmed.get_mut(partition) {
            *first = Some(record_time);
        }
    }

    /// Whether a day was settled when the run began, and is left as it is.
    pub fn is_settled(&self, day: &Day) -> bool {
        self.is_rest() && self.settled.contains(day)
    }

    /// Whether a day is left as its live objects have it: they were put by an earlier run, from records
    /// that may be gone.
    pub fn stays_live(&self, (table, date): &Day) -> bool {
        let gone = self.trimmed.values().any(|(_, first)| may_be_gone(*date, *first));
        gone && self.begun.contains(&(table.clone(), *date))
    }

    /// The first day of a table that is left as its live objects have it.
    pub fn first_staying_live(&self, table: &SafeName) -> Option<NaiveDate> {
        let days = self.begun.iter().filter(|day| day.0 == *table && self.stays_live(day));
        days.map(|(_, date)| *date).min()
    }

    /// Whether an object of a day may come out otherwise than it stands.
    pub fn may_differ(&self, date: NaiveDate) -> bool {
        self.emptied || self.trimmed.values().any(|(_, first)| may_be_gone(date, *first))
    }

    fn tell(&self) {
        if !self.is_rest() || self.settled.is_empty() {
            return;
        }
        let named = self.trimmed.iter().take(NAMED);
        let mut partitions: Vec<String> = named
            .map(|(partition, (from, _))| format!("{partition} begins at {}", from.0))
            .collect();
        let more = self.trimmed.len().saturating_sub(NAMED);
        if more > 0 {
            partitions.push(format!("{more} more"));
        }
        let mut days: BTreeMap<&str, (NaiveDate, NaiveDate)> = BTreeMap::new();
        for (table, date) in &self.settled {
            let span = days.entry(table.as_str()).or_insert((*date, *date));
            *span = (span.0.min(*date), span.1.max(*date));
        }
        let tables: Vec<String> = days
            .iter()
            .map(|(table, (first, last))| format!("{table} {first} to {last}"))
            .collect();
        tracing::warn!(
            partitions = partitions.join(", "),
            "records that the lake was filled from are gone from the source; the days that are \
             settled stand as they are and are not computed again: {}",
            tables.join(", ")
        );
    }
}

/// Whether records of a day may be among those that are gone, the first that is left being so old. A
/// day may be one of any zone.
fn may_be_gone(date: NaiveDate, first: Option<Timestamp>) -> bool {
    first.is_none_or(|first| Some(date) <= first.plus(AHEAD).date().succ_opt())
}
