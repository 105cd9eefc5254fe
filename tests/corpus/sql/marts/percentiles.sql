-- Percentiles of floats, at the ends, within, and descending.
SELECT c.assay, c.priority,
       percentile_cont(0.0) WITHIN GROUP (ORDER BY c.tat_minutes)        AS p0,
       percentile_cont(0.01) WITHIN GROUP (ORDER BY c.tat_minutes)       AS p1,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY c.tat_minutes)       AS p25,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes)        AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes)        AS p90,
       percentile_cont(0.999) WITHIN GROUP (ORDER BY c.tat_minutes)      AS p999,
       percentile_cont(1.0) WITHIN GROUP (ORDER BY c.tat_minutes)        AS p100,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes DESC)   AS p90_down,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.total_minutes)      AS total_p50
FROM completions AS c
GROUP BY c.assay, c.priority
