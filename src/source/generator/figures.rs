//! The published figures that the generator draws from, and the little that had to be assumed beside
//! them. Nothing in here computes.

/// Share of an inpatient day's collections in each hour of the laboratory's day, percent.
pub(super) const INPATIENT_HOURS: [f64; 24] = [
    4.0, 2.6, 4.2, 4.3, 6.3, 8.9, 9.2, 5.4, 3.1, 5.2, 4.1, 4.4, 4.7, 4.6, 3.7, 3.8, 3.5, 3.3, 2.8,
    2.3, 2.4, 3.0, 2.1, 2.1,
];
/// The same for outpatients and practices: opening hours (assumed).
pub(super) const OUTPATIENT_HOURS: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 16.0, 17.0, 15.0, 12.0, 7.0, 7.0, 7.0, 5.0, 3.0, 1.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
];
/// Share of an outpatient week in each day from Monday, percent.
pub(super) const OUTPATIENT_WEEKDAYS: [f64; 7] = [27.5, 16.6, 17.6, 17.3, 13.1, 4.2, 3.8];
/// Share of tubes that come from outpatients and practices (assumed).
pub(super) const OUTPATIENT_SHARE: f64 = 0.35;
/// Of the rest, the emergency department's share (assumed).
pub(super) const EMERGENCY_SHARE: f64 = 0.30;

/// Tubes collected at one instant: 1, 2, 3 or 4; mean [`TUBES_PER_BURST`].
pub(super) const BURST_WEIGHTS: [f64; 4] = [0.45, 0.30, 0.15, 0.10];
/// Mean tubes of a burst.
pub(super) const TUBES_PER_BURST: f64 = 1.9;

/// A laboratory's share of urgent orders lies between these.
pub(super) const STAT_SHARE: (f64, f64) = (0.15, 0.25);
/// Share of orders as soon as possible.
pub(super) const ASAP_SHARE: f64 = 0.10;

/// In-lab turnaround: sigma of the logarithm within a laboratory lies between these.
pub(super) const SIGMA_WITHIN_LAB: (f64, f64) = (0.37, 0.45);
/// Sigma of the logarithm between laboratories.
pub(super) const SIGMA_BETWEEN_LABS: f64 = 0.48;
/// This share takes [`TAIL_FACTOR`] times as long.
pub(super) const TAIL_SHARE: f64 = 0.015;
/// Uniform between these.
pub(super) const TAIL_FACTOR: (f64, f64) = (3.0, 10.0);

/// Collection to receipt is log-normal: mu of hours.
pub(super) const TRANSPORT_MU: f64 = 0.517;
/// Collection to receipt is log-normal: sigma.
pub(super) const TRANSPORT_SIGMA: f64 = 1.10;
/// No tube travels for longer (the distribution's far tail is dirt, not transport).
pub(super) const TRANSPORT_MAX_HOURS: f64 = 72.0;

/// A laboratory's share of rejected tubes lies between these, log-uniform.
pub(super) const REJECT_SHARE: (f64, f64) = (0.001, 0.01);
/// HL7 table 0490 and local codes with their shares of rejections.
pub(super) const REJECT_REASONS: [&str; 11] =
    ["RH", "QS", "ZW", "RC", "RM", "RN", "ZT", "ZF", "RI", "ZL", "ZI"];
/// Shares of [`REJECT_REASONS`], percent.
pub(super) const REJECT_WEIGHTS: [f64; 11] =
    [55.0, 15.0, 9.0, 8.0, 4.0, 3.0, 2.0, 2.0, 1.0, 0.5, 0.5];
/// Rejected tubes that are collected again.
pub(super) const RECOLLECTED_SHARE: f64 = 0.84;
/// Rejected before they were received (assumed).
pub(super) const REJECTED_UNRECEIVED_SHARE: f64 = 0.15;
/// Cancelled after receipt (assumed).
pub(super) const CANCELLED_SHARE: f64 = 0.004;

/// Results that are critical.
pub(super) const CRITICAL_SHARE: f64 = 0.02;
/// Minutes from flag to acknowledgement: median.
pub(super) const ACKNOWLEDGE_MEDIAN_MIN: f64 = 4.0;
/// Sigma that puts the 90th percentile at 20 minutes: ln(20 / 4) / 1.2816.
pub(super) const ACKNOWLEDGE_SIGMA: f64 = 1.2558;
/// Critical results that nobody acknowledges.
pub(super) const MISSED_SHARE: f64 = 0.01;
/// Acknowledgements with read-back.
pub(super) const READ_BACK_SHARE: f64 = 0.96;
/// Results measured again.
pub(super) const REPEAT_SHARE: f64 = 0.02;
/// Published results corrected later (assumed).
pub(super) const CORRECTED_SHARE: f64 = 0.001;
/// Results that differ from the patient's last one beyond the limit (assumed).
pub(super) const DELTA_SHARE: f64 = 0.015;

/// Laboratories that call a critical result before they release it.
pub(super) const CALLS_FIRST_SHARE: f64 = 0.5;
/// Calls whose first attempt reaches nobody (assumed).
pub(super) const UNREACHABLE_SHARE: f64 = 0.08;
/// Of the critical results of the others, those that the system tells and not a person (assumed).
pub(super) const ELECTRONIC_SHARE: f64 = 0.30;
/// Who is called.
pub(super) const CALLED_ROLES: [&str; 4] = ["nurse", "physician", "resident", "midwife"];
/// Shares of [`CALLED_ROLES`] (assumed).
pub(super) const CALLED_WEIGHTS: [f64; 4] = [0.55, 0.30, 0.13, 0.02];

/// Received tubes to which a test is added (assumed, as all up to [`KEPT_DAYS`]).
pub(super) const ADDED_SHARE: f64 = 0.01;
/// Hours from receipt to the added order: log-normal median.
pub(super) const ADDED_MEDIAN_H: f64 = 2.5;
/// Sigma of the same.
pub(super) const ADDED_SIGMA: f64 = 0.6;
/// Received tubes that become urgent.
pub(super) const UPGRADED_SHARE: f64 = 0.005;
/// Minutes from receipt to the upgrade lie between these.
pub(super) const UPGRADED_AFTER_MIN: (f64, f64) = (3.0, 45.0);
/// Tubes that are ordered and cancelled instead of collected.
pub(super) const UNCOLLECTED_SHARE: f64 = 0.003;
/// Tubes that are lost on the way, and told so.
pub(super) const LOST_ON_WAY_SHARE: f64 = 0.0003;
/// Tubes that are lost in the laboratory, and told so.
pub(super) const LOST_INSIDE_SHARE: f64 = 0.0002;
/// Tubes of which nothing is heard any more.
pub(super) const ABANDONED_SHARE: f64 = 0.0005;
/// Tests that are sent to another laboratory.
pub(super) const REFERRED_SHARE: f64 = 0.003;
/// Hours from sending to the result from there: log-normal median.
pub(super) const REFERRED_MEDIAN_H: f64 = 26.0;
/// Sigma of the same.
pub(super) const REFERRED_SIGMA: f64 = 0.5;
/// Tubes by courier that another laboratory sent.
pub(super) const REFERRED_IN_SHARE: f64 = 0.004;
/// Verified results that are invalidated and issued again.
pub(super) const INVALIDATED_SHARE: f64 = 0.0007;
/// A laboratory keeps a stored tube for so many days, between these.
pub(super) const KEPT_DAYS: (f64, f64) = (2.0, 4.0);

/// Runs that fail, transition form (301 of 15,524 in the laboratory of `tests/it/laboratory.rs`).
pub(super) const ERROR_SHARE: f64 = 0.019;
/// Rows that fail, starter kit.
pub(super) const KIT_ERROR_SHARE: f64 = 0.07;
/// The analysers' error codes.
pub(super) const ERROR_CODES: [&str; 5] = ["E01", "E02", "E03", "E04", "E05"];
/// Shares of [`ERROR_CODES`] (assumed).
pub(super) const ERROR_WEIGHTS: [f64; 5] = [0.35, 0.25, 0.20, 0.12, 0.08];
/// The starter kit's specimens of a day.
pub(super) const KIT_PER_DAY: u32 = 1200;

/// Running hours to an instrument's failure: Weibull shape.
pub(super) const FAILURE_SHAPE: f64 = 0.9;
/// Running hours to an instrument's failure: Weibull scale.
pub(super) const FAILURE_SCALE_H: f64 = 250.0;
/// Repair takes a log-normal time: median.
pub(super) const REPAIR_MEDIAN_MIN: f64 = 45.0;
/// Sigma of the repair time.
pub(super) const REPAIR_SIGMA: f64 = 0.9;
/// Daily maintenance begins at 05:30 on the first instrument of a section.
pub(super) const MAINTENANCE_AT_S: i64 = (5 * 60 + 30) * 60;
/// Maintenance lasts 30 minutes; the next instrument of the section follows after it.
pub(super) const MAINTENANCE_S: i64 = 30 * 60;
/// Mean running hours between pauses for reagents (assumed).
pub(super) const PAUSE_EVERY_H: f64 = 12.0;

/// Tests that fit into one PCR run.
pub(super) const RUN_CAPACITY: u32 = 94;
/// A PCR run takes between these many hours.
pub(super) const RUN_HOURS: (f64, f64) = (3.0, 4.0);

/// The bench that does a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabBench {
    Chemistry,
    Haematology,
    Coagulation,
    /// Runs of 94.
    Molecular,
}

/// A test, its published medians of in-lab turnaround, and when its result is critical.
#[derive(Debug)]
pub(super) struct Assay {
    pub(super) name: &'static str,
    pub(super) section: LabBench,
    /// Minutes, urgent.
    pub(super) stat_median: f64,
    /// Minutes, routine.
    pub(super) routine_median: f64,
    /// Share verified without a person.
    pub(super) auto_share: f64,
    pub(super) unit: &'static str,
    /// At or below this a result is critical; 0 when it never is.
    pub(super) critical_low: f64,
    /// At or above this a result is critical; 0 when it never is.
    pub(super) critical_high: f64,
}

/// A row of the catalogue.
const fn assay(
    name: &'static str,
    section: LabBench,
    medians: (f64, f64),
    unit: &'static str,
    critical: (f64, f64),
) -> Assay {
    let auto_share = match section {
        LabBench::Chemistry => 0.95,
        LabBench::Haematology => 0.39,
        LabBench::Coagulation => 0.74,
        LabBench::Molecular => 0.0,
    };
    Assay {
        name,
        section,
        stat_median: medians.0,
        routine_median: medians.1,
        auto_share,
        unit,
        critical_low: critical.0,
        critical_high: critical.1,
    }
}

/// All assays. K, WBC and PT are published; those of the same section are alike.
pub(super) const ASSAYS: [Assay; 14] = {
    use LabBench::{Chemistry, Coagulation, Haematology, Molecular};
    [
        assay("K", Chemistry, (43.0, 136.0), "mmol/L", (2.8, 6.2)),
        assay("NA", Chemistry, (43.0, 136.0), "mmol/L", (120.0, 160.0)),
        assay("CREA", Chemistry, (45.0, 140.0), "umol/L", (0.0, 600.0)),
        assay("GLU", Chemistry, (41.0, 130.0), "mmol/L", (2.5, 25.0)),
        assay("CRP", Chemistry, (46.0, 140.0), "mg/L", (0.0, 300.0)),
        assay("TNT", Chemistry, (55.0, 97.0), "ng/L", (0.0, 52.0)),
        assay("WBC", Haematology, (20.0, 45.0), "10*9/L", (1.0, 50.0)),
        assay("HGB", Haematology, (20.0, 45.0), "g/dL", (6.5, 20.0)),
        assay("PLT", Haematology, (20.0, 45.0), "10*9/L", (20.0, 1000.0)),
        assay("PT", Coagulation, (40.0, 85.0), "INR", (0.0, 5.0)),
        assay("APTT", Coagulation, (42.0, 88.0), "s", (0.0, 100.0)),
        assay("PCR", Molecular, (300.0, 300.0), "", (0.0, 0.0)),
        assay("CBC", Haematology, (20.0, 45.0), "", (0.0, 0.0)),
        assay("Chem7", Chemistry, (43.0, 136.0), "", (0.0, 0.0)),
    ]
};
/// The starter kit's assays as indices into [`ASSAYS`], with the prefix of their specimens.
pub(super) const KIT_ASSAYS: [(u8, &str); 3] = [(12, "BL"), (13, "SP"), (11, "CS")];

/// A kind of tube and what is asked of it.
#[derive(Debug)]
pub(super) struct TubeKind {
    pub(super) name: &'static str,
    /// Share of a burst's first tube.
    pub(super) weight: f64,
    /// Indices into [`ASSAYS`] with how often each is asked for.
    pub(super) menu: &'static [(u8, f64)],
    /// Share of tubes with 1, 2, 3 and 4 tests.
    pub(super) tests: [f64; 4],
}

/// The kinds of tube.
pub(super) const TUBE_KINDS: [TubeKind; 4] = [
    TubeKind {
        name: "SERUM",
        weight: 0.44,
        menu: &[(0, 0.30), (1, 0.20), (2, 0.20), (3, 0.12), (4, 0.10), (5, 0.08)],
        tests: [0.25, 0.30, 0.25, 0.20],
    },
    TubeKind {
        name: "EDTA",
        weight: 0.37,
        menu: &[(6, 0.4), (7, 0.35), (8, 0.25)],
        tests: [0.40, 0.30, 0.30, 0.0],
    },
    TubeKind {
        name: "CITRATE",
        weight: 0.14,
        menu: &[(9, 0.65), (10, 0.35)],
        tests: [0.5, 0.5, 0.0, 0.0],
    },
    TubeKind { name: "SWAB", weight: 0.05, menu: &[(11, 1.0)], tests: [1.0, 0.0, 0.0, 0.0] },
];

/// Time zones of the network's laboratories, in turn.
pub(super) const ZONES: [chrono_tz::Tz; 10] = [
    chrono_tz::Europe::Berlin,
    chrono_tz::Europe::London,
    chrono_tz::America::New_York,
    chrono_tz::Europe::Rome,
    chrono_tz::America::Chicago,
    chrono_tz::Europe::Oslo,
    chrono_tz::Asia::Kolkata,
    chrono_tz::America::Los_Angeles,
    chrono_tz::Asia::Tokyo,
    chrono_tz::Australia::Sydney,
];
