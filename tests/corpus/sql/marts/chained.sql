-- A chain of CTEs, the aggregate in the middle.
WITH known AS (
    SELECT t.lab_id, t.to_state, t.machine_id
    FROM transitions AS t
    WHERE t.to_state IN ('VERIFIED', 'ERROR', 'REJECTED')
),
counted AS (
    SELECT k.lab_id, count(*) AS n,
           count(*) FILTER (WHERE k.to_state = 'ERROR') AS errors,
           count(*) FILTER (WHERE k.to_state = 'REJECTED') AS rejected
    FROM known AS k
    GROUP BY k.lab_id
),
shares AS (
    SELECT c.lab_id, c.n, CAST(c.errors AS DOUBLE) / c.n AS error_share,
           CAST(c.rejected AS DOUBLE) / nullif(c.n - c.errors, 0) AS rejected_share
    FROM counted AS c
)
SELECT s.lab_id, s.n, s.error_share, s.rejected_share,
       coalesce(s.error_share, 0) + coalesce(s.rejected_share, 0) AS bad
FROM shares AS s
WHERE s.n > 1
