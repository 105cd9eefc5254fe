-- bool_and and bool_or over truths that may be null, and counts of them.
SELECT c.lab_id, c.priority,
       bool_and(c.within_target)                           AS all_within,
       bool_or(c.delta_flag)                               AS any_delta,
       bool_and(c.auto_verified AND c.within_target)       AS all_both,
       bool_or(c.tat_minutes > 100) FILTER (WHERE c.assay = 'K') AS any_slow_k,
       count(*) FILTER (WHERE c.within_target IS NOT TRUE) AS not_surely_within
FROM completions AS c
GROUP BY c.lab_id, c.priority
