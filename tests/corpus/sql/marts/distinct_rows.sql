-- SELECT DISTINCT: groups without an aggregate.
SELECT DISTINCT c.lab_id, c.machine_id, c.priority
FROM completions AS c
