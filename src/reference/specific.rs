//! Rows of which the most specific one wins, and of its versions the latest that is valid.
//!
//! A row names some of `N` properties of what it is about; one that it does not name may be anything. Of
//! the rows that fit, the one that names more wins; of two that name equally many, the one that names the
//! first property, then the second, and so on. Rows that name the same are versions of one another: the
//! latest `valid_from` at or before the asked instant counts (none given: since ever), and of equal ones
//! the later row. A row that is not yet valid does not hide a less specific one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_128;

use crate::flow::Timestamp;

/// Properties as hashes, `None` where they are null. 128 bits: taken as the text itself.
pub(super) type Hashes<const N: usize> = [Option<u128>; N];

/// A row: what it names, from when on it counts, and what it says.
#[derive(Clone, Debug)]
pub(super) struct SpecificRow<const N: usize, V> {
    pub(super) names: Hashes<N>,
    pub(super) valid_from: Option<Timestamp>,
    pub(super) value: V,
}

/// Rows, ready for look-ups of a few hash probes each.
#[derive(Clone, Debug)]
pub(super) struct Specific<const N: usize, V> {
    /// The sets of named properties that occur, the most specific first.
    patterns: Vec<Pattern<N, V>>,
}

#[derive(Clone, Debug)]
struct Pattern<const N: usize, V> {
    /// Which of the properties are named.
    names: [bool; N],
    versions: HashMap<u128, Vec<Version<V>>, BuildHasherDefault<KeyHash>>,
}

/// What is said from an instant on.
#[derive(Clone, Debug)]
struct Version<V> {
    valid_from: Timestamp,
    value: V,
}

impl<const N: usize, V> Specific<N, V> {
    pub(super) fn new(rows: impl IntoIterator<Item = SpecificRow<N, V>>) -> Self {
        let mut patterns: Vec<Pattern<N, V>> = Vec::new();
        for row in rows {
            let names = row.names.map(|name| name.is_some());
            let at = patterns.iter().position(|pattern| pattern.names == names);
            let at = at.unwrap_or_else(|| {
                patterns.push(Pattern { names, versions: HashMap::default() });
                patterns.len() - 1
            });
            let valid_from = row.valid_from.unwrap_or(Timestamp::MIN);
            if let Some(key) = patterns[at].key(&row.names) {
                let version = Version { valid_from, value: row.value };
                patterns[at].versions.entry(key).or_default().push(version);
            }
        }
        for versions in patterns.iter_mut().flat_map(|pattern| pattern.versions.values_mut()) {
            // Stable: equal ones keep the order of the rows, and the last one counts.
            versions.sort_by_key(|version| version.valid_from);
        }
        let named = |names: &[bool; N]| names.iter().filter(|name| **name).count();
        patterns.sort_by_key(|pattern| std::cmp::Reverse((named(&pattern.names), pattern.names)));
        Specific { patterns }
    }

    /// What the most specific row that fits and is valid says.
    #[inline]
    pub(super) fn find(&self, properties: &Hashes<N>, at: Timestamp) -> Option<&V> {
        for pattern in &self.patterns {
            let versions = pattern.key(properties).and_then(|key| pattern.versions.get(&key));
            let valid = |version: &&Version<V>| version.valid_from <= at;
            if let Some(version) = versions.and_then(|all| all.iter().rev().find(valid)) {
                return Some(&version.value);
            }
        }
        None
    }

    /// Which of the properties any row names; the others need not be looked at.
    pub(super) fn named(&self) -> [bool; N] {
        std::array::from_fn(|i| self.patterns.iter().any(|pattern| pattern.names[i]))
    }
}

impl<const N: usize, V> Pattern<N, V> {
    /// The key of the named properties; `None` when one of them is null.
    #[inline(always)]
    fn key(&self, properties: &Hashes<N>) -> Option<u128> {
        let mut key: u128 = 0;
        for (property, named) in properties.iter().zip(self.names) {
            if named {
                // Multiplying by an odd number between the properties keeps their order in the key.
                key = (key ^ (*property)?).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                key ^= key >> 64;
            }
        }
        Some(key)
    }
}

/// One property's hash.
#[inline(always)]
pub fn property(text: &[u8]) -> u128 {
    xxh3_128(text)
}

/// The hashes of texts.
pub(super) fn hashes<const N: usize>(texts: [Option<&str>; N]) -> Hashes<N> {
    texts.map(|text| text.map(|text| property(text.as_bytes())))
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64 ^ (key >> 64) as u64;
    }
}
