-- Window frames by range and by groups of peers.
WITH hours AS (
    SELECT date_trunc('hour', t.at) AS hour, count(*) AS n
    FROM transitions AS t
    GROUP BY date_trunc('hour', t.at)
)
SELECT h.hour, h.n,
       sum(h.n) OVER (
           ORDER BY h.hour RANGE BETWEEN INTERVAL '2 hours' PRECEDING AND CURRENT ROW
       ) AS three_hours,
       count(*) OVER (ORDER BY h.n RANGE BETWEEN 10 PRECEDING AND 10 FOLLOWING) AS alike,
       max(h.n) OVER (
           ORDER BY h.hour ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
       ) AS most_before
FROM hours AS h
