//! What a column looks like, and the words by which columns and values are known.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::time::{DateOrder, TimeReader};

/// So many distinct values of a column are remembered.
const MOST_DISTINCT: usize = 200;

/// What the first values of a column look like.
#[derive(Debug, Default)]
pub(super) struct ColumnProfile {
    pub(super) filled: u64,
    pub(super) not_applicable: u64,
    pub(super) numbers: u64,
    pub(super) whole_numbers: u64,
    pub(super) clocks: u64,
    pub(super) times: u64,
    pub(super) zoned: u64,
    pub(super) day_first: u64,
    pub(super) month_first: u64,
    pub(super) small: u64,
    pub(super) values: BTreeMap<String, u64>,
}

impl ColumnProfile {
    /// Looks at a value.
    pub(super) fn add(&mut self, value: &str) {
        if value.is_empty() {
            return;
        }
        if matches!(value.to_ascii_uppercase().as_str(), "NA" | "N/A" | "NULL" | "NONE" | "NAN") {
            self.not_applicable += 1;
            return;
        }
        self.filled += 1;
        if let Ok(number) = value.parse::<f64>() {
            self.numbers += 1;
            self.small += u64::from(number < 24.0);
            self.whole_numbers += u64::from(number.fract() == 0.0);
        }
        let reads = |order| TimeReader { zone: Tz::UTC, order }.read(value).is_ok();
        let (day_first, month_first) =
            (reads(Some(DateOrder::DayFirst)), reads(Some(DateOrder::MonthFirst)));
        self.times += u64::from(day_first || month_first);
        self.day_first += u64::from(day_first && !month_first);
        self.month_first += u64::from(month_first && !day_first);
        let tail = value.rsplit([':']).next().unwrap_or("");
        self.zoned += u64::from(value.ends_with('Z') || tail.contains('+') || value.contains("+0"));
        let clock = |part: &str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60);
        self.clocks += u64::from(value.contains(':') && value.split(':').all(clock));
        if self.values.len() < MOST_DISTINCT || self.values.contains_key(value) {
            *self.values.entry(value.to_owned()).or_default() += 1;
        }
    }

    /// Whether a count is nine tenths of the values or more.
    pub(super) fn mostly(&self, count: u64) -> bool {
        self.filled > 0 && count * 10 >= self.filled * 9
    }
}

/// Names under which a field goes, the surest first.
pub(super) const NAMES: &[(&str, &[&str])] = &[
    (
        "specimen_id",
        &[
            "specimen_id",
            "specimen",
            "sample_id",
            "barcode",
            "tube_id",
            "accession_number",
            "accession",
        ],
    ),
    (
        "lab_id",
        &[
            "lab_id",
            "lab",
            "laboratory_id",
            "laboratory",
            "site_id",
            "site",
            "centre",
            "center",
            "facility",
            "clinic_name",
        ],
    ),
    (
        "assay",
        &["assay", "test_id", "test_code", "test_type", "test_name", "test", "panel", "analyte"],
    ),
    (
        "received_at",
        &[
            "received_at",
            "received_date",
            "date_received",
            "received",
            "receipt_time",
            "reception_date",
        ],
    ),
    (
        "processed_at",
        &[
            "processed_at",
            "verified_at",
            "completed_at",
            "resulted_at",
            "result_time",
            "completed_date",
            "date_verified",
            "processed",
        ],
    ),
    (
        "collected_at",
        &["collected_at", "collection_datetime", "collection_date", "date_collected", "collected"],
    ),
    ("ordered_at", &["ordered_at", "order_time", "order_date", "ordered"]),
    ("status", &["status", "state", "result"]),
    ("priority", &["priority", "urgency", "prio"]),
    ("patient_class", &["patient_class", "encounter_class"]),
    ("location", &["location", "ward", "clinic"]),
    ("specimen_type", &["specimen_type", "sample_type", "tube_type", "container"]),
    ("order_id", &["order_id", "order_number", "requisition"]),
    (
        "machine_id",
        &[
            "machine_id",
            "machine",
            "instrument_id",
            "instrument",
            "analyzer",
            "analyser",
            "device_id",
        ],
    ),
    ("operator_id", &["operator_id", "operator", "technician_id", "technician", "performed_by"]),
    ("error_code", &["error_code", "failure_code"]),
    ("reject_reason", &["reject_reason", "rejection_reason", "rejection_code"]),
];

/// Parts of a column's name that speak of a patient.
pub(super) const PATIENT_WORDS: [&str; 18] = [
    "patient",
    "subject",
    "name",
    "gender",
    "sex",
    "age",
    "birth",
    "dob",
    "address",
    "phone",
    "email",
    "mrn",
    "ssn",
    "payor",
    "insurance",
    "demo",
    "ethnicity",
    "race",
];

pub(super) const STATUS_WORDS: &[(&str, &[&str])] = &[
    ("RECEIVED", &["received", "registered", "accessioned", "pending"]),
    ("IN_PROCESS", &["in_process", "in_progress", "processing", "running", "started"]),
    (
        "COMPLETED",
        &[
            "completed",
            "complete",
            "done",
            "final",
            "finished",
            "verified",
            "approved",
            "published",
        ],
    ),
    ("ERROR", &["error", "failed", "failure", "invalid"]),
    ("REJECTED", &["rejected", "unsatisfactory"]),
    ("CANCELLED", &["cancelled", "canceled"]),
];

pub(super) const PRIORITY_WORDS: &[(&str, &[&str])] = &[
    ("S", &["s", "stat", "urgent", "high", "critical", "emergency"]),
    ("A", &["a", "asap", "medium"]),
    ("R", &["r", "routine", "normal", "low"]),
];

/// A name as words joined by underscores, in lower case.
pub(super) fn snake(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("_")
}
