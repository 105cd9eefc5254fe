-- RIGHT and FULL joins with reference tables.
SELECT coalesce(c.assay, a.assay) AS assay, count(c.lab_id) AS n, count(a.assay) AS listed
FROM completions AS c
FULL JOIN ref.assays AS a ON a.assay = c.assay
GROUP BY coalesce(c.assay, a.assay)
