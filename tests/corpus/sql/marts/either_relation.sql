-- A join of two relations below the aggregate.
SELECT c.lab_id, c.specimen_id, count(*) AS pairs, min(c.tat_minutes) AS least, max(e.error_code) AS code
FROM completions AS c
INNER JOIN errors AS e ON e.lab_id = c.lab_id AND e.specimen_id = c.specimen_id
GROUP BY c.lab_id, c.specimen_id
