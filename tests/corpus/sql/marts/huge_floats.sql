-- Extremes and sums of values up to 1e300. DuckDB's float sums depend on the order of rows; ours are exact.
-- exact: sum avg
SELECT e.analyte,
       count(e.value)                        AS n,
       min(e.value)                          AS least,
       max(e.value)                          AS most,
       sum(CASE WHEN abs(e.value) < 1.5e300 THEN e.value END)  AS total,
       avg(CASE WHEN abs(e.value) < 1.5e300 THEN e.value END)  AS mean,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.value / 1e9) AS median,
       count(DISTINCT e.value)               AS different
FROM events AS e
WHERE e.event_type IN ('result.critical', 'qc.flag')
GROUP BY e.analyte
