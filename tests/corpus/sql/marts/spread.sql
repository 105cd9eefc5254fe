-- Variances and standard deviations; none of one value where a sample needs two.
SELECT c.lab_id,
       count(c.tat_minutes)            AS n,
       var_samp(c.tat_minutes)         AS variance,
       var_pop(c.tat_minutes)          AS population_variance,
       stddev(c.tat_minutes)           AS deviation,
       stddev_samp(c.tat_minutes)      AS sample_deviation,
       stddev_pop(c.tat_minutes)       AS population_deviation
FROM completions AS c
WHERE c.tat_minutes < 10000
GROUP BY c.lab_id
