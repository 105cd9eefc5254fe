-- A join with a reference table above the aggregate.
WITH counted AS (
    SELECT c.assay, count(*) AS n, avg(c.tat_minutes) AS mean_minutes
    FROM completions AS c
    GROUP BY c.assay
)
SELECT k.assay, a.panel, k.n, k.n * a.weight AS weighted, k.mean_minutes <= a.high_minutes AS kept
FROM counted AS k
LEFT JOIN ref.assays AS a ON a.assay = k.assay
