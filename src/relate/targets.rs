//! How long a test may take: `data/reference/targets.csv` with the default behind it.
//!
//! A target's row names some of lab, assay, priority and patient class; an empty one stands for
//! any. Of the rows that fit a test, the one that names more of the four wins; of two that name
//! equally many, the one that names the lab, then the assay, then the priority, then the patient
//! class. Rows that name the same are versions of one another: the latest `valid_from` at or before
//! receipt counts (none given: since ever), and of equal ones the later row of the file. A row that
//! is not yet valid at receipt does not hide a less specific one. A row with an empty target, or one
//! of 0 or below, says that there is no deadline, and hides less specific ones as any other row.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_128;

use crate::flow::Timestamp;

/// How many of a test's properties a target can depend on.
pub(super) const DIMENSIONS: usize = 4;

/// One row of the targets' table.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The lab, `None` for any.
    pub lab_id: Option<String>,
    /// The assay, `None` for any.
    pub assay: Option<String>,
    /// The priority as stored (`S`, `A`, `R`), `None` for any.
    pub priority: Option<String>,
    /// The patient class, `None` for any.
    pub patient_class: Option<String>,
    /// The longest allowable time from receipt to verification; `None` where there is no deadline.
    pub target_minutes: Option<f64>,
    /// Counts for tests received from then on.
    pub valid_from: Option<Timestamp>,
}

/// All targets, ready for look-ups of a few hash probes each.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The sets of named properties that occur, the most specific first.
    patterns: Vec<Pattern>,
    default_minutes: f64,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// Which of lab, assay, priority, patient class (in this order) are named.
    names: [bool; DIMENSIONS],
    versions: HashMap<u128, Vec<Version>, BuildHasherDefault<KeyHash>>,
}

/// A target from an instant on.
#[derive(Clone, Copy, Debug)]
struct Version {
    valid_from: Timestamp,
    minutes: Option<f64>,
}

/// A test's properties as hashes, `None` where they are null. 128 bits: taken as the text itself.
pub(super) type Properties = [Option<u128>; DIMENSIONS];

impl Targets {
    /// Targets from the table's rows in the order of the file; `sla_hours` for tests that no row
    /// fits.
    pub fn new(rows: &[Target], sla_hours: f64) -> Targets {
        let mut patterns: Vec<Pattern> = Vec::new();
        for row in rows {
            let named = [&row.lab_id, &row.assay, &row.priority, &row.patient_class];
            let names = named.map(|name| name.is_some());
            let properties: Properties =
                named.map(|name| name.as_ref().map(|name| property(name.as_bytes())));
            let at = patterns.iter().position(|pattern| pattern.names == names);
            let at = at.unwrap_or_else(|| {
                patterns.push(Pattern { names, versions: HashMap::default() });
                patterns.len() - 1
            });
            let pattern = &mut patterns[at];
            let version = Version {
                valid_from: row.valid_from.unwrap_or(Timestamp::MIN),
                minutes: row.target_minutes.and_then(deadline),
            };
            if let Some(key) = pattern.key(&properties) {
                pattern.versions.entry(key).or_default().push(version);
            }
        }
        for pattern in &mut patterns {
            for versions in pattern.versions.values_mut() {
                // Stable: equal ones keep the order of the file, and the last one counts.
                versions.sort_by_key(|version| version.valid_from);
            }
        }
        let named = |pattern: &Pattern| pattern.names.iter().filter(|name| **name).count();
        patterns.sort_by_key(|pattern| std::cmp::Reverse((named(pattern), pattern.names)));
        Targets { patterns, default_minutes: sla_hours * 60.0 }
    }

    /// The target of a test received at `received_at`; `None` where it has no deadline.
    pub fn minutes(
        &self,
        lab_id: Option<&str>,
        assay: Option<&str>,
        priority: Option<&str>,
        patient_class: Option<&str>,
        received_at: Timestamp,
    ) -> Option<f64> {
        let texts = [lab_id, assay, priority, patient_class];
        let properties = texts.map(|text| text.map(|text| property(text.as_bytes())));
        self.resolve(&properties, received_at)
    }

    pub(super) fn resolve(&self, properties: &Properties, received_at: Timestamp) -> Option<f64> {
        for pattern in &self.patterns {
            let versions = pattern.key(properties).and_then(|key| pattern.versions.get(&key));
            let valid = |version: &&Version| version.valid_from <= received_at;
            if let Some(version) = versions.and_then(|all| all.iter().rev().find(valid)) {
                return version.minutes;
            }
        }
        Some(self.default_minutes)
    }

    /// Which of the properties any row names; the others need not be looked at.
    pub(super) fn named_properties(&self) -> [bool; DIMENSIONS] {
        std::array::from_fn(|i| self.patterns.iter().any(|pattern| pattern.names[i]))
    }
}

impl Pattern {
    /// The key of the named properties; `None` when one of them is null.
    #[inline(always)]
    fn key(&self, properties: &Properties) -> Option<u128> {
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

/// A target of 0 or below is none.
#[inline(always)]
pub(super) fn deadline(minutes: f64) -> Option<f64> {
    (minutes > 0.0).then_some(minutes)
}

/// One property's hash.
#[inline(always)]
pub(super) fn property(text: &[u8]) -> u128 {
    xxh3_128(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(names: [&str; 4], target_minutes: f64, valid_from: Option<&str>) -> Target {
        let [lab_id, assay, priority, patient_class] =
            names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
        let valid_from = valid_from.and_then(Timestamp::parse_rfc3339);
        let target_minutes = Some(target_minutes);
        Target { lab_id, assay, priority, patient_class, target_minutes, valid_from }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_most_specific_row_wins() {
        let targets = Targets::new(
            &[
                target(["", "", "S", ""], 60.0, None),
                target(["", "", "", ""], 200.0, None),
                target(["lab-1", "", "", ""], 90.0, None),
                target(["", "K", "S", ""], 45.0, None),
                target(["lab-1", "K", "", ""], 50.0, None),
                target(["lab-1", "K", "S", "ED"], 30.0, None),
            ],
            4.0,
        );
        let minutes = |lab, assay, priority, class| {
            let at = at("2026-03-01T00:00:00Z");
            targets.minutes(lab, assay, priority, class, at).unwrap()
        };
        assert_eq!(minutes(Some("lab-2"), Some("NA"), Some("R"), None), 200.0);
        assert_eq!(minutes(Some("lab-2"), Some("NA"), Some("S"), None), 60.0);
        assert_eq!(minutes(Some("lab-1"), Some("NA"), Some("S"), None), 90.0);
        assert_eq!(minutes(Some("lab-2"), Some("K"), Some("S"), None), 45.0);
        assert_eq!(minutes(Some("lab-1"), Some("K"), Some("S"), None), 50.0);
        assert_eq!(minutes(Some("lab-1"), Some("K"), Some("S"), Some("ED")), 30.0);
        assert_eq!(minutes(Some("lab-1"), None, Some("S"), Some("ED")), 90.0);
    }

    #[test]
    fn without_a_fitting_row_the_default_counts() {
        let none = Targets::new(&[], 4.0);
        assert_eq!(none.minutes(None, None, None, None, Timestamp(0)), Some(240.0));
        let other = Targets::new(&[target(["lab-9", "", "", ""], 80.0, None)], 1.5);
        assert_eq!(other.minutes(Some("lab-1"), None, None, None, Timestamp(0)), Some(90.0));
    }

    #[test]
    fn a_row_without_a_target_means_no_deadline() {
        let empty = Target { target_minutes: None, ..target(["", "PCR", "", ""], 0.0, None) };
        let targets = Targets::new(
            &[
                empty,
                target(["", "K", "", ""], 0.0, None),
                target(["", "NA", "", ""], -5.0, None),
                target(["", "", "", ""], 100.0, None),
            ],
            4.0,
        );
        let minutes = |assay| targets.minutes(None, Some(assay), None, None, Timestamp(0));
        assert_eq!(["PCR", "K", "NA", "CA"].map(minutes), [None, None, None, Some(100.0)]);
    }

    #[test]
    fn versions_change_at_their_instant_and_unborn_rows_hide_nothing() {
        let targets = Targets::new(
            &[
                target(["", "K", "", ""], 70.0, Some("2026-04-01T00:00:00Z")),
                target(["", "K", "", ""], 60.0, Some("2026-03-01T00:00:00Z")),
                target(["", "K", "", ""], 65.0, Some("2026-03-01T00:00:00Z")),
                target(["", "", "", ""], 100.0, None),
            ],
            4.0,
        );
        let minutes =
            |time| targets.minutes(Some("lab-1"), Some("K"), Some("R"), None, at(time)).unwrap();
        assert_eq!(minutes("2026-02-28T23:59:59.999999Z"), 100.0);
        assert_eq!(minutes("2026-03-01T00:00:00Z"), 65.0);
        assert_eq!(minutes("2026-03-31T23:59:59Z"), 65.0);
        assert_eq!(minutes("2026-04-01T00:00:00Z"), 70.0);
    }
}
