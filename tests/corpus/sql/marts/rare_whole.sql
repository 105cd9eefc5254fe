-- Without GROUP BY and with a filter that often nothing passes: a row of zero where the window has
-- completions but none of these.
SELECT count(*) AS n, avg(c.tat_minutes) AS mean_minutes
FROM completions AS c
WHERE c.assay = 'PCR' AND c.priority = 'A' AND c.lab_id = 'lab-west'
