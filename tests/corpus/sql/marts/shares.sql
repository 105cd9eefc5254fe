-- Shares of totals, and a share of a share.
WITH counted AS (
    SELECT c.lab_id, c.assay, count(*) AS n, sum(c.tat_minutes) AS minutes
    FROM completions AS c
    GROUP BY c.lab_id, c.assay
)
SELECT k.lab_id, k.assay, k.n,
       CAST(k.n AS DOUBLE) / sum(k.n) OVER (PARTITION BY k.lab_id)          AS of_lab,
       CAST(k.n AS DOUBLE) / sum(k.n) OVER ()                               AS of_all,
       k.minutes / nullif(sum(k.minutes) OVER (PARTITION BY k.assay), 0)    AS of_assay_minutes,
       max(k.n) OVER (PARTITION BY k.assay)                                 AS most_of_assay,
       count(*) OVER (PARTITION BY k.lab_id)                                AS assays_of_lab
FROM counted AS k
