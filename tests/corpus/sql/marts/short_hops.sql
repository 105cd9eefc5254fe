-- Small windows: extremes, sums and medians that slide often.
SELECT t.lab_id, count(*) AS n, count(DISTINCT t.specimen_id) AS tubes, max(t.at) AS last_at,
       min(t.assay) AS first_assay, max(t.machine_id) AS last_machine
FROM transitions AS t
GROUP BY t.lab_id
