//! How long a test may take: the order's profile, else what its centre has published, else
//! `data/reference/targets.csv`, else the default.
//!
//! A target's row names some of lab, assay, priority and patient class (in this order); of those that
//! fit a test the most specific one that is valid at receipt wins (`specific`). A row with an empty
//! target, or one of 0 or below, says that there is no deadline, and hides less specific ones as any
//! other row.
//!
//! A centre's published version is the whole of its own targets: of those valid at receipt the latest
//! one counts, and a row of it that fits wins over every row of the file, whatever that names. Where
//! none fits, the file counts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::flow::Timestamp;

use super::resolved::{ResolvedTarget, TargetClock, TargetSource, TargetStart};
use super::specific::{Specific, SpecificRow, hashes, property};

/// How many of a test's properties a target can depend on.
pub const DIMENSIONS: usize = 4;

/// So many versions of a laboratory's own targets are kept: at two a week those of half a year.
const MOST_VERSIONS: usize = 64;

/// A test's lab, assay, priority and patient class as hashes, `None` where they are null.
pub type Properties = [Option<u128>; DIMENSIONS];

/// One row of the targets' table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The lab, `None` for any.
    pub lab_id: Option<String>,
    /// The assay, `None` for any.
    pub assay: Option<String>,
    /// The priority as stored (`S`, `A`, `R`), `None` for any.
    pub priority: Option<String>,
    /// The patient class, `None` for any.
    pub patient_class: Option<String>,
    /// The longest allowable time to verification; `None` where there is no deadline.
    pub target_minutes: Option<f64>,
    /// Which minutes count.
    pub clock: TargetClock,
    /// From when they count.
    pub from: TargetStart,
    /// Counts for tests received from then on.
    pub valid_from: Option<Timestamp>,
}

/// What a target can depend on of a test.
#[derive(Clone, Copy, Debug, Default)]
pub struct TargetOf<'t> {
    /// The performing lab.
    pub lab_id: Option<&'t str>,
    /// The assay.
    pub assay: Option<&'t str>,
    /// The priority as stored (`S`, `A`, `R`).
    pub priority: Option<&'t str>,
    /// The patient class.
    pub patient_class: Option<&'t str>,
}

impl TargetOf<'_> {
    /// The properties as hashes.
    pub fn properties(&self) -> Properties {
        hashes([self.lab_id, self.assay, self.priority, self.patient_class])
    }
}

/// All targets, ready for look-ups of a few hash probes each.
#[derive(Clone, Debug)]
pub struct Targets {
    rows: Specific<DIMENSIONS, ResolvedTarget>,
    default: ResolvedTarget,
    /// By lab, the versions in the order of their validity.
    published: HashMap<u128, Vec<Published>>,
}

/// A centre's targets from an instant on.
#[derive(Clone, Debug)]
struct Published {
    valid_from: Timestamp,
    rows: Specific<DIMENSIONS, ResolvedTarget>,
}

impl Targets {
    /// Targets from the table's rows in the order of the file; `sla_hours` for tests that no row
    /// fits.
    pub fn new(rows: &[Target], sla_hours: f64) -> Targets {
        let rows = rows.iter().map(|row| row.stored(TargetSource::Reference, row.valid_from));
        let default = ResolvedTarget {
            minutes: Some(sla_hours * 60.0),
            clock: TargetClock::Wall,
            from: TargetStart::Received,
            source: TargetSource::Default,
            version: Arc::from(""),
        };
        Targets { rows: Specific::new(rows), default, published: HashMap::new() }
    }

    /// Adds the targets that a centre has published for tests received from `valid_from` on. They are
    /// the lab's whatever lab they name. A row with a later `valid_from` of its own counts from then
    /// on. Of two versions with the same `valid_from` the one that was added later counts.
    pub fn publish(&mut self, lab_id: &str, rows: &[Target], valid_from: Timestamp) {
        let rows = rows.iter().map(|row| {
            let row = Target { lab_id: None, ..row.clone() };
            let from = row.valid_from.map_or(valid_from, |own| own.max(valid_from));
            row.stored(TargetSource::Centre, Some(from))
        });
        let published = Published { valid_from, rows: Specific::new(rows) };
        let versions = self.published.entry(property(lab_id.as_bytes())).or_default();
        let at = versions.partition_point(|version| version.valid_from <= valid_from);
        versions.insert(at, published);
        let beyond = versions.len().saturating_sub(MOST_VERSIONS);
        versions.drain(..beyond);
    }

    /// The target of a test received at `received_at`, with the allowable time of its profile if the
    /// order has one: that takes the place of the matching row's minutes alone.
    pub fn resolve(
        &self,
        test: &TargetOf<'_>,
        profile_tat_min: Option<f64>,
        received_at: Timestamp,
    ) -> ResolvedTarget {
        let found = self.find(&test.properties(), received_at);
        let Some(minutes) = profile_tat_min else { return found.clone() };
        ResolvedTarget {
            minutes: deadline(minutes),
            clock: found.clock,
            from: found.from,
            source: TargetSource::Profile,
            version: Arc::from(""),
        }
    }

    /// The target of a test without a profile.
    #[inline]
    pub fn find(&self, properties: &Properties, received_at: Timestamp) -> &ResolvedTarget {
        self.find_known(properties, received_at, received_at)
    }

    /// As [`Targets::find`], asked at `now`: of a receipt that is told ahead of its time, what a centre
    /// publishes until then is not known.
    #[inline]
    pub fn find_known(
        &self,
        properties: &Properties,
        received_at: Timestamp,
        now: Timestamp,
    ) -> &ResolvedTarget {
        if let Some(found) = self.published_for(properties, received_at.min(now)) {
            return found;
        }
        self.rows.find(properties, received_at).unwrap_or(&self.default)
    }

    fn published_for(
        &self,
        properties: &Properties,
        received_at: Timestamp,
    ) -> Option<&ResolvedTarget> {
        if self.published.is_empty() {
            return None;
        }
        let versions = self.published.get(&properties[0]?)?;
        let valid = versions.partition_point(|version| version.valid_from <= received_at);
        versions[..valid].last()?.rows.find(properties, received_at)
    }

    /// Which of the properties any row names; the others need not be looked at.
    pub fn named_properties(&self) -> [bool; DIMENSIONS] {
        let mut named = self.rows.named();
        named[0] |= !self.published.is_empty();
        for version in self.published.values().flatten() {
            named = std::array::from_fn(|i| named[i] || version.rows.named()[i]);
        }
        named
    }
}

impl Target {
    fn stored(
        &self,
        source: TargetSource,
        valid_from: Option<Timestamp>,
    ) -> SpecificRow<DIMENSIONS, ResolvedTarget> {
        let names = [&self.lab_id, &self.assay, &self.priority, &self.patient_class];
        SpecificRow {
            names: hashes(names.map(|name| name.as_deref())),
            valid_from,
            value: ResolvedTarget {
                minutes: self.target_minutes.and_then(deadline),
                clock: self.clock,
                from: self.from,
                source,
                version: valid_from.map_or_else(String::new, Timestamp::to_rfc3339).into(),
            },
        }
    }
}

/// A target of 0 or below is none.
#[inline(always)]
pub fn deadline(minutes: f64) -> Option<f64> {
    (minutes > 0.0).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(names: [&str; 4], target_minutes: f64, valid_from: Option<&str>) -> Target {
        let [lab_id, assay, priority, patient_class] =
            names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
        let valid_from = valid_from.and_then(Timestamp::parse_rfc3339);
        let target_minutes = Some(target_minutes);
        let target = Target { lab_id, assay, priority, patient_class, ..Target::default() };
        Target { target_minutes, valid_from, ..target }
    }

    fn minutes(targets: &Targets, names: [Option<&str>; 4], at: Timestamp) -> Option<f64> {
        resolve(targets, names, None, at).minutes
    }

    fn resolve(
        targets: &Targets,
        names: [Option<&str>; 4],
        profile: Option<f64>,
        at: Timestamp,
    ) -> ResolvedTarget {
        let [lab_id, assay, priority, patient_class] = names;
        targets.resolve(&TargetOf { lab_id, assay, priority, patient_class }, profile, at)
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
            minutes(&targets, [lab, assay, priority, class], at).unwrap()
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
        assert_eq!(minutes(&none, [None; 4], Timestamp(0)), Some(240.0));
        let other = Targets::new(&[target(["lab-9", "", "", ""], 80.0, None)], 1.5);
        assert_eq!(minutes(&other, [Some("lab-1"), None, None, None], Timestamp(0)), Some(90.0));
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
        let minutes = |assay| minutes(&targets, [None, Some(assay), None, None], Timestamp(0));
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
        let names = [Some("lab-1"), Some("K"), Some("R"), None];
        let minutes = |time| minutes(&targets, names, at(time)).unwrap();
        assert_eq!(minutes("2026-02-28T23:59:59.999999Z"), 100.0);
        assert_eq!(minutes("2026-03-01T00:00:00Z"), 65.0);
        assert_eq!(minutes("2026-03-31T23:59:59Z"), 65.0);
        assert_eq!(minutes("2026-04-01T00:00:00Z"), 70.0);
    }

    const START: &str = "2026-03-01T00:00:00Z";

    #[test]
    fn a_target_says_where_it_comes_from() {
        let working = Target {
            clock: TargetClock::Working,
            from: TargetStart::Collected,
            ..target(["lab-1", "PCR", "", ""], 480.0, Some(START))
        };
        let targets = Targets::new(&[working, target(["", "K", "", ""], 60.0, None)], 4.0);
        let asked = |assay, profile| {
            resolve(&targets, [Some("lab-1"), Some(assay), None, None], profile, at(START))
        };
        let expected = |minutes, clock, from, source, version: &str| ResolvedTarget {
            minutes,
            clock,
            from,
            source,
            version: Arc::from(version),
        };
        use TargetClock::{Wall, Working};
        use TargetSource::{Default, Profile, Reference};
        use TargetStart::{Collected, Received};
        let row = expected(Some(480.0), Working, Collected, Reference, START);
        assert_eq!(asked("PCR", None), row);
        assert_eq!(asked("K", None), expected(Some(60.0), Wall, Received, Reference, ""));
        assert_eq!(asked("NA", None), expected(Some(240.0), Wall, Received, Default, ""));
        // The profile gives the minutes, the matching row how they are counted.
        let profile = |minutes, clock, from| expected(minutes, clock, from, Profile, "");
        assert_eq!(asked("PCR", Some(90.0)), profile(Some(90.0), Working, Collected));
        assert_eq!(asked("PCR", Some(0.0)), profile(None, Working, Collected));
        assert_eq!(asked("NA", Some(90.0)), profile(Some(90.0), Wall, Received));
    }

    #[test]
    fn what_a_centre_published_wins_for_its_lab_from_its_instant_on() {
        let file =
            [target(["lab-1", "K", "S", "ED"], 30.0, None), target(["", "", "", ""], 200.0, None)];
        let mut targets = Targets::new(&file, 4.0);
        assert_eq!(targets.named_properties(), [true; 4]);
        let (april, june) = (at("2026-04-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
        // The later one is added first, and names another lab, which does not matter.
        targets.publish("lab-1", &[target(["lab-2", "NA", "", ""], 45.0, None)], june);
        targets.publish("lab-1", &[target(["", "K", "", ""], 60.0, None)], april);
        let asked = |lab, assay, time| {
            let found =
                resolve(&targets, [Some(lab), Some(assay), Some("S"), Some("ED")], None, time);
            (found.minutes.unwrap(), found.source, found.version.to_string())
        };
        let file = |minutes| (minutes, TargetSource::Reference, String::new());
        let centre = |minutes, version: &str| (minutes, TargetSource::Centre, version.to_owned());
        assert_eq!(asked("lab-1", "K", at("2026-03-31T23:59:59.999999Z")), file(30.0));
        assert_eq!(asked("lab-1", "K", april), centre(60.0, "2026-04-01T00:00:00Z"));
        assert_eq!(asked("lab-1", "NA", april), file(200.0));
        assert_eq!(asked("lab-2", "K", april), file(200.0));
        // June's is the whole of what the centre says: K is the file's again.
        assert_eq!(asked("lab-1", "NA", june), centre(45.0, "2026-06-01T00:00:00Z"));
        assert_eq!(asked("lab-1", "K", june), file(30.0));
    }

    #[test]
    fn a_published_row_may_begin_later_and_a_version_may_be_replaced() {
        let mut targets = Targets::new(&[], 4.0);
        let (april, june) = (at("2026-04-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
        targets.publish("lab-1", &[target(["", "", "", ""], 50.0, None)], april);
        assert_eq!(targets.named_properties(), [true, false, false, false]);
        let later = target(["", "", "", ""], 40.0, Some("2026-06-01T00:00:00Z"));
        let early = target(["", "", "", ""], 70.0, Some("2026-01-01T00:00:00Z"));
        targets.publish("lab-1", &[early, later], april);
        let minutes = |time| minutes(&targets, [Some("lab-1"), None, None, None], time);
        assert_eq!(minutes(Timestamp(april.0 - 1)), Some(240.0));
        assert_eq!(minutes(april), Some(70.0));
        assert_eq!(minutes(june), Some(40.0));
    }
}
