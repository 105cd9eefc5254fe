-- NOT IN over a column with a null, alone: no rows at all.
SELECT c.lab_id, count(*) AS n
FROM completions AS c
WHERE c.lab_id NOT IN (SELECT m.lab_id FROM ref.machines AS m)
GROUP BY c.lab_id
