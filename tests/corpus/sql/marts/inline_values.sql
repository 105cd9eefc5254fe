-- A join with VALUES.
SELECT v.name, count(*) AS n, sum(v.weight * c.tat_minutes) AS weighted
FROM completions AS c
INNER JOIN (VALUES ('K', 'potassium', 2), ('NA', 'sodium', 3), ('X', 'nothing', 5)) AS v(code, name, weight)
    ON v.code = c.assay
GROUP BY v.name
