-- Inner joins with two reference tables, keys from both.
SELECT l.name, a.panel, count(*) AS n, sum(a.weight) AS weight, avg(c.tat_minutes / a.weight) AS mean_by_weight,
       max(l.beds) AS beds
FROM completions AS c
INNER JOIN ref.labs AS l ON l.lab_id = c.lab_id
INNER JOIN ref.assays AS a ON a.assay = c.assay
WHERE l.is_core IS NOT FALSE
GROUP BY l.name, a.panel
