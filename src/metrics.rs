//! Every metric's name, unit and labels.
//!
//! Sinks and sources count under names of their own stage, listed here too; all of them appear at
//! `/metrics` in the Prometheus text form.

use metrics::{Unit, describe_counter, describe_gauge};

/// Records read, by what became of them: label `fate` (`counted`, `late_only`, `repeated`,
/// `refused`, `dead_letter`, `other`), each record once.
pub const RECORDS: &str = "turnaround_records_total";
/// Events that wait for the watermark before it is known what becomes of them.
pub const WAITING: &str = "turnaround_records_waiting";
/// Events that some table missed since they came too late for it.
pub const LATE: &str = "turnaround_late_total";
/// Event ids that were forgotten before their time because a partition had too many in an hour.
pub const FORGOTTEN: &str = "turnaround_repeats_forgotten_total";
/// How far back repeats are still known, by label `partition`, once ids had to be forgotten early.
pub const REPEATS_HORIZON: &str = "turnaround_repeats_horizon_seconds";
/// Fields of events that were not known and were ignored.
pub const UNKNOWN_FIELDS: &str = "turnaround_unknown_fields_total";
/// Events dated ahead of those that followed them, by label `lab`.
pub const LEAPS: &str = "turnaround_leaps_total";
/// Tubes, of those that are looked at, whose events came on more than one partition.
pub const SCATTERED: &str = "turnaround_specimens_scattered_total";
/// Objects written to the lake.
pub const OBJECTS: &str = "turnaround_lake_objects_total";
/// Bytes written to the lake.
pub const OBJECT_BYTES: &str = "turnaround_lake_bytes_total";
/// For how long the lake has been away; 0 while it answers.
pub const LAKE_AWAY: &str = "turnaround_lake_away_seconds";
/// Attempts at the lake that failed and were made again.
pub const LAKE_RETRIES: &str = "turnaround_lake_retries_total";
/// Objects that were not put because others stand under their names, or because they cannot be
/// stored, by label `section` (`tables`, `live`, `events` …).
pub const LAKE_REFUSED: &str = "turnaround_lake_refused_total";
/// Objects that could not be deleted and stay for now.
pub const LAKE_UNDELETED: &str = "turnaround_lake_undeleted_total";
/// Windows that have fired, by label `table`.
pub const WINDOWS: &str = "turnaround_windows_total";
/// How far the job's watermark trails the clock.
pub const WATERMARK_LAG: &str = "turnaround_watermark_lag_seconds";
/// The job's watermark as seconds since the Unix epoch.
pub const WATERMARK: &str = "turnaround_watermark_seconds";
/// Bytes held: open windows, days that have not settled, what waits to be filed, ids remembered.
pub const STATE: &str = "turnaround_state_bytes";
/// Bytes that may be held, 0 where there is no limit.
pub const STATE_LIMIT: &str = "turnaround_state_limit_bytes";
/// Pipelines that were stopped by an error.
pub const STOPPED: &str = "turnaround_pipelines_stopped";

/// Rows on which an alert rule could not be evaluated, by label `rule`.
pub const RULE_FAULTS: &str = "turnaround_rule_faults_total";

/// Tells the recorder what the metrics are.
pub fn describe() {
    describe_counter!(RECORDS, Unit::Count, "records read, by what became of them");
    describe_gauge!(WAITING, Unit::Count, "events that wait for the watermark");
    describe_counter!(LATE, Unit::Count, "events that came too late for some table");
    describe_counter!(FORGOTTEN, Unit::Count, "event ids that were forgotten before their time");
    describe_gauge!(
        REPEATS_HORIZON,
        Unit::Seconds,
        "how far back repeats are still known where ids had to be forgotten early, by partition"
    );
    describe_counter!(UNKNOWN_FIELDS, Unit::Count, "fields that were not known and were ignored");
    describe_counter!(LEAPS, Unit::Count, "events dated ahead of those that followed them, by lab");
    describe_counter!(SCATTERED, Unit::Count, "specimens of a sample on more than one partition");
    describe_counter!(OBJECTS, Unit::Count, "objects written to the lake");
    describe_counter!(OBJECT_BYTES, Unit::Bytes, "bytes written to the lake");
    describe_gauge!(LAKE_AWAY, Unit::Seconds, "for how long the lake has been away");
    describe_counter!(LAKE_RETRIES, Unit::Count, "attempts at the lake that were made again");
    describe_counter!(LAKE_REFUSED, Unit::Count, "objects that could not be put, by section");
    describe_counter!(LAKE_UNDELETED, Unit::Count, "objects that could not be deleted yet");
    describe_counter!(WINDOWS, Unit::Count, "windows that have fired, by table");
    describe_gauge!(WATERMARK_LAG, Unit::Seconds, "how far the watermark trails the clock");
    describe_gauge!(WATERMARK, Unit::Seconds, "the watermark, since the Unix epoch");
    describe_gauge!(STATE, Unit::Bytes, "bytes held for windows, days and what waits");
    describe_gauge!(STATE_LIMIT, Unit::Bytes, "bytes that may be held, 0 without a limit");
    describe_counter!(
        RULE_FAULTS,
        Unit::Count,
        "rows on which an alert rule could not be evaluated, by rule"
    );
    describe_gauge!(STOPPED, Unit::Count, "pipelines that were stopped by an error");
    describe_counter!(
        "turnaround_source_records_total",
        Unit::Count,
        "records delivered by Kafka, by partition"
    );
    describe_gauge!(
        "turnaround_consumer_lag",
        Unit::Count,
        "records between position and end, by partition"
    );
    describe_gauge!("turnaround_source_paused", Unit::Count, "1 while a partition is paused");
    describe_counter!("turnaround_cards_total", Unit::Count, "cards, by outcome");
    describe_counter!("turnaround_card_retries_total", Unit::Count, "posts that were tried again");
}
