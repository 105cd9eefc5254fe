-- Every kind of aggregate over values that are mostly or always null.
SELECT t.lab_id,
       count(t.seconds_in_state)                              AS n,
       sum(t.seconds_in_state)                                AS total,
       avg(t.seconds_in_state)                                AS mean,
       min(t.seconds_in_state)                                AS least,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds_in_state) AS median,
       sum(t.seconds_in_state) FILTER (WHERE t.lab_id = 'none') AS nothing,
       stddev(t.seconds_in_state)                             AS spread,
       bool_and(t.seconds_in_state > 1)                       AS all_long,
       bool_or(t.reject_reason = 'EX')                        AS any_expired,
       max(length(t.error_code))                              AS longest_code,
       min(CAST(CASE WHEN t.to_state = 'ERROR' THEN t.at END AS DATE)) AS first_error_date,
       bit_or(CASE WHEN t.to_state = 'CANCELLED' THEN 1 END)  AS bits
FROM transitions AS t
GROUP BY t.lab_id
