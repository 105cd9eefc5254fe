-- Correlation, covariance and regression over pairs of which one may be null. Where all values of
-- one are the same, corr is NaN to DuckDB and null to us: told apart from neither, it is made null.
SELECT c.lab_id,
       covar_samp(c.tat_minutes, c.collect_to_receive_minutes)        AS covariance,
       covar_pop(c.tat_minutes, c.collect_to_receive_minutes)         AS population_covariance,
       CASE WHEN count(DISTINCT c.tat_minutes) FILTER (WHERE c.collect_to_receive_minutes IS NOT NULL) > 1
             AND count(DISTINCT c.collect_to_receive_minutes) FILTER (WHERE c.tat_minutes IS NOT NULL) > 1
            THEN corr(c.tat_minutes, c.collect_to_receive_minutes) END AS correlation,
       CAST(regr_count(c.tat_minutes, c.collect_to_receive_minutes) AS BIGINT) AS pairs
FROM completions AS c
WHERE c.tat_minutes < 10000
GROUP BY c.lab_id
