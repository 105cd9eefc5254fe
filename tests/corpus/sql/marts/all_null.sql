-- A column that is null in every row that passes, and filters that nothing passes.
SELECT t.lab_id, e.auto_verified,
       count(t.seconds_in_state)                              AS n,
       sum(t.seconds_in_state)                                AS total,
       avg(t.seconds_in_state)                                AS mean,
       min(t.seconds_in_state)                                AS least,
       max(t.seconds_in_state)                                AS most,
       count(DISTINCT t.seconds_in_state)                     AS different,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds_in_state) AS median,
       sum(t.seconds_in_state) FILTER (WHERE t.lab_id = 'none') AS nothing,
       stddev(t.seconds_in_state)                             AS spread,
       count(*)                                               AS rows_held
FROM transitions AS t
CROSS JOIN (SELECT DISTINCT l.is_core AS auto_verified FROM ref.labs AS l) AS e
WHERE t.from_state IS NULL
GROUP BY t.lab_id, e.auto_verified
