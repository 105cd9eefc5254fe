//! What is asked of the lake after the run. Every answer is settled: nothing is read from `live/`
//! that a settled day does not hold, since the run was of a finite input.
//!
//! Instants come as microseconds (`_us`), so that an answer is texts and numbers alone.

/// A question to the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// One row per laboratory of `ref.labs`.
    Labs,
    /// One row: all completed tests.
    Overall,
    /// One row per laboratory: its completed tests.
    Completions,
    /// One row per laboratory, priority and two hours: turnaround where the target is an hour (stat)
    /// or four (routine of the wards).
    Hours,
    /// One row per laboratory and hour: tests completed.
    Throughput,
    /// One row per laboratory, instrument and two hours: turnaround.
    Analysers,
    /// One row per laboratory and instrument: its errors, and its worst hour.
    Errors,
    /// One row per laboratory: its rejected tubes.
    Rejections,
    /// One row per reason and laboratory: rejected tubes.
    Reasons,
    /// One row per laboratory and hour: tests beyond their target.
    Breaches,
    /// One row per laboratory, assay, priority and target: turnaround.
    Groups,
    /// One row per notice of a breach.
    Alerts,
    /// One row per reason: dead letters.
    DeadLetters,
    /// One row: events that missed the windows of some table.
    Late,
}

impl Question {
    /// All questions.
    pub const ALL: [Question; 14] = [
        Question::Labs,
        Question::Overall,
        Question::Completions,
        Question::Hours,
        Question::Throughput,
        Question::Analysers,
        Question::Errors,
        Question::Rejections,
        Question::Reasons,
        Question::Breaches,
        Question::Groups,
        Question::Alerts,
        Question::DeadLetters,
        Question::Late,
    ];

    /// The question in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Question::Labs => "SELECT lab_id, name, tz FROM ref.labs ORDER BY lab_id",
            Question::Overall => OVERALL,
            Question::Completions => COMPLETIONS,
            Question::Hours => HOURS,
            Question::Throughput => THROUGHPUT,
            Question::Analysers => ANALYSERS,
            Question::Errors => ERRORS,
            Question::Rejections => REJECTIONS,
            Question::Reasons => REASONS,
            Question::Breaches => BREACHES,
            Question::Groups => GROUPS,
            Question::Alerts => ALERTS,
            Question::DeadLetters => DEAD_LETTERS,
            Question::Late => "SELECT count(DISTINCT \"offset\") AS n FROM late",
        }
    }
}

const OVERALL: &str = "
SELECT count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90,
       count(c.within_target)                                     AS judged,
       count(*) FILTER (WHERE c.within_target)                    AS within
FROM completions AS c";

const COMPLETIONS: &str = "
SELECT c.lab_id,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY CASE
           WHEN c.priority = 'S' AND c.target_minutes <= 60 THEN c.tat_minutes
       END)                                                       AS stat_p90,
       max(CASE
           WHEN c.priority = 'S' AND c.target_minutes <= 60 THEN c.target_minutes
       END)                                                       AS stat_target,
       count(c.within_target)                                     AS judged,
       count(*) FILTER (WHERE c.within_target)                    AS within
FROM completions AS c
GROUP BY c.lab_id
ORDER BY c.lab_id";

const HOURS: &str = "
SELECT c.lab_id, c.priority,
       CAST(c.completed_at AS BIGINT) / 7200000000 * 7200000000   AS hour_us,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90,
       max(c.target_minutes)                                      AS target
FROM completions AS c
WHERE c.tat_minutes IS NOT NULL
  AND ((c.priority = 'S' AND c.target_minutes = 60)
       OR (c.priority = 'R' AND c.target_minutes = 240))
GROUP BY c.lab_id, c.priority, hour_us
ORDER BY c.lab_id, c.priority, hour_us";

const THROUGHPUT: &str = "
SELECT t.lab_id,
       CAST(t.window_start AS BIGINT) AS hour_us,
       sum(t.completed)               AS completed
FROM throughput_1h AS t
GROUP BY t.lab_id, t.window_start
ORDER BY t.lab_id, t.window_start";

const ANALYSERS: &str = "
SELECT c.lab_id, c.machine_id,
       CAST(c.completed_at AS BIGINT) / 7200000000 * 7200000000   AS hour_us,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50
FROM completions AS c
WHERE c.machine_id IS NOT NULL AND c.tat_minutes IS NOT NULL
GROUP BY c.lab_id, c.machine_id, hour_us
ORDER BY c.lab_id, c.machine_id, hour_us";

const ERRORS: &str = "
WITH days AS (
    SELECT d.lab_id, d.machine_id, sum(d.errors) AS errors, sum(d.tests) AS tests
    FROM error_rates_day AS d
    WHERE d.machine_id IS NOT NULL
    GROUP BY d.lab_id, d.machine_id
),
hours AS (
    SELECT h.lab_id, h.machine_id, h.errors, h.tests, h.error_rate, h.window_start,
           row_number() OVER (
               PARTITION BY h.lab_id, h.machine_id
               ORDER BY h.error_rate DESC, h.tests DESC, h.window_start
           ) AS place
    FROM error_rates_1h AS h
    WHERE h.tests >= 20
)
SELECT d.lab_id, d.machine_id, d.errors, d.tests,
       h.errors                       AS worst_errors,
       h.tests                        AS worst_tests,
       CAST(h.window_start AS BIGINT) AS worst_us
FROM days AS d
LEFT JOIN hours AS h
  ON h.lab_id = d.lab_id AND h.machine_id = d.machine_id AND h.place = 1
ORDER BY CAST(d.errors AS DOUBLE) / d.tests DESC, d.lab_id, d.machine_id";

const REJECTIONS: &str = "
SELECT r.lab_id, sum(r.rejected) AS rejected, sum(r.received) AS received
FROM rejection_rates_day AS r
GROUP BY r.lab_id
ORDER BY r.lab_id";

const REASONS: &str = "
SELECT r.reject_reason, r.lab_id,
       max(k.description) AS description,
       sum(r.rejected)    AS rejected
FROM rejection_reasons_day AS r
LEFT JOIN ref.reject_reasons AS k ON k.code = r.reject_reason
GROUP BY r.reject_reason, r.lab_id
ORDER BY r.reject_reason, r.lab_id";

const BREACHES: &str = "
SELECT b.lab_id,
       CAST(b.window_start AS BIGINT) AS hour_us,
       sum(b.due)                     AS due,
       sum(b.breached)                AS breached
FROM sla_breaches_1h AS b
WHERE date_trunc('hour', b.window_start) = b.window_start
GROUP BY b.lab_id, b.window_start
ORDER BY b.lab_id, b.window_start";

const GROUPS: &str = "
SELECT c.lab_id, c.assay, c.priority,
       c.target_minutes                                           AS target,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90,
       count(*) FILTER (WHERE NOT c.within_target)                AS breached
FROM completions AS c
WHERE c.tat_minutes IS NOT NULL AND c.assay IS NOT NULL
GROUP BY c.lab_id, c.assay, c.priority, c.target_minutes
HAVING count(*) >= 40
ORDER BY p90 / c.target_minutes DESC, c.lab_id, c.assay, c.priority";

const ALERTS: &str = "
SELECT a.rule, a.severity, a.kind, a.lab_id, a.\"group\", a.figure, a.figure_value,
       a.target, a.n, a.owner, a.runbook, a.card_id,
       CAST(a.begun_at AS BIGINT)   AS begun_us,
       CAST(a.window_end AS BIGINT) AS end_us
FROM alerts AS a
ORDER BY a.begun_at, a.rule, a.lab_id, a.\"group\", a.window_end, a.kind";

const DEAD_LETTERS: &str = "
SELECT d.reason, count(*) AS n
FROM dead_letters AS d
GROUP BY d.reason
ORDER BY n DESC, d.reason";
