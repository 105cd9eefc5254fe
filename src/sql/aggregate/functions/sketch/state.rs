//! A multiset of doubles → a sketch of it, from which percentiles are read.
//!
//! Up to [`EXACT_LIMIT`] distinct values the sketch is the multiset itself; beyond, each value
//! counts in its bucket ([`buckets`](super::buckets)). Which of the two, and every count, follows
//! from the multiset alone: neither the order of values nor how they were divided among sketches
//! that were merged leaves a trace. A sketch does not forget values; see
//! [`running`](crate::sql::aggregate::running) for that.

use super::buckets::{BucketNumber, bounds, key_of, middle};
use crate::sql::aggregate::functions::percentile::{between, place};

/// Distinct values up to which a sketch is exact.
pub const EXACT_LIMIT: usize = 1024;

/// A sketch of a multiset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    entries: SketchEntries,
    count: u64,
}

/// What a sketch holds, ascending, each with how often it occurs.
#[derive(Clone, Debug, PartialEq)]
pub enum SketchEntries {
    /// Distinct values, in the total order of doubles.
    Exact(Vec<(f64, u64)>),
    /// Buckets that are not empty.
    Buckets(Vec<(BucketNumber, u64)>),
}

impl Default for SketchEntries {
    fn default() -> SketchEntries {
        SketchEntries::Exact(Vec::new())
    }
}

impl SketchEntries {
    /// How many values there are, if SQL's bigint can say it.
    fn total(&self) -> Option<u64> {
        let total = match self {
            SketchEntries::Exact(values) => checked_sum(values),
            SketchEntries::Buckets(buckets) => checked_sum(buckets),
        };
        total.filter(|total| fits(*total))
    }
}

/// Which edge of what is known of a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Surely not above it.
    Lower,
    /// The estimate.
    Middle,
    /// Surely not below it.
    Upper,
}

/// What a sketch knows of the value at a rank.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// The value.
    Value(f64),
    /// Its bucket.
    Bucket(BucketNumber),
}

impl Found {
    fn at(self, edge: Edge) -> f64 {
        match (self, edge) {
            (Found::Value(value), _) => value,
            (Found::Bucket(key), Edge::Lower) => bounds(key).0,
            (Found::Bucket(key), Edge::Middle) => middle(key),
            (Found::Bucket(key), Edge::Upper) => bounds(key).1,
        }
    }
}

/// The type-7 percentile of `count` values, or an edge of it; none of no values. `neighbours`
/// gives what is known at a rank and at the next one.
///
/// Between two buckets the edges are widened by what rounding can make of an interpolation: three
/// operations, each off by at most half an epsilon of the larger neighbour, both here and in the
/// exact percentile.
pub fn percentile(
    count: u64,
    q: f64,
    edge: Edge,
    neighbours: impl FnOnce(u64) -> (Found, Found),
) -> Option<f64> {
    let (below, weight) = place(usize::try_from(count).ok()?, q)?;
    let (low, high) = neighbours(below as u64);
    let (low_value, high_value) = (low.at(edge), high.at(edge));
    let value = between(low_value, high_value, weight);
    let exact = matches!((low, high), (Found::Value(_), Found::Value(_)));
    if exact || weight == 0.0 {
        return Some(value);
    }
    let doubt = 4.0 * f64::EPSILON * low_value.abs() + 4.0 * f64::EPSILON * high_value.abs();
    Some(match edge {
        Edge::Middle => value,
        Edge::Lower | Edge::Upper if !doubt.is_finite() => value,
        Edge::Lower => value - doubt,
        Edge::Upper => value + doubt,
    })
}

/// The entry that holds a rank, and the one that holds the next rank, or the same at the end.
fn at_ranks<T: Copy>(entries: &[(T, u64)], rank: u64) -> Option<(T, T)> {
    let mut passed = 0;
    for (index, (held, count)) in entries.iter().enumerate() {
        passed += count;
        if rank < passed {
            let next = if rank + 1 < passed { index } else { index + 1 };
            return Some((*held, entries.get(next).map_or(*held, |(next, _)| *next)));
        }
    }
    None
}

/// Two ascending lists of counts as one. The counts are known not to overflow.
fn merged<T: Copy>(
    a: &[(T, u64)],
    b: &[(T, u64)],
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Vec<(T, u64)> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    while let (Some((x, n)), Some((y, m))) = (left.peek(), right.peek()) {
        let next = match order(x, y) {
            std::cmp::Ordering::Less => left.next().copied(),
            std::cmp::Ordering::Greater => right.next().copied(),
            std::cmp::Ordering::Equal => {
                let both = (*x, n + m);
                left.next();
                right.next();
                Some(both)
            }
        };
        out.extend(next);
    }
    out.extend(left);
    out.extend(right);
    out
}

/// Ascending values as counts of their buckets.
pub fn bucketed(values: &[(f64, u64)]) -> Vec<(BucketNumber, u64)> {
    let mut out: Vec<(BucketNumber, u64)> = Vec::new();
    for (value, count) in values {
        let key = key_of(*value);
        match out.last_mut() {
            Some((last, held)) if *last == key => *held += count,
            Some(_) | None => out.push((key, *count)),
        }
    }
    out
}

impl Sketch {
    /// The sketch of what ascending, distinct entries say; none when their counts exceed a bigint.
    pub fn of(entries: SketchEntries) -> Option<Sketch> {
        let count = entries.total()?;
        let entries = match entries {
            SketchEntries::Exact(values) if values.len() > EXACT_LIMIT => {
                SketchEntries::Buckets(bucketed(&values))
            }
            SketchEntries::Exact(_) | SketchEntries::Buckets(_) => entries,
        };
        Some(Sketch { entries, count })
    }

    /// What it holds.
    pub fn entries(&self) -> &SketchEntries {
        &self.entries
    }

    /// How many values it stands for.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes in ascending entries; false, and nothing changed, when the count would exceed a
    /// bigint.
    pub fn absorb(&mut self, more: &SketchEntries) -> bool {
        let count = more.total().and_then(|added| self.count.checked_add(added));
        let Some(count) = count.filter(|count| fits(*count)) else { return false };
        let by_key = |a: &BucketNumber, b: &BucketNumber| a.cmp(b);
        let entries = match (&self.entries, more) {
            (SketchEntries::Exact(held), SketchEntries::Exact(more)) => {
                let values = merged(held, more, f64::total_cmp);
                if values.len() > EXACT_LIMIT {
                    SketchEntries::Buckets(bucketed(&values))
                } else {
                    SketchEntries::Exact(values)
                }
            }
            (SketchEntries::Exact(held), SketchEntries::Buckets(more)) => {
                SketchEntries::Buckets(merged(&bucketed(held), more, by_key))
            }
            (SketchEntries::Buckets(held), SketchEntries::Exact(more)) => {
                SketchEntries::Buckets(merged(held, &bucketed(more), by_key))
            }
            (SketchEntries::Buckets(held), SketchEntries::Buckets(more)) => {
                SketchEntries::Buckets(merged(held, more, by_key))
            }
        };
        (self.entries, self.count) = (entries, count);
        true
    }

    /// A percentile, or an edge of it; none of no values. `q` lies within 0 and 1.
    pub fn percentile(&self, q: f64, edge: Edge) -> Option<f64> {
        // A rank within the count is always found; a made-up NaN would be seen at once.
        let lost = (Found::Value(f64::NAN), Found::Value(f64::NAN));
        percentile(self.count, q, edge, |rank| match &self.entries {
            SketchEntries::Exact(values) => at_ranks(values, rank)
                .map_or(lost, |(low, high)| (Found::Value(low), Found::Value(high))),
            SketchEntries::Buckets(buckets) => at_ranks(buckets, rank)
                .map_or(lost, |(low, high)| (Found::Bucket(low), Found::Bucket(high))),
        })
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        match &self.entries {
            SketchEntries::Exact(values) => values.capacity() * size_of::<(f64, u64)>(),
            SketchEntries::Buckets(buckets) => {
                buckets.capacity() * size_of::<(BucketNumber, u64)>()
            }
        }
    }
}

/// Whether a count is one that SQL's bigint can say.
fn fits(count: u64) -> bool {
    i64::try_from(count).is_ok()
}

fn checked_sum<T>(entries: &[(T, u64)]) -> Option<u64> {
    entries.iter().try_fold(0u64, |sum, (_, count)| sum.checked_add(*count))
}
