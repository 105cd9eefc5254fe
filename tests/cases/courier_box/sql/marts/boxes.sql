-- A row is a kind of move in a laboratory.
SELECT lab_id, event, count(*) AS n
FROM courier_box
GROUP BY lab_id, event
