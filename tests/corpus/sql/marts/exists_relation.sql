-- EXISTS over another relation of the same window.
SELECT c.lab_id, count(*) AS n
FROM completions AS c
WHERE EXISTS (SELECT 1 FROM errors AS e WHERE e.machine_id = c.machine_id AND e.lab_id = c.lab_id)
GROUP BY c.lab_id
