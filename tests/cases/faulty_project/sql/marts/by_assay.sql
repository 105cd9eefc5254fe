SELECT lab_id, assay, count(*) AS n FROM completions GROUP BY lab_id, assay
