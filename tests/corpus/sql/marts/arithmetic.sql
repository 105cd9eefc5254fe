-- Numeric functions over aggregates; division by zero avoided as SQL does.
SELECT c.priority,
       round(avg(c.tat_minutes), 2)                                       AS rounded,
       floor(avg(c.tat_minutes))                                          AS floored,
       ceil(max(c.tat_minutes))                                           AS ceiled,
       sqrt(avg(c.tat_minutes))                                           AS root,
       power(avg(c.tat_minutes) / 100, 3)                                 AS cubed,
       ln(1 + avg(c.tat_minutes))                                         AS logarithm,
       exp(-avg(c.tat_minutes) / 100)                                     AS decayed,
       abs(avg(c.tat_minutes) - 100)                                      AS distance,
       greatest(count(*), count(c.repeats) * 2)                           AS larger,
       least(min(c.tat_minutes), 0.5e0)                                   AS smaller,
       sum(c.repeats) % 7                                                 AS remainder,
       trunc(avg(c.tat_minutes) - 50)                                     AS truncated,
       CAST(count(*) AS DOUBLE) / nullif(count(*) FILTER (WHERE c.assay = 'PCR'), 0) AS per_pcr
FROM completions AS c
GROUP BY c.priority
