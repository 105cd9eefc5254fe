-- One row per lab and window: rejected tubes as a part of the tubes received. Grade: good up to
-- 0.35 % (CAP Q-Probes, the chemistry mean), poor from 1.35 % (CAP's worst tenth of laboratories).
WITH counted AS (
    SELECT t.lab_id,
           count(DISTINCT t.specimen_id) FILTER (WHERE t.to_state = 'REJECTED') AS rejected,
           count(DISTINCT t.specimen_id) FILTER (WHERE t.to_state = 'RECEIVED') AS received
    FROM transitions AS t
    WHERE t.to_state IN ('RECEIVED', 'REJECTED')
    GROUP BY t.lab_id
)
SELECT c.lab_id, c.rejected, c.received,
       CAST(c.rejected AS DOUBLE) / NULLIF(c.received, 0) AS rejection_rate,
       CASE
           WHEN c.received = 0 THEN NULL
           WHEN CAST(c.rejected AS DOUBLE) / NULLIF(c.received, 0) <= 0.0035 THEN 'good'
           WHEN CAST(c.rejected AS DOUBLE) / NULLIF(c.received, 0) >= 0.0135 THEN 'poor'
           ELSE 'medium'
       END                                                AS grade
FROM counted AS c
