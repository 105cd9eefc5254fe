//! Whether the events of a tube come on one partition, as they must: found in a sample, so that it costs nothing.
//!
//! A tube is looked at where the last bits of its hash are zero; the more tubes there are, the more bits. While
//! there are few, all of them are looked at. At most [`MOST`] are remembered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::flow::Partition;

/// So many tubes are remembered at once.
const MOST: usize = 8192;
/// At the least one tube of 2^this is looked at.
const FEWEST: u32 = 10;
/// No tube is looked at.
const NONE: u32 = u32::MAX;

/// How many bits of a tube's hash must be zero: what those share who look for tubes on all cores.
#[derive(Clone, Debug)]
pub(super) struct ScatterBits(Arc<AtomicU32>);

impl Default for ScatterBits {
    fn default() -> ScatterBits {
        ScatterBits(Arc::new(AtomicU32::new(NONE)))
    }
}

impl ScatterBits {
    /// The tubes that are looked at, of the hashes of a batch.
    pub(super) fn sample(&self, tubes: impl Iterator<Item = u128>) -> Vec<u64> {
        let bits = self.0.load(Ordering::Relaxed);
        if bits == NONE {
            return Vec::new();
        }
        let mask = (1u64 << bits) - 1;
        let mut sample: Vec<u64> =
            tubes.map(|tube| tube as u64).filter(|tube| tube & mask == 0).collect();
        sample.dedup();
        sample
    }
}

/// What has been found of tubes on more than one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScatteredTubes {
    /// Tubes that were looked at.
    pub looked_at: u64,
    /// Those of them whose events came on more than one partition.
    pub scattered: u64,
}

/// Where the first event of each tube of the sample came.
#[derive(Debug, Default)]
pub(super) struct Scatter {
    bits: ScatterBits,
    level: u32,
    /// The partition's number, and whether there was another one.
    seen: HashMap<u64, (u32, bool)>,
    partitions: Vec<Arc<Partition>>,
    found: ScatteredTubes,
}

impl Scatter {
    /// Looks from now on at tubes of which others take samples by these bits.
    pub(super) fn watch(bits: ScatterBits) -> Scatter {
        bits.0.store(0, Ordering::Relaxed);
        Scatter { bits, ..Scatter::default() }
    }

    /// Notes the sample of a batch.
    pub(super) fn note(&mut self, partition: &Arc<Partition>, sample: &[u64]) {
        if sample.is_empty() {
            return;
        }
        let number = self.number(partition);
        for tube in sample {
            // A sample may have been taken when there were fewer tubes.
            if tube & ((1 << self.level) - 1) != 0 {
                continue;
            }
            let (first, is_scattered) = self.seen.entry(*tube).or_insert_with(|| {
                self.found.looked_at += 1;
                (number, false)
            });
            if *first != number && !*is_scattered {
                *is_scattered = true;
                self.found.scattered += 1;
            }
            if self.seen.len() > MOST {
                self.narrow();
            }
        }
    }

    /// What has been found.
    pub(super) fn found(&self) -> ScatteredTubes {
        self.found
    }

    /// Looks at half as many tubes; at the fewest, at new ones.
    fn narrow(&mut self) {
        if self.level == FEWEST {
            self.seen.clear();
            return;
        }
        self.level += 1;
        self.bits.0.store(self.level, Ordering::Relaxed);
        let mask = (1u64 << self.level) - 1;
        self.seen.retain(|tube, _| tube & mask == 0);
    }

    fn number(&mut self, partition: &Arc<Partition>) -> u32 {
        let known = self.partitions.iter().position(|known| known == partition);
        let number = known.unwrap_or_else(|| {
            self.partitions.push(Arc::clone(partition));
            self.partitions.len() - 1
        });
        number as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> Arc<Partition> {
        Arc::new(Partition { topic: "t".into(), index })
    }

    /// A hash of a number that has no pattern in its last bits.
    fn hash(number: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes())
    }

    #[test]
    fn of_few_tubes_all_are_looked_at() {
        let bits = ScatterBits::default();
        assert!(bits.sample([1, 2].into_iter()).is_empty(), "nobody looks");
        let mut scatter = Scatter::watch(bits.clone());
        for (index, tubes) in [(0, 0..100), (1, 100..200), (1, 40..45), (2, 40..41)] {
            let sample = bits.sample(tubes.flat_map(|tube| [hash(tube); 2]));
            scatter.note(&partition(index), &sample);
        }
        assert_eq!(scatter.found(), ScatteredTubes { looked_at: 200, scattered: 5 });
    }

    #[test]
    fn of_many_tubes_some_are_looked_at_and_few_remembered() {
        let bits = ScatterBits::default();
        let mut scatter = Scatter::watch(bits.clone());
        let all = 1_000_000;
        for index in [0, 1] {
            for batch in 0..100 {
                let tubes = (0..all / 100).map(|number| hash(batch * all / 100 + number));
                // Of the second partition one tube of ten is on the first one, too.
                let tubes = tubes.filter(|tube| index == 0 || tube >> 64 & 15 == 0);
                scatter.note(&partition(index), &bits.sample(tubes));
                assert!(scatter.seen.len() <= MOST + 1);
            }
        }
        let ScatteredTubes { looked_at, scattered } = scatter.found();
        assert!((8192..200_000).contains(&looked_at), "{looked_at}");
        assert!(scattered > 100 && scattered < looked_at / 10, "{scattered} of {looked_at}");
    }
}
