//! Running sketches: exact while few distinct values stand in the window, buckets beyond, back and
//! forth as panes come and go, and always the sketch of what stands in the window, bit for bit.
//!
//! A group keeps the values of those panes that still list them, sorted, and how many panes came
//! as buckets. A pane of buckets had more than 1024 distinct values, so a window that holds one
//! is in buckets too, whatever else it holds; a window without one knows all of its values. Hence
//! the window's sketch is exact when no pane of buckets is in it and at most 1024 values are
//! distinct. Bucket counts are kept from the first time that they are needed, and given up well
//! below the limit, so that a group that hovers about it does not build them at every slide.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use datafusion::common::{Result, exec_err};

use super::Running;
use super::bucket_counts::BucketCounts;
use super::sorted_counts::SortedCounts;
use crate::sql::aggregate::functions::sketch::buckets::key_of;
use crate::sql::aggregate::functions::sketch::lists::{StateRow, States};
use crate::sql::aggregate::functions::sketch::readings::{Readable, ReadingColumn, SketchReading};
use crate::sql::aggregate::functions::sketch::state::{
    EXACT_LIMIT, Edge, Found, SketchEntries, percentile,
};

/// Distinct values below which bucket counts are given up.
const GIVE_UP_BELOW: usize = EXACT_LIMIT / 2;

/// How many rows of states before its turn the memory of one is asked for.
const AHEAD: usize = 2;

/// One group's values in the window.
#[derive(Debug, Default)]
struct SlidingGroup {
    count: u64,
    /// The values of panes that list them.
    values: SortedCounts,
    /// States in the window that came as buckets.
    bucketed_states: u32,
    /// The counts of all values by bucket, where they are kept.
    buckets: Option<Box<BucketCounts>>,
}

impl SlidingGroup {
    /// Whether the window's sketch lists its values.
    fn is_exact(&self) -> bool {
        self.bucketed_states == 0 && self.values.distinct() <= EXACT_LIMIT
    }

    /// The bucket counts, counted now if they were not kept.
    fn buckets(&mut self) -> &mut BucketCounts {
        let values = &self.values;
        self.buckets.get_or_insert_with(|| {
            let mut counts = BucketCounts::default();
            for (value, count) in values.entries() {
                counts.add(key_of(value), count);
            }
            Box::new(counts)
        })
    }

    fn add(&mut self, state: StateRow<'_>) {
        if state.is_bucketed() {
            self.bucketed_states += 1;
            for (key, count) in state.buckets() {
                self.buckets().add(key, count);
                self.count += count;
            }
        }
        for (value, count) in state.values() {
            self.values.add(value, count);
            self.count += count;
            if let Some(buckets) = &mut self.buckets {
                buckets.add(key_of(value), count);
            } else if self.values.distinct() > EXACT_LIMIT {
                self.buckets();
            }
        }
    }

    /// Takes a state out; false when it is not there.
    fn retract(&mut self, state: StateRow<'_>) -> bool {
        let mut held = true;
        if state.is_bucketed() {
            held = self.bucketed_states > 0;
            self.bucketed_states = self.bucketed_states.saturating_sub(1);
            for (key, count) in state.buckets() {
                held &= self.buckets().remove(key, count);
                self.count = self.count.saturating_sub(count);
            }
        }
        for (value, count) in state.values() {
            held &= self.values.remove(value, count);
            self.count = self.count.saturating_sub(count);
            if let Some(buckets) = &mut self.buckets {
                held &= buckets.remove(key_of(value), count);
            }
        }
        if self.bucketed_states == 0 && self.values.distinct() < GIVE_UP_BELOW {
            self.buckets = None;
        }
        held
    }

    fn size(&self) -> usize {
        self.values.size() + self.buckets.as_ref().map_or(0, |buckets| buckets.size())
    }
}

impl Readable for SlidingGroup {
    fn count(&self) -> u64 {
        self.count
    }

    fn percentile(&self, q: f64, edge: Edge) -> Option<f64> {
        // A rank within the count is always found; a made-up NaN would be seen at once.
        let lost = (Found::Value(f64::NAN), Found::Value(f64::NAN));
        percentile(self.count, q, edge, |rank| match &self.buckets {
            Some(buckets) if !self.is_exact() => buckets
                .at_ranks(rank)
                .map_or(lost, |(low, high)| (Found::Bucket(low), Found::Bucket(high))),
            Some(_) | None => self
                .values
                .at_ranks(rank)
                .map_or(lost, |(low, high)| (Found::Value(low), Found::Value(high))),
        })
    }

    fn entries(&self) -> Cow<'_, SketchEntries> {
        Cow::Owned(match &self.buckets {
            Some(buckets) if !self.is_exact() => {
                SketchEntries::Buckets(buckets.entries().collect())
            }
            Some(_) | None => SketchEntries::Exact(self.values.entries().collect()),
        })
    }
}

/// Readings of one sketch by group.
#[derive(Debug)]
pub struct RunningSketch {
    groups: Vec<SlidingGroup>,
    /// Groups that have changed since they were read.
    stale: Vec<bool>,
    columns: Vec<ReadingColumn>,
    /// By column, where it is of percentiles, each group's as last read.
    percentiles: Vec<Vec<Option<f64>>>,
}

impl RunningSketch {
    /// A running sketch that is read in these ways.
    pub fn new(readings: &[SketchReading]) -> RunningSketch {
        let columns: Vec<ReadingColumn> =
            readings.iter().map(|reading| ReadingColumn::new(*reading)).collect();
        let percentiles = vec![Vec::new(); columns.len()];
        RunningSketch { groups: Vec::new(), stale: Vec::new(), columns, percentiles }
    }

    /// Asks for the memory that the first value of a row of states will touch.
    fn ask_for(&self, groups: &[u32], states: &States<'_>, row: usize) {
        let Some(group) = groups.get(row) else { return };
        if let Some((value, _)) = states.row(row).values().next() {
            self.groups[*group as usize].values.ask_for(value);
        }
    }

    /// Reads anew the percentiles of those of some groups that have changed.
    fn refresh(&mut self, groups: &[u32]) {
        for group in groups.iter().map(|group| *group as usize) {
            if !std::mem::take(&mut self.stale[group]) {
                continue;
            }
            for (column, percentiles) in self.columns.iter().zip(&mut self.percentiles) {
                if let SketchReading::Quantile(edge, q) = column.reading() {
                    percentiles[group] = self.groups[group].percentile(q, edge);
                }
            }
        }
    }
}

impl Running for RunningSketch {
    fn grow(&mut self, groups: usize) {
        if groups > self.groups.len() {
            self.groups.resize_with(groups, SlidingGroup::default);
            self.stale.resize(groups, true);
            self.percentiles.iter_mut().for_each(|held| held.resize(groups, None));
        }
    }

    fn add(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let states = States::of(states);
        for (row, group) in groups.iter().enumerate() {
            self.ask_for(groups, &states, row + AHEAD);
            self.stale[*group as usize] = true;
            self.groups[*group as usize].add(states.row(row));
        }
        Ok(())
    }

    fn retract(&mut self, groups: &[u32], states: &[ArrayRef], _pane: i64) -> Result<()> {
        let states = States::of(states);
        for (row, group) in groups.iter().enumerate() {
            self.ask_for(groups, &states, row + AHEAD);
            self.stale[*group as usize] = true;
            if !self.groups[*group as usize].retract(states.row(row)) {
                return exec_err!("cannot take values out of a sketch that does not hold them");
            }
        }
        Ok(())
    }

    fn reset(&mut self, groups: &[u32]) {
        for group in groups {
            self.stale[*group as usize] = true;
            self.groups[*group as usize] = SlidingGroup::default();
        }
    }

    fn read(&mut self, groups: &[u32]) -> Result<()> {
        self.refresh(groups);
        for (column, percentiles) in self.columns.iter_mut().zip(&self.percentiles) {
            if let SketchReading::Quantile(..) = column.reading() {
                column.extend_quantiles(groups.iter().map(|group| percentiles[*group as usize]));
            } else {
                groups.iter().for_each(|group| column.push(&self.groups[*group as usize]));
            }
        }
        Ok(())
    }

    fn take_outputs(&mut self) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(ReadingColumn::take).collect()
    }

    fn size(&self) -> usize {
        let held: usize = self.groups.iter().map(SlidingGroup::size).sum();
        held + self.groups.capacity() * size_of::<SlidingGroup>()
    }
}

#[cfg(test)]
mod tests;
