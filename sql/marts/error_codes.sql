-- One row per lab, machine, error code and window: the code's share of the machine's errors.
WITH counted AS (
    SELECT e.lab_id, e.machine_id, e.error_code,
           count(*) AS errors
    FROM errors AS e
    GROUP BY e.lab_id, e.machine_id, e.error_code
)
SELECT c.lab_id, c.machine_id, c.error_code, c.errors,
       CAST(c.errors AS DOUBLE)
           / NULLIF(sum(c.errors) OVER (PARTITION BY c.lab_id, c.machine_id), 0) AS share,
       CAST(rank() OVER (
           PARTITION BY c.lab_id, c.machine_id ORDER BY c.errors DESC
       ) AS BIGINT)                                                              AS rank
FROM counted AS c
