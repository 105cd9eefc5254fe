SELECT c.lab_id, count(*) AS n FROM completions AS c GROUP BY c.lab_id
