-- Window functions above the aggregate: ranks with ties and nulls.
SELECT e.lab_id, e.machine_id, e.error_code, count(*) AS errors,
       CAST(rank() OVER (PARTITION BY e.lab_id ORDER BY count(*) DESC) AS BIGINT)        AS place,
       CAST(dense_rank() OVER (PARTITION BY e.lab_id ORDER BY count(*) DESC) AS BIGINT)  AS dense,
       CAST(row_number() OVER (
           ORDER BY count(*), e.lab_id, e.machine_id NULLS FIRST, e.error_code NULLS LAST
       ) AS BIGINT)                                                                      AS number,
       percent_rank() OVER (ORDER BY count(*))                                           AS percent,
       cume_dist() OVER (ORDER BY count(*))                                              AS cumulative
FROM errors AS e
GROUP BY e.lab_id, e.machine_id, e.error_code
