-- ROLLUP with a filter and percentiles.
SELECT c.lab_id, c.priority, c.machine_id, grouping(c.lab_id, c.priority, c.machine_id) AS level,
       count(*) AS completed, max(c.tat_minutes) AS worst,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS median
FROM completions AS c
WHERE c.priority <> 'A'
GROUP BY ROLLUP (c.lab_id, c.priority, c.machine_id)
