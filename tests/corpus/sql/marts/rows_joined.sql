-- Inner and left joins with reference tables; machines stand twice in theirs, so rows multiply.
SELECT e.lab_id, e.specimen_id, e.assay, e.at, e.error_code, e.minutes_since_receipt,
       l.name, l.beds, l.is_core, l.opened, a.panel, a.weight, a.grade, m.model, m.share
FROM errors AS e
INNER JOIN ref.labs AS l ON l.lab_id = e.lab_id
LEFT JOIN ref.assays AS a ON a.assay = e.assay AND e.minutes_since_receipt > a.high_minutes
LEFT JOIN ref.machines AS m ON m.machine_id = e.machine_id AND m.share > 0
