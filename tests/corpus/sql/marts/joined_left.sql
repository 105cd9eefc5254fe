-- Left joins with residual conditions on either side; a machine may match two rows.
SELECT c.lab_id, a.panel, m.model, count(*) AS n, count(a.assay) AS known, sum(m.share) AS share,
       count(*) FILTER (WHERE a.high_minutes IS NULL) AS without_limit
FROM completions AS c
LEFT JOIN ref.assays AS a ON a.assay = c.assay AND c.tat_minutes > a.low_minutes + 20
LEFT JOIN ref.machines AS m ON m.machine_id = c.machine_id AND (m.lab_id = c.lab_id OR m.lab_id IS NULL)
GROUP BY c.lab_id, a.panel, m.model
