//! Counts of buckets that rise and fall, in blocks, so that a rank is found in some tens of steps.

use crate::sql::aggregate::functions::sketch::buckets::BucketNumber;

/// Buckets in a block. At 70 buckets an octave, data within a factor of a thousand has some 22.
const BLOCK: usize = 32;

/// Counts by bucket.
#[derive(Clone, Debug, Default)]
pub struct BucketCounts {
    /// The blocks' numbers, ascending: a bucket's key, divided by the size of a block.
    blocks: Vec<BucketNumber>,
    /// The sum of each block.
    sums: Vec<u64>,
    counts: Vec<[u64; BLOCK]>,
}

impl BucketCounts {
    /// Bytes held.
    pub fn size(&self) -> usize {
        self.blocks.capacity() * (size_of::<BucketNumber>() + size_of::<u64>())
            + self.counts.capacity() * size_of::<[u64; BLOCK]>()
    }

    /// Adds to a bucket.
    pub fn add(&mut self, key: BucketNumber, count: u64) {
        let (block, place) = split(key);
        let index = match self.blocks.binary_search(&block) {
            Ok(index) => index,
            Err(index) => {
                self.blocks.insert(index, block);
                self.sums.insert(index, 0);
                self.counts.insert(index, [0; BLOCK]);
                index
            }
        };
        self.sums[index] += count;
        self.counts[index][place] += count;
    }

    /// Takes from a bucket; false, and nothing changed, when it holds less.
    pub fn remove(&mut self, key: BucketNumber, count: u64) -> bool {
        let (block, place) = split(key);
        let Ok(index) = self.blocks.binary_search(&block) else { return false };
        let Some(left) = self.counts[index][place].checked_sub(count) else { return false };
        self.counts[index][place] = left;
        self.sums[index] -= count;
        if self.sums[index] == 0 {
            self.blocks.remove(index);
            self.sums.remove(index);
            self.counts.remove(index);
        }
        true
    }

    /// The buckets that are not empty, with their counts, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (BucketNumber, u64)> + '_ {
        self.blocks.iter().zip(&self.counts).flat_map(|(block, counts)| {
            let keyed = counts.iter().enumerate();
            keyed.filter(|(_, count)| **count > 0).map(move |(place, count)| {
                (block * BLOCK as BucketNumber + place as BucketNumber, *count)
            })
        })
    }

    /// The bucket at a rank and the one at the next rank, or the same at the end.
    pub fn at_ranks(&self, rank: u64) -> Option<(BucketNumber, BucketNumber)> {
        let mut rest = rank;
        let index = position(&mut rest, &self.sums)?;
        let place = position(&mut rest, &self.counts[index])?;
        let key = self.key(index, place);
        if rest + 1 < self.counts[index][place] {
            return Some((key, key));
        }
        let occupied = |counts: &[u64]| counts.iter().position(|count| *count > 0);
        if let Some(further) = occupied(&self.counts[index][place + 1..]) {
            return Some((key, self.key(index, place + 1 + further)));
        }
        // A block whose sum is 0 is not kept.
        let next = self.counts.get(index + 1).and_then(|counts| occupied(counts));
        Some((key, next.map_or(key, |place| self.key(index + 1, place))))
    }

    fn key(&self, index: usize, place: usize) -> BucketNumber {
        self.blocks[index] * BLOCK as BucketNumber + place as BucketNumber
    }
}

fn split(key: BucketNumber) -> (BucketNumber, usize) {
    let size = BLOCK as BucketNumber;
    (key.div_euclid(size), key.rem_euclid(size) as usize)
}

/// Which of some counts holds a rank; the rank then is that within it.
fn position(rank: &mut u64, counts: &[u64]) -> Option<usize> {
    counts.iter().position(|count| {
        let within = *rank < *count;
        if !within {
            *rank -= count;
        }
        within
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_in_blocks_are_counts_in_a_map(
            changes in prop::collection::vec((-200i32..200, 1u64..4, any::<bool>()), 1..400),
        ) {
            let mut held = BucketCounts::default();
            let mut map: BTreeMap<BucketNumber, u64> = BTreeMap::new();
            for (key, count, comes) in changes {
                if comes {
                    held.add(key, count);
                    *map.entry(key).or_default() += count;
                } else {
                    let left = map.get(&key).and_then(|kept| kept.checked_sub(count));
                    prop_assert_eq!(held.remove(key, count), left.is_some());
                    if let Some(left) = left {
                        map.insert(key, left);
                    }
                }
            }
            map.retain(|_, count| *count > 0);
            let expected: Vec<(BucketNumber, u64)> = map.into_iter().collect();
            prop_assert_eq!(held.entries().collect::<Vec<_>>(), expected.clone());
            let ranks: Vec<BucketNumber> = expected
                .iter()
                .flat_map(|(key, count)| std::iter::repeat_n(*key, *count as usize))
                .collect();
            for (rank, key) in ranks.iter().enumerate() {
                let next = ranks.get(rank + 1).unwrap_or(key);
                prop_assert_eq!(held.at_ranks(rank as u64), Some((*key, *next)));
            }
            prop_assert_eq!(held.at_ranks(ranks.len() as u64), None);
        }
    }
}
