-- IN and NOT EXISTS over reference tables, below the aggregate.
SELECT c.lab_id, count(*) AS n, count(DISTINCT c.assay) AS assays
FROM completions AS c
WHERE c.assay IN (SELECT a.assay FROM ref.assays AS a WHERE a.weight >= 1.25)
  AND NOT EXISTS (SELECT 1 FROM ref.machines AS m WHERE m.machine_id = c.machine_id AND m.share > 0)
GROUP BY c.lab_id
