//! What is asked of a lake, as a whole or within a period.
//!
//! Instants come as microseconds (`_us`), so that an answer is texts and numbers alone. A mark
//! `/*within t.column*/` stands where a period bounds a table's rows, by their time and by their day, and
//! `/*days t*/` where by their day alone.

use datafusion::common::ScalarValue;

use super::charts::ShownPeriod;
use crate::flow::{Span, epoch_day};

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

    /// The question in SQL, of the whole lake.
    pub fn sql(self) -> String {
        bounded(self.text(), None)
    }

    /// The question in SQL within a period, with the values of its placeholders. Laboratories are then
    /// those that have rows.
    pub fn within(self, period: ShownPeriod) -> (String, Vec<ScalarValue>) {
        let text = if self == Question::Labs { LABS_WITH_ROWS } else { self.text() };
        let instant = |at| ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into()));
        let day = |at: crate::flow::Timestamp| ScalarValue::Date32(Some(epoch_day(at.date())));
        // A calendar's day is a laboratory's own, which is a day off at most.
        let (first, last) = (period.from.minus(Span::DAY), period.to.plus(Span::DAY));
        let within = (period.from, period.to.minus(Span(1)));
        let days = [first, last, within.0, within.1].map(day);
        let values = [instant(period.from.0), instant(period.to.0)].into_iter().chain(days);
        (bounded(text, Some([PERIOD, DAYS])), values.collect())
    }

    fn text(self) -> &'static str {
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
            Question::Late => LATE,
        }
    }
}

/// What a mark becomes where there is a period; `{}` is the column, `[]` the table.
const PERIOD: &str = "AND {} >= $1 AND {} < $2 AND [].date >= $3 AND [].date <= $4";
/// The same of days of laboratories' calendars, and of rows whose time is not always known.
const DAYS: &str = "AND [].date >= $5 AND [].date <= $6";
const MARKS: [&str; 2] = ["/*within ", "/*days "];

/// A question with its marks replaced.
fn bounded(text: &str, period: Option<[&str; 2]>) -> String {
    let mut text = text.to_owned();
    for (place, mark) in MARKS.iter().enumerate() {
        let mut parts = text.split(mark);
        let mut bounded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (column, rest) = part.split_once("*/").unwrap_or((part, ""));
            let table = column.split('.').next().unwrap_or_default();
            if let Some(period) = period {
                bounded.push_str(&period[place].replace("{}", column).replace("[]", table));
            }
            bounded.push_str(rest);
        }
        text = bounded;
    }
    text
}

const LABS_WITH_ROWS: &str = "
SELECT t.lab_id, max(l.name) AS name, max(l.tz) AS tz
FROM (
    SELECT DISTINCT c.lab_id FROM completions AS c
    WHERE c.lab_id IS NOT NULL /*within c.completed_at*/
    UNION
    SELECT DISTINCT r.lab_id FROM rejection_rates_day AS r
    WHERE r.lab_id IS NOT NULL AND r.received > 0 /*days r*/
) AS t
LEFT JOIN ref.labs AS l ON l.lab_id = t.lab_id
GROUP BY t.lab_id
ORDER BY t.lab_id";

const LATE: &str = "
SELECT count(DISTINCT l.\"offset\") AS n
FROM late AS l
WHERE TRUE /*within l.event_time*/";

const OVERALL: &str = "
SELECT count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90,
       count(c.within_target)                                     AS judged,
       count(*) FILTER (WHERE c.within_target)                    AS within
FROM completions AS c
WHERE TRUE /*within c.completed_at*/";

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
WHERE TRUE /*within c.completed_at*/
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
WHERE c.tat_minutes IS NOT NULL /*within c.completed_at*/
  AND ((c.priority = 'S' AND c.target_minutes = 60)
       OR (c.priority = 'R' AND c.target_minutes = 240))
GROUP BY c.lab_id, c.priority, hour_us
ORDER BY c.lab_id, c.priority, hour_us";

const THROUGHPUT: &str = "
SELECT t.lab_id,
       CAST(t.window_start AS BIGINT) AS hour_us,
       sum(t.completed)               AS completed
FROM throughput_1h AS t
WHERE TRUE /*within t.window_start*/
GROUP BY t.lab_id, t.window_start
ORDER BY t.lab_id, t.window_start";

const ANALYSERS: &str = "
SELECT c.lab_id, c.machine_id,
       CAST(c.completed_at AS BIGINT) / 7200000000 * 7200000000   AS hour_us,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50
FROM completions AS c
WHERE c.machine_id IS NOT NULL AND c.tat_minutes IS NOT NULL /*within c.completed_at*/
GROUP BY c.lab_id, c.machine_id, hour_us
ORDER BY c.lab_id, c.machine_id, hour_us";

const ERRORS: &str = "
WITH days AS (
    SELECT d.lab_id, d.machine_id, sum(d.errors) AS errors, sum(d.tests) AS tests
    FROM error_rates_day AS d
    WHERE d.machine_id IS NOT NULL /*days d*/
    GROUP BY d.lab_id, d.machine_id
),
hours AS (
    SELECT h.lab_id, h.machine_id, h.errors, h.tests, h.error_rate, h.window_start,
           row_number() OVER (
               PARTITION BY h.lab_id, h.machine_id
               ORDER BY h.error_rate DESC, h.tests DESC, h.window_start
           ) AS place
    FROM error_rates_1h AS h
    WHERE h.tests >= 20 /*within h.window_start*/
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
WHERE TRUE /*days r*/
GROUP BY r.lab_id
ORDER BY r.lab_id";

const REASONS: &str = "
SELECT r.reject_reason, r.lab_id,
       max(k.description) AS description,
       sum(r.rejected)    AS rejected
FROM rejection_reasons_day AS r
LEFT JOIN ref.reject_reasons AS k ON k.code = r.reject_reason
WHERE TRUE /*days r*/
GROUP BY r.reject_reason, r.lab_id
ORDER BY r.reject_reason, r.lab_id";

const BREACHES: &str = "
SELECT b.lab_id,
       CAST(b.window_start AS BIGINT) AS hour_us,
       sum(b.due)                     AS due,
       sum(b.breached)                AS breached
FROM sla_breaches_1h AS b
WHERE date_trunc('hour', b.window_start) = b.window_start /*within b.window_start*/
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
WHERE c.tat_minutes IS NOT NULL AND c.assay IS NOT NULL /*within c.completed_at*/
GROUP BY c.lab_id, c.assay, c.priority, c.target_minutes
HAVING count(*) >= 40
ORDER BY p90 / c.target_minutes DESC, c.lab_id, c.assay, c.priority";

const ALERTS: &str = "
SELECT a.rule, a.severity, a.kind, a.lab_id, a.\"group\", a.figure, a.figure_value,
       a.target, a.n, a.owner, a.runbook, a.card_id,
       CAST(a.begun_at AS BIGINT)   AS begun_us,
       CAST(a.window_end AS BIGINT) AS end_us
FROM alerts AS a
WHERE TRUE /*within a.window_start*/
ORDER BY a.begun_at, a.rule, a.lab_id, a.\"group\", a.window_end, a.kind";

const DEAD_LETTERS: &str = "
SELECT d.reason, count(*) AS n
FROM dead_letters AS d
WHERE TRUE /*days d*/
GROUP BY d.reason
ORDER BY n DESC, d.reason";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Timestamp;

    #[test]
    fn a_period_bounds_every_table_and_the_whole_lake_has_no_bounds() {
        let period = ShownPeriod { from: Timestamp(0), to: Timestamp(86_400_000_000) };
        for question in Question::ALL {
            let (sql, values) = question.within(period);
            assert!(!sql.contains("/*"), "{sql}");
            assert!(sql.contains("$4") || sql.contains("$6"), "{sql}");
            assert_eq!(values.len(), 6);
            let whole = question.sql();
            assert!(!whole.contains("/*") && !whole.contains('$'), "{whole}");
        }
        let (late, values) = Question::Late.within(period);
        assert!(late.contains(
            "WHERE TRUE AND l.event_time >= $1 AND l.event_time < $2 AND l.date >= $3 AND l.date <= $4"
        ));
        assert_eq!(values[2..], [-1, 2, 0, 0].map(|day| ScalarValue::Date32(Some(day))));
    }
}
