-- Seven calendars, over the nights in which clocks change.
SELECT c.lab_id, count(*) AS n, avg(c.tat_minutes) AS mean_minutes,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY c.tat_minutes) AS median,
       min(c.completed_at) AS first_at, max(c.completed_at) AS last_at
FROM completions AS c
GROUP BY c.lab_id
