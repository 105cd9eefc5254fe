-- One row per lab, assay, priority, phase and window: how long the phase took.
SELECT p.lab_id, p.assay, p.priority, p.phase,
       count(*)                                                AS n,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY p.minutes) AS p50_minutes,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY p.minutes) AS p75_minutes,
       percentile_cont(0.90) WITHIN GROUP (ORDER BY p.minutes) AS p90_minutes,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY p.minutes) AS p95_minutes,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY p.minutes) AS p99_minutes,
       avg(p.minutes)                                          AS mean_minutes,
       max(p.target_minutes)                                   AS target_minutes,
       sum(CAST(p.within_target AS BIGINT))                    AS within_target,
       CAST(sum(CAST(p.within_target AS BIGINT)) AS DOUBLE)
           / NULLIF(count(p.within_target), 0)                 AS within_target_rate
FROM tat_phases AS p
GROUP BY p.lab_id, p.assay, p.priority, p.phase
