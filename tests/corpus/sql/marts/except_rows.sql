-- EXCEPT of two relations.
SELECT e.machine_id FROM errors AS e WHERE e.error_code IS NOT NULL
EXCEPT
SELECT c.machine_id FROM completions AS c WHERE c.priority = 'S'
