-- Extremes of 64-bit integers, and sums that stay within them.
SELECT e.event_type,
       min(e.seq)                                AS least,
       max(e.seq)                                AS most,
       count(DISTINCT e.seq)                     AS different,
       sum(e.seq % 1000003)                      AS remainders,
       avg(CAST(e.seq % 65536 AS DOUBLE))        AS mean_remainder
FROM events AS e
GROUP BY e.event_type
