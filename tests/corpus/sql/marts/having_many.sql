-- HAVING over aggregates that stand in the result and one that does not.
SELECT c.lab_id, c.assay, count(*) AS n, avg(c.tat_minutes) AS mean_minutes
FROM completions AS c
WHERE c.assay IS NOT NULL
GROUP BY c.lab_id, c.assay
HAVING count(*) >= 3 AND (avg(c.tat_minutes) > 20 OR max(c.tat_minutes) IS NULL)
