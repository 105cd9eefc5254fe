-- string_agg over different texts, in their order.
SELECT c.lab_id, string_agg(DISTINCT c.machine_id, ', ' ORDER BY c.machine_id) AS machines
FROM completions AS c
GROUP BY c.lab_id
