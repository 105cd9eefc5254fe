-- Floats as keys: zero and negative zero are one group.
SELECT e.value, count(*) AS n, count(DISTINCT e.analyte) AS analytes
FROM events AS e
WHERE e.value IS NOT NULL
GROUP BY e.value
