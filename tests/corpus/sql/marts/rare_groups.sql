-- With GROUP BY a window that nothing passes has no rows.
SELECT c.lab_id, count(*) AS n, avg(c.tat_minutes) AS mean_minutes
FROM completions AS c
WHERE c.assay = 'PCR' AND c.priority = 'A'
GROUP BY c.lab_id
