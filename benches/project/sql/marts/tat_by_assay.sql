-- One row per laboratory, assay and window: how long tests took from receipt to verification.
SELECT c.lab_id, c.assay,
       count(*)                                                    AS n,
       percentile_cont(0.5)  WITHIN GROUP (ORDER BY c.tat_minutes) AS p50_minutes,
       percentile_cont(0.9)  WITHIN GROUP (ORDER BY c.tat_minutes) AS p90_minutes,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY c.tat_minutes) AS p99_minutes
FROM completions AS c
WHERE c.tat_minutes IS NOT NULL
GROUP BY c.lab_id, c.assay
