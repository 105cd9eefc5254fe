-- LIMIT with OFFSET.
SELECT c.lab_id, c.assay, count(*) AS n
FROM completions AS c
GROUP BY c.lab_id, c.assay
ORDER BY count(*) DESC, c.lab_id, c.assay
LIMIT 3 OFFSET 2
