SELECT lab_id,
       max(now() - completed_at) AS age
FROM completions GROUP BY lab_id
