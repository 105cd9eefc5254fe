//! How soon a critical result has to be acknowledged: `data/reference/critical_targets.csv`, else 30
//! minutes from its flag.
//!
//! A row names some of lab, assay and patient class (in this order); the most specific one that is valid
//! when the result was flagged wins (`specific`). An empty target, or one of 0 or below, is no deadline.

use std::sync::Arc;

use crate::flow::Timestamp;

use super::resolved::TargetSource;
use super::specific::{Specific, SpecificRow, hashes};
use super::targets::deadline;

/// Where no row fits.
const DEFAULT_MINUTES: f64 = 30.0;

/// From when the time to acknowledge a critical result counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CriticalStart {
    /// The result was there.
    Resulted,
    /// It was verified.
    Verified,
    /// It was flagged.
    #[default]
    Flagged,
}

impl CriticalStart {
    /// Every start.
    pub const ALL: [CriticalStart; 3] =
        [CriticalStart::Resulted, CriticalStart::Verified, CriticalStart::Flagged];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            CriticalStart::Resulted => "resulted",
            CriticalStart::Verified => "verified",
            CriticalStart::Flagged => "flagged",
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CriticalTarget {
    /// The lab, `None` for any.
    pub lab_id: Option<String>,
    /// The assay, `None` for any.
    pub assay: Option<String>,
    /// The patient class, `None` for any.
    pub patient_class: Option<String>,
    /// The longest allowable time to acknowledgement; `None` where there is no deadline.
    pub minutes: Option<f64>,
    /// From when it counts.
    pub from: CriticalStart,
    /// Counts for results flagged from then on.
    pub valid_from: Option<Timestamp>,
}

/// A critical result's target.
#[derive(Clone, Debug, PartialEq)]
pub struct CriticalLimit {
    /// The longest allowable time to acknowledgement; `None` where there is no deadline.
    pub minutes: Option<f64>,
    /// From when it counts.
    pub from: CriticalStart,
    /// Where it comes from: the table or the default.
    pub source: TargetSource,
    /// The row's `valid_from`, RFC 3339; empty where there is none.
    pub version: Arc<str>,
}

/// All of them, ready for look-ups.
#[derive(Clone, Debug)]
pub struct CriticalTargets {
    rows: Specific<3, CriticalLimit>,
    default: CriticalLimit,
}

impl CriticalTargets {
    /// Targets from the table's rows in the order of the file.
    pub fn new(rows: &[CriticalTarget]) -> CriticalTargets {
        let row = |row: &CriticalTarget| SpecificRow {
            names: hashes(
                [&row.lab_id, &row.assay, &row.patient_class].map(|name| name.as_deref()),
            ),
            valid_from: row.valid_from,
            value: CriticalLimit {
                minutes: row.minutes.and_then(deadline),
                from: row.from,
                source: TargetSource::Reference,
                version: row.valid_from.map_or_else(String::new, Timestamp::to_rfc3339).into(),
            },
        };
        let default = CriticalLimit {
            minutes: Some(DEFAULT_MINUTES),
            from: CriticalStart::default(),
            source: TargetSource::Default,
            version: Arc::from(""),
        };
        CriticalTargets { rows: Specific::new(rows.iter().map(row)), default }
    }

    /// The target of a result flagged at `flagged_at`.
    pub fn resolve(
        &self,
        lab_id: Option<&str>,
        assay: Option<&str>,
        patient_class: Option<&str>,
        flagged_at: Timestamp,
    ) -> &CriticalLimit {
        let asked = hashes([lab_id, assay, patient_class]);
        self.rows.find(&asked, flagged_at).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_valid_row_wins_and_30_minutes_from_the_flag_are_the_default() {
        let april = Timestamp::parse_rfc3339("2026-04-01T00:00:00Z").unwrap();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let row = |[lab, assay, class]: [&str; 3], minutes, from, valid_from| CriticalTarget {
            lab_id: text(lab),
            assay: text(assay),
            patient_class: text(class),
            minutes,
            from,
            valid_from,
        };
        use CriticalStart::{Flagged, Resulted, Verified};
        let targets = CriticalTargets::new(&[
            row(["", "K", ""], Some(20.0), Resulted, None),
            row(["", "", "GP"], Some(60.0), Verified, None),
            row(["lab-1", "", ""], Some(15.0), Flagged, Some(april)),
            row(["", "CRP", ""], Some(0.0), Flagged, None),
        ]);
        let asked = |lab, assay, class, at| {
            let found = targets.resolve(Some(lab), Some(assay), class, at);
            (found.minutes, found.from, found.source, found.version.to_string())
        };
        let of_table = |minutes, from, version: &str| {
            (Some(minutes), from, TargetSource::Reference, version.to_owned())
        };
        let before = Timestamp(april.0 - 1);
        assert_eq!(asked("lab-2", "K", Some("GP"), april), of_table(20.0, Resulted, ""));
        assert_eq!(asked("lab-2", "NA", Some("GP"), april), of_table(60.0, Verified, ""));
        let version = "2026-04-01T00:00:00Z";
        assert_eq!(asked("lab-1", "K", Some("GP"), april), of_table(15.0, Flagged, version));
        assert_eq!(asked("lab-1", "K", Some("GP"), before), of_table(20.0, Resulted, ""));
        let none = (None, Flagged, TargetSource::Reference, String::new());
        assert_eq!(asked("lab-2", "CRP", None, april), none);
        let default = (Some(30.0), Flagged, TargetSource::Default, String::new());
        assert_eq!(asked("lab-2", "NA", None, april), default);
    }
}
