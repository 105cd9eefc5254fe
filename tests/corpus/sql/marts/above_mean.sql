-- A scalar sub-query over the window itself.
SELECT c.lab_id, count(*) AS n, max(c.tat_minutes) AS worst
FROM completions AS c
WHERE c.tat_minutes > (SELECT avg(d.tat_minutes) FROM completions AS d)
GROUP BY c.lab_id
