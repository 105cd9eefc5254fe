-- NOT IN over a column without nulls: a null on the left is not listed either, and not told.
SELECT c.lab_id, c.machine_id, count(*) AS n
FROM completions AS c
WHERE c.machine_id NOT IN (SELECT m.machine_id FROM ref.machines AS m)
GROUP BY c.lab_id, c.machine_id
