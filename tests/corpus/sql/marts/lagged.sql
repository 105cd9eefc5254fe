-- lag, lead, first and last value, running and moving sums over groups.
WITH hours AS (
    SELECT t.lab_id, date_trunc('hour', t.at) AS hour, count(*) AS n
    FROM transitions AS t
    GROUP BY t.lab_id, date_trunc('hour', t.at)
)
SELECT h.lab_id, h.hour, h.n,
       lag(h.n) OVER (PARTITION BY h.lab_id ORDER BY h.hour)               AS before,
       lead(h.n, 2, -1) OVER (PARTITION BY h.lab_id ORDER BY h.hour)       AS after_next,
       h.n - lag(h.n, 1, 0) OVER (PARTITION BY h.lab_id ORDER BY h.hour)   AS change,
       first_value(h.n) OVER (PARTITION BY h.lab_id ORDER BY h.hour)       AS first_n,
       sum(h.n) OVER (PARTITION BY h.lab_id ORDER BY h.hour)               AS running,
       avg(h.n) OVER (
           PARTITION BY h.lab_id ORDER BY h.hour ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING
       )                                                                   AS moving,
       CAST(ntile(3) OVER (PARTITION BY h.lab_id ORDER BY h.hour) AS BIGINT) AS third
FROM hours AS h
