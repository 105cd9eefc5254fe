-- GROUPING SETS; `level` tells the sets apart where a key itself is null.
SELECT e.lab_id, e.assay, grouping(e.lab_id, e.assay) AS level,
       count(*) AS errors, avg(e.minutes_since_receipt) AS mean_minutes
FROM errors AS e
GROUP BY GROUPING SETS ((e.lab_id, e.assay), (e.lab_id), (e.assay), ())
