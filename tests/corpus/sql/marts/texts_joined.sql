-- string_agg with an order of its own.
SELECT c.lab_id,
       string_agg(c.assay, '|' ORDER BY c.assay)              AS assays
FROM completions AS c
GROUP BY c.lab_id
