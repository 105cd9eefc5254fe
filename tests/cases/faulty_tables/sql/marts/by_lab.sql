SELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id
