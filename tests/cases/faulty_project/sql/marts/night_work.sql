-- One row per laboratory and hour.
SELECT c.lab_id,
       c.assay,
       avg(c.tat_minuts) AS mean_minutes
FROM completions AS c
GROUP BY c.lab_id, c.assay
