-- One row per critical result that came to be overdue, and one for the answer that ended it.
SELECT c.lab_id, c.specimen_id, c.assay, c.critical_id,
       CASE WHEN count(*) FILTER (WHERE c.outcome <> 'overdue') = 0 THEN
           CAST(max(to_unixtime(c.judged_at) - to_unixtime(c.clock_start_at)) AS DOUBLE) / 60.0
       END                                                                     AS open_minutes,
       max(CASE WHEN c.outcome <> 'overdue' THEN c.minutes_to_acknowledge END) AS answered_minutes,
       max(c.attempts)                                                         AS attempts,
       max(c.target_minutes)                                                   AS target_minutes
FROM critical_results AS c
WHERE c.outcome IN ('overdue', 'handled_late', 'overturned')
GROUP BY c.lab_id, c.specimen_id, c.assay, c.critical_id
