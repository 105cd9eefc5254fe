-- sum, avg and count of DISTINCT floats.
SELECT c.lab_id,
       sum(DISTINCT c.target_minutes) FILTER (WHERE c.target_minutes < 1e6)   AS total,
       avg(DISTINCT c.target_minutes) FILTER (WHERE c.target_minutes < 1e6)   AS mean,
       count(DISTINCT c.target_minutes)                                       AS different
FROM completions AS c
GROUP BY c.lab_id
