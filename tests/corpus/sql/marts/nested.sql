-- An aggregate of an aggregate.
WITH by_machine AS (
    SELECT c.lab_id, c.machine_id, count(*) AS n, avg(c.tat_minutes) AS mean_minutes
    FROM completions AS c
    GROUP BY c.lab_id, c.machine_id
)
SELECT m.lab_id, count(*) AS machines, avg(m.n) AS mean_tests, max(m.n) AS most_tests,
       avg(m.mean_minutes) AS mean_of_means,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY m.n) AS median_tests
FROM by_machine AS m
GROUP BY m.lab_id
