-- DISTINCT aggregates, several in one query, beside others.
SELECT c.assay,
       count(DISTINCT c.specimen_id)          AS specimens,
       count(DISTINCT c.machine_id)           AS machines,
       count(DISTINCT c.tat_minutes)          AS durations,
       count(DISTINCT c.within_target)        AS outcomes,
       count(DISTINCT upper(c.location))      AS places,
       count(DISTINCT c.completed_at)         AS instants,
       count(*)                               AS n,
       min(DISTINCT c.tat_us)                 AS shortest,
       max(DISTINCT c.repeats)                AS most_repeats
FROM completions AS c
GROUP BY c.assay
