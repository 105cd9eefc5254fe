-- One row per laboratory, assay and burst: routine work left out, though it still makes a burst last.
SELECT c.lab_id,
       c.assay,
       count(*)                                    AS n,
       count(*) FILTER (WHERE c.priority = 'S')    AS n_of_stat
FROM completions AS c
WHERE c.priority <> 'R'
GROUP BY c.lab_id, c.assay
