-- FILTER clauses of every aggregate.
SELECT c.lab_id,
       count(*) FILTER (WHERE c.priority = 'S')                               AS stat,
       count(*) FILTER (WHERE c.tat_minutes > c.target_minutes)               AS over,
       count(DISTINCT c.machine_id) FILTER (WHERE c.priority <> 'S')          AS machines,
       sum(c.tat_minutes) FILTER (WHERE c.assay LIKE '%o%')                   AS of_some,
       avg(c.tat_minutes) FILTER (WHERE c.auto_verified)                      AS automatic,
       min(c.tat_us) FILTER (WHERE c.machine_id IS NULL)                      AS unplaced,
       max(c.completed_at) FILTER (WHERE c.delta_flag)                        AS last_delta,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes)
           FILTER (WHERE c.patient_class IN ('ED', 'GP'))                     AS median_of_two
FROM completions AS c
GROUP BY c.lab_id
