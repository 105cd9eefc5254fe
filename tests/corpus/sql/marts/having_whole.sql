-- HAVING without GROUP BY.
SELECT count(*) AS n, max(c.tat_minutes) AS worst
FROM completions AS c
HAVING count(*) > 12
