-- Aggregates without GROUP BY over floats.
SELECT count(*)               AS completed,
       sum(c.tat_minutes)     AS minutes,
       avg(c.tat_minutes)     AS mean_minutes,
       min(c.tat_minutes)     AS least,
       max(c.tat_minutes)     AS most,
       sum(c.tat_us)          AS micros,
       max(c.within_target)   AS any_within,
       min(c.within_target)   AS all_within
FROM completions AS c
