-- One row per window: the tests verified in it, and how long they took from receipt to verification.
SELECT count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50_minutes,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90_minutes,
       avg(c.tat_minutes)                                         AS mean_minutes
FROM completions AS c
