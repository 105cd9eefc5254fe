//! When, in the order of a partition's records, a row was made: what row-level objects are cut by.
//!
//! A row that waits for the watermark is made by the record that brings the watermark past it. So where
//! a row stands among the records follows from the records alone, and not from how batches are cut.

use std::cell::Cell;

pub use crate::flow::{NOT_YET, RowCut};

/// What brought a row about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The offset of the record that did.
    pub by: i64,
    /// Where the row stands.
    pub cut: RowCut,
}

/// The watermark has risen to `watermark`, by the record at `by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rise {
    by: i64,
    watermark: i64,
}

impl Rise {
    fn brought(self) -> Brought {
        let cut = RowCut { offset: self.by.saturating_add(1), watermark: self.watermark };
        Brought { by: self.by, cut }
    }
}

/// How the watermark rose within a batch: of all its records, whatever became of them.
#[derive(Clone, Debug, Default)]
pub struct BatchRises {
    /// What stood before the first record.
    first: Option<i64>,
    rises: Vec<Rise>,
    last: Option<i64>,
}

impl BatchRises {
    /// Of records in the order of their offsets: each one's offset, and the watermark before it.
    pub fn of(records: impl IntoIterator<Item = (i64, i64)>) -> BatchRises {
        let mut found = BatchRises::default();
        let mut stood = i64::MIN;
        for (offset, watermark) in records {
            match found.last {
                None => found.first = Some(watermark),
                Some(by) if watermark > stood => found.rises.push(Rise { by, watermark }),
                Some(_) => {}
            }
            (stood, found.last) = (watermark.max(stood), Some(offset));
        }
        found
    }

    /// The watermark that stood before the first record.
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// The offset of the last record.
    pub(super) fn last(&self) -> Option<i64> {
        self.last
    }
}

/// Which record brought the watermark beyond a time: rows that wait for the watermark are made then.
pub(super) struct RowCuts {
    rises: Vec<Rise>,
    end: Rise,
    /// The rise that was found last: times are mostly asked for in their order.
    found: Cell<usize>,
}

impl RowCuts {
    /// Of a batch, the first record of which follows the one at `last` and found `reached`.
    pub(super) fn of(batch: &BatchRises, last: i64, reached: i64, watermark: i64) -> RowCuts {
        let first = batch.first.map(|watermark| Rise { by: last, watermark });
        let all = first.into_iter().chain(batch.rises.iter().copied());
        let rises = all.filter(|rise| rise.watermark > reached).collect();
        let end = Rise { by: batch.last.unwrap_or(last), watermark };
        RowCuts { rises, end, found: Cell::new(0) }
    }

    /// What made something that waited for the watermark to pass `at`.
    pub(super) fn of_time(&self, at: i64) -> Brought {
        let mut rise = self.found.get();
        if rise > 0 && self.rises[rise - 1].watermark > at {
            rise = self.rises.partition_point(|rise| rise.watermark <= at);
        }
        while self.rises.get(rise).is_some_and(|rise| rise.watermark <= at) {
            rise += 1;
        }
        self.found.set(rise);
        match self.rises.get(rise) {
            Some(rise) => rise.brought(),
            // Time may pass before the next record comes: what it finds is not known yet.
            None => Brought {
                cut: RowCut { watermark: NOT_YET, ..self.end.brought().cut },
                ..self.end.brought()
            },
        }
    }

    /// What made a step's rows, whose turn was at `turn`: a late one is applied at once.
    pub(super) fn of_step(
        &self,
        turn: i64,
        (offset, watermark_before): (i64, i64),
        at: i64,
    ) -> Brought {
        if at < watermark_before {
            let cut = RowCut { offset, watermark: watermark_before };
            return Brought { by: offset, cut };
        }
        self.of_time(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The watermark rises to 10 by the record at 4, to 20 by the one at 7, and to 30 by the last, at 9.
    const RECORDS: [(i64, i64); 6] = [(3, 5), (4, 5), (5, 10), (7, 10), (8, 20), (9, 20)];

    fn brought(by: i64, watermark: i64) -> Brought {
        Brought { by, cut: RowCut { offset: by + 1, watermark } }
    }

    #[test]
    fn a_row_stands_behind_the_record_that_brought_the_watermark_past_it() {
        let cuts = RowCuts::of(&BatchRises::of(RECORDS), 2, 5, 30);
        assert_eq!(
            [4, 9, 10, 19, 20, 29].map(|at| cuts.of_time(at)),
            [
                brought(4, 10),
                brought(4, 10),
                brought(7, 20),
                brought(7, 20),
                brought(9, NOT_YET),
                brought(9, NOT_YET),
            ]
        );
        let late = Brought { by: 8, cut: RowCut { offset: 8, watermark: 20 } };
        assert_eq!(cuts.of_step(20, (8, 20), 3), late);
        assert_eq!(cuts.of_step(25, (8, 20), 25), brought(9, NOT_YET));
    }

    /// Also a watermark that was found risen, by an idle advance, is the doing of the record before.
    #[test]
    fn batches_may_be_cut_anywhere() {
        for at in 0..=RECORDS.len() {
            let (one, other) = RECORDS.split_at(at);
            let between = one.iter().chain(other).nth(at).map_or(30, |record| record.1);
            let first = RowCuts::of(&BatchRises::of(one.to_vec()), 2, 3, between);
            let last = one.last().map_or(2, |record| record.0);
            let second = RowCuts::of(&BatchRises::of(other.to_vec()), last, between, 30);
            let whole = RowCuts::of(&BatchRises::of(RECORDS), 2, 3, 30);
            for time in 3..30 {
                let cuts = if time < between { &first } else { &second };
                let mut found = cuts.of_time(time);
                // What the first batch leaves open the second one's first record tells.
                if time < between && found.cut.watermark == NOT_YET && at < RECORDS.len() {
                    found.cut.watermark = between;
                }
                assert_eq!(found, whole.of_time(time), "cut at {at}, time {time}");
            }
        }
    }
}
