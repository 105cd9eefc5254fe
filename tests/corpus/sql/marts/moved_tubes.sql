-- Two keys that may be null, and a filter on a relation's made column.
SELECT t.lab_id, t.from_state, t.to_state, count(*) AS n, count(DISTINCT t.specimen_id) AS tubes,
       min(t.at) AS first_at
FROM transitions AS t
WHERE t.to_state NOT IN ('PUBLISHED')
GROUP BY t.lab_id, t.from_state, t.to_state
