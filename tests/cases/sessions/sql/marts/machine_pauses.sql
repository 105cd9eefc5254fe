-- One row per laboratory, machine and run: the longest time between two completions in it.
WITH pauses AS (
    SELECT c.lab_id,
           c.machine_id,
           CAST(c.completed_at AS BIGINT)
               - lag(CAST(c.completed_at AS BIGINT)) OVER (ORDER BY c.completed_at) AS us
    FROM completions AS c
)
SELECT p.lab_id,
       p.machine_id,
       count(*)        AS n,
       max(p.us) / 1e6 AS pause_seconds
FROM pauses AS p
GROUP BY p.lab_id, p.machine_id
