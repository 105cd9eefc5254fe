-- One row per lab, assay, priority and window: tests that were due and those that were not done by
-- then. A test is judged once, when its time has come, finished or not; one that was done exactly then
-- is on time. What was breached is told by the phase that overran.
SELECT d.lab_id, d.assay, d.priority,
       count(*)                                                     AS due,
       count(*) FILTER (WHERE d.outcome = 'breached')               AS breached,
       CAST(count(*) FILTER (WHERE d.outcome = 'breached') AS DOUBLE)
           / NULLIF(count(*), 0)                                    AS breach_rate,
       count(*) FILTER (WHERE d.phase = 'waiting')                  AS waiting,
       count(*) FILTER (WHERE d.phase = 'analytical')               AS analytical,
       count(*) FILTER (WHERE d.phase = 'verification')             AS verification,
       count(*) FILTER (WHERE d.phase = 'lost')                     AS lost,
       count(*) FILTER (WHERE d.outcome = 'breached' AND d.phase IS NULL) AS done_late,
       max(d.target_minutes)                                        AS target_minutes
FROM due AS d
GROUP BY d.lab_id, d.assay, d.priority
