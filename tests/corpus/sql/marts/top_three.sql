-- ORDER BY with LIMIT, in an order without ties.
SELECT e.lab_id, e.error_code, count(*) AS n
FROM errors AS e
GROUP BY e.lab_id, e.error_code
ORDER BY count(*) DESC, e.lab_id, e.error_code NULLS LAST
LIMIT 3
