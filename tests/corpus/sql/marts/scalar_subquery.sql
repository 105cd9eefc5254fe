-- A scalar sub-query over a reference table, in WHERE and in the result.
SELECT c.lab_id, count(*) AS n, avg(c.tat_minutes) AS mean_minutes,
       avg(c.tat_minutes) - (SELECT avg(a.high_minutes) FROM ref.assays AS a) AS beyond_mean
FROM completions AS c
WHERE c.tat_minutes > (SELECT min(a.high_minutes) FROM ref.assays AS a WHERE a.low_minutes = 0)
GROUP BY c.lab_id
