-- One row per laboratory, machine and run: the tests of the run, and how long they took.
SELECT c.lab_id,
       c.machine_id,
       count(*)                                                   AS n,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90_minutes,
       avg(c.tat_minutes)                                         AS mean_minutes,
       count(DISTINCT c.assay)                                    AS assays,
       max(c.completed_at)                                        AS last_at
FROM completions AS c
GROUP BY c.lab_id, c.machine_id
