-- Windows far longer than the silences: everything that slides.
SELECT c.assay, count(*) AS n, count(c.tat_minutes) AS known, sum(c.tat_minutes) AS minutes,
       avg(c.tat_minutes) AS mean_minutes, min(c.tat_minutes) AS least, max(c.tat_minutes) AS most,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.tat_minutes) AS p90,
       sum(c.repeats) AS repeats, max(c.location) AS last_place, max(c.completed_at) AS last_at,
       stddev_pop(c.tat_minutes) FILTER (WHERE c.tat_minutes < 10000) AS deviation
FROM completions AS c
GROUP BY c.assay
