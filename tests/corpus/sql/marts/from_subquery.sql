-- A sub-query in FROM, with columns made there.
SELECT s.lab_id, s.is_slow, count(*) AS n, avg(s.over_by) AS mean_over
FROM (
    SELECT c.lab_id, c.tat_minutes > c.target_minutes AS is_slow,
           c.tat_minutes - c.target_minutes AS over_by
    FROM completions AS c
    WHERE c.target_minutes < 1e6
) AS s
GROUP BY s.lab_id, s.is_slow
