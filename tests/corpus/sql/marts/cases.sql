-- CASE and COALESCE in keys and arguments.
SELECT CASE
           WHEN c.tat_minutes < 30 THEN 'short'
           WHEN c.tat_minutes < 120 THEN 'medium'
           WHEN c.tat_minutes IS NOT NULL THEN 'long'
       END                                                            AS band,
       coalesce(c.machine_id, c.operator_id, 'nobody') <> 'nobody'    AS known,
       count(*)                                                       AS n,
       sum(CASE c.priority WHEN 'S' THEN 3 WHEN 'A' THEN 2 ELSE 1 END) AS weight,
       sum(coalesce(c.repeats, -1))                                   AS repeats,
       max(nullif(c.repeats, 2))                                      AS most_but_two,
       avg(coalesce(c.tat_minutes, 0))                                AS mean_or_zero
FROM completions AS c
GROUP BY 1, 2
