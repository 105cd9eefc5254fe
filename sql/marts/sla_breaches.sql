-- One row per lab, assay, priority and window: completed tests and those that took longer than
-- their target. A test that took exactly its target is within it.
SELECT c.lab_id, c.assay, c.priority,
       count(*)                                                     AS completed,
       count(*) FILTER (WHERE c.tat_minutes > c.target_minutes)     AS breached,
       CAST(count(*) FILTER (WHERE c.tat_minutes > c.target_minutes) AS DOUBLE)
           / NULLIF(count(*), 0)                                    AS breach_rate,
       count(*) FILTER (WHERE c.tat_minutes IS NULL)                AS unjudged,
       max(c.tat_minutes)                                           AS worst_minutes,
       max(c.target_minutes)                                        AS target_minutes
FROM completions AS c
GROUP BY c.lab_id, c.assay, c.priority
