-- Filters and CASE, row by row.
SELECT c.lab_id, c.specimen_id, c.assay, c.completed_at, c.tat_us, c.tat_minutes, c.target_minutes,
       c.within_target, c.resulted_at, c.receive_to_result_minutes, c.result_to_verify_minutes,
       c.total_minutes, c.order_to_collect_minutes, c.collect_to_receive_minutes,
       CASE
           WHEN c.tat_minutes IS NULL THEN 'unknown'
           WHEN c.tat_minutes > 2 * c.target_minutes THEN 'far over'
           WHEN NOT c.within_target THEN 'over'
           ELSE 'within'
       END AS verdict
FROM completions AS c
WHERE c.tat_minutes > 30 OR c.tat_minutes IS NULL
