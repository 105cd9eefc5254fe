-- Tests that were due, by how and while they stood where.
SELECT d.lab_id, d.outcome, d.phase, d.target_source,
       count(*) AS n, count(DISTINCT d.state) AS states, max(d.target_minutes) AS longest, min(d.at) AS first_at
FROM due AS d
GROUP BY d.lab_id, d.outcome, d.phase, d.target_source
