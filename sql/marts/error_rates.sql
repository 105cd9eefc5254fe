-- One row per lab, machine and window: the machine's errors as a part of its own finished tests.
SELECT t.lab_id, t.machine_id,
       count(*) FILTER (WHERE t.to_state = 'ERROR')                 AS errors,
       count(*)                                                     AS tests,
       CAST(count(*) FILTER (WHERE t.to_state = 'ERROR') AS DOUBLE)
           / NULLIF(count(*), 0)                                    AS error_rate
FROM transitions AS t
WHERE t.to_state IN ('VERIFIED', 'ERROR')
GROUP BY t.lab_id, t.machine_id
