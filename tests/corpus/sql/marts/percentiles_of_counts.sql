-- Percentiles of integers, of an expression and of values that may all be null.
SELECT c.lab_id,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_us)                        AS micros_p50,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY c.repeats)                      AS repeats_p75,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes - c.target_minutes)
           FILTER (WHERE c.target_minutes < 1000)                                   AS slack_p50,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.total_minutes)
           FILTER (WHERE c.priority = 'A' AND c.assay = 'PCR')                      AS rare_p50
FROM completions AS c
GROUP BY c.lab_id
