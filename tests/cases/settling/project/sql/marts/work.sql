-- One row per lab and window: the tests verified in it, and how long they took.
SELECT c.lab_id,
       count(*)                                                   AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90
FROM completions AS c
GROUP BY c.lab_id
