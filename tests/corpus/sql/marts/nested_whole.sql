-- An aggregate without GROUP BY over an aggregate in FROM.
SELECT max(b.n) AS most, min(b.n) AS least, count(*) AS machines, sum(b.n) AS tests
FROM (
    SELECT c.lab_id, c.machine_id, count(*) AS n
    FROM completions AS c
    GROUP BY c.lab_id, c.machine_id
) AS b
