-- Five windows that share panes of a minute.
SELECT c.priority, count(*) AS n, max(c.tat_minutes) AS worst, avg(c.tat_minutes) AS mean_minutes
FROM completions AS c
GROUP BY c.priority
