-- Two aggregates joined in full: machines with either.
WITH done AS (
    SELECT c.machine_id, count(*) AS n, avg(c.tat_minutes) AS mean_minutes
    FROM completions AS c WHERE c.machine_id IS NOT NULL GROUP BY c.machine_id
),
failed AS (
    SELECT e.machine_id, count(*) AS n, count(DISTINCT e.error_code) AS codes
    FROM errors AS e WHERE e.machine_id IS NOT NULL GROUP BY e.machine_id
)
SELECT coalesce(d.machine_id, f.machine_id) AS machine_id,
       coalesce(d.n, 0) AS done, coalesce(f.n, 0) AS failed, f.codes, d.mean_minutes,
       CAST(coalesce(f.n, 0) AS DOUBLE) / (coalesce(d.n, 0) + coalesce(f.n, 0)) AS error_rate
FROM done AS d
FULL OUTER JOIN failed AS f ON f.machine_id = d.machine_id
