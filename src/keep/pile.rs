//! Rows that pile up in small batches until their object is complete, in the order in which they came.
//!
//! A batch of a few rows takes kilobytes, so the newest are joined; and what has piled up goes to a
//! [`Keeper`], which keeps it on disk beyond its bound. So a pile takes as little memory where rows
//! come one by one for an hour as where they come at once.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::Result;

use super::held::{Held, Keeper};
use super::own::{bytes_of, own_rows};

/// Bytes of newest rows that are not handed to the keeper.
const YOUNG_BYTES: usize = 128 << 10;
/// Newest batches at which some are joined.
const TO_JOIN: usize = 16;
/// What a column of a batch takes beside its values.
pub(crate) const BYTES_BESIDE: usize = 512;

/// Rows in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Pile {
    kept: Vec<Held>,
    young: Vec<RecordBatch>,
    /// Bytes of the young rows' values.
    young_bytes: usize,
}

impl From<Vec<RecordBatch>> for Pile {
    fn from(young: Vec<RecordBatch>) -> Pile {
        let young_bytes = young.iter().map(bytes_of_values).sum();
        Pile { kept: Vec::new(), young, young_bytes }
    }
}

impl Pile {
    /// Adds rows behind the others.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn add(&mut self, rows: &RecordBatch, keeper: &mut Keeper) -> Result<()> {
        let rows = own_rows(rows)?;
        self.young_bytes += bytes_of_values(&rows);
        self.young.push(rows);
        join_newest(&mut self.young);
        if self.young_bytes > YOUNG_BYTES { self.settle(keeper) } else { Ok(()) }
    }

    /// Hands the newest rows over as well: no more will come for a while.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn settle(&mut self, keeper: &mut Keeper) -> Result<()> {
        let joined = match self.young.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            several => concat_batches(&several[0].schema(), several)?,
        };
        self.kept.push(keeper.keep(joined)?);
        self.young.clear();
        self.young_bytes = 0;
        Ok(())
    }

    /// Adds all of another's rows behind these.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn append(&mut self, other: Pile, keeper: &mut Keeper) -> Result<()> {
        if !other.kept.is_empty() {
            self.settle(keeper)?;
        }
        self.kept.extend(other.kept);
        other.young.iter().try_for_each(|rows| self.add(rows, keeper))
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.young.is_empty()
    }

    /// Bytes of memory, but for what the keeper has.
    pub fn size(&self) -> usize {
        let columns: usize = self.young.iter().map(RecordBatch::num_columns).sum();
        self.young_bytes + columns * BYTES_BESIDE
    }

    /// The rows, read from disk as they are asked for.
    pub fn into_batches(self) -> impl Iterator<Item = Result<RecordBatch>> + Send {
        let kept = self.kept.into_iter().map(|held| held.load());
        kept.chain(self.young.into_iter().map(Ok))
    }

    /// All rows at once.
    ///
    /// # Errors
    /// Where they are on disk and cannot be read.
    pub fn load(&self) -> Result<Vec<RecordBatch>> {
        self.clone().into_batches().collect()
    }
}

/// Bytes of the rows' values.
pub(crate) fn bytes_of_values(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(bytes_of).sum()
}

/// Joins the newest batches, as many as are not much larger than those after them, where there are
/// many: so a row is joined a number of times that grows as the logarithm of theirs.
pub(crate) fn join_newest(batches: &mut Vec<RecordBatch>) {
    let mut from = batches.len().saturating_sub(1);
    let mut rows = batches.last().map_or(0, RecordBatch::num_rows);
    while from > 0 && batches[from - 1].num_rows() <= 2 * rows {
        from -= 1;
        rows += batches[from].num_rows();
    }
    if batches.len() - from < TO_JOIN {
        return;
    }
    // Where they cannot be joined they stay apart, which is as good but for memory.
    if let Ok(joined) = concat_batches(&batches[from].schema(), &batches[from..]) {
        batches.truncate(from);
        batches.push(joined);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    fn rows(from: i64, count: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + count));
        let texts = (from..from + count).map(|n| (n % 3 > 0).then(|| format!("row {n}")));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)])
            .unwrap()
    }

    fn numbers(pile: &Pile) -> Vec<i64> {
        let batches = pile.load().unwrap();
        let of = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        batches.iter().flat_map(of).collect()
    }

    #[test]
    fn rows_that_come_one_by_one_take_little() {
        let mut keeper = Keeper::new(0);
        let mut pile = Pile::default();
        for n in 0..50_000 {
            pile.add(&rows(n, 1), &mut keeper).unwrap();
            assert!(pile.size() < YOUNG_BYTES + 80 * 2 * BYTES_BESIDE, "{}", pile.size());
        }
        assert_eq!(numbers(&pile), (0..50_000).collect::<Vec<_>>());
        assert!(pile.kept.len() > 5 && pile.kept.len() < 20, "{}", pile.kept.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn rows_come_in_their_order(
            piles in prop::collection::vec(prop::collection::vec(1i64..9_000, 0..40), 1..4),
            limit in prop::sample::select(vec![0usize, 300_000, 1 << 30]),
        ) {
            let mut keeper = Keeper::new(limit);
            let mut all = Pile::default();
            let mut next = 0;
            for counts in piles {
                let mut pile = Pile::default();
                for count in counts {
                    pile.add(&rows(next, count), &mut keeper).unwrap();
                    next += count;
                }
                all.append(pile, &mut keeper).unwrap();
            }
            prop_assert_eq!(numbers(&all), (0..next).collect::<Vec<_>>());
        }
    }
}
