-- Rows of a reference table that nothing matches are kept: it stands on the left.
SELECT l.lab_id, count(c.specimen_id) AS n, max(c.tat_minutes) AS worst
FROM ref.labs AS l
LEFT JOIN completions AS c ON c.lab_id = l.lab_id
GROUP BY l.lab_id
