-- DISTINCT ON, in an order without ties.
SELECT DISTINCT ON (c.lab_id) c.lab_id, c.completed_at, c.specimen_id, c.assay
FROM completions AS c
ORDER BY c.lab_id, c.completed_at DESC, c.specimen_id, c.assay
