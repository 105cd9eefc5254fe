-- One row per lab, reason and window: the reason's part in the lab's rejected tubes, in Pareto's
-- order, and the IFCC indicator that it belongs to, by the indicator's own denominator.
WITH counted AS (
    SELECT o.lab_id, o.reject_reason,
           count(DISTINCT o.specimen_id) FILTER (WHERE NOT o.is_receipt)     AS rejected,
           count(DISTINCT o.specimen_id) FILTER (WHERE o.is_receipt)         AS received,
           count(DISTINCT o.specimen_id) FILTER (WHERE o.is_anticoagulated)  AS anticoagulated
    FROM tube_outcomes AS o
    GROUP BY o.lab_id, o.reject_reason
),
of_lab AS (
    SELECT c.lab_id, c.reject_reason, c.rejected,
           sum(c.received) OVER (PARTITION BY c.lab_id)       AS received,
           sum(c.anticoagulated) OVER (PARTITION BY c.lab_id) AS anticoagulated
    FROM counted AS c
),
indicated AS (
    SELECT l.lab_id, l.reject_reason, l.rejected,
           k.ifcc_indicator AS indicator,
           CASE k.denominator
               WHEN 'received' THEN l.received
               WHEN 'anticoagulated' THEN l.anticoagulated
           END              AS indicator_tubes,
           k.good_percent, k.poor_percent
    FROM of_lab AS l
    LEFT JOIN ref.reject_reasons AS k ON k.code = l.reject_reason
    WHERE l.reject_reason IS NOT NULL
),
ranked AS (
    SELECT i.lab_id, i.reject_reason, i.rejected, i.indicator, i.indicator_tubes,
           i.good_percent, i.poor_percent,
           sum(i.rejected) OVER (PARTITION BY i.lab_id)     AS of_all,
           CAST(row_number() OVER (
               PARTITION BY i.lab_id ORDER BY i.rejected DESC, i.reject_reason
           ) AS BIGINT)                                     AS pareto_rank,
           sum(i.rejected) OVER (
               PARTITION BY i.lab_id ORDER BY i.rejected DESC, i.reject_reason
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
           )                                                AS up_to_here,
           CASE WHEN i.indicator IS NOT NULL THEN
               sum(i.rejected) OVER (PARTITION BY i.lab_id, i.indicator)
           END                                              AS indicator_rejected
    FROM indicated AS i
)
SELECT r.lab_id, r.reject_reason, r.rejected,
       CAST(r.rejected AS DOUBLE) / NULLIF(r.of_all, 0)               AS share,
       r.pareto_rank,
       CAST(r.up_to_here AS DOUBLE) / NULLIF(r.of_all, 0)             AS cumulative_share,
       r.indicator, r.indicator_rejected, r.indicator_tubes,
       CAST(r.indicator_rejected AS DOUBLE) / NULLIF(r.indicator_tubes, 0) AS indicator_rate,
       CASE
           WHEN r.indicator IS NULL OR coalesce(r.indicator_tubes, 0) = 0 THEN NULL
           WHEN 100.0 * r.indicator_rejected / NULLIF(r.indicator_tubes, 0)
               <= r.good_percent THEN 'good'
           WHEN 100.0 * r.indicator_rejected / NULLIF(r.indicator_tubes, 0)
               >= r.poor_percent THEN 'poor'
           ELSE 'medium'
       END                                                            AS grade
FROM ranked AS r
