-- Semi and anti joins with reference tables.
SELECT c.lab_id, c.specimen_id, c.assay, c.machine_id, c.completed_at, c.repeats
FROM completions AS c
WHERE c.assay IN (SELECT a.assay FROM ref.assays AS a WHERE a.weight > 1)
  AND NOT EXISTS (SELECT 1 FROM ref.machines AS m WHERE m.machine_id = c.machine_id)
