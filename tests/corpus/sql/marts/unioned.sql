-- An aggregate over a UNION ALL of three relations.
WITH outcomes AS (
    SELECT 'done' AS kind, c.machine_id, c.tat_minutes AS minutes FROM completions AS c
    UNION ALL
    SELECT 'failed', e.machine_id, e.minutes_since_receipt FROM errors AS e
    UNION ALL
    SELECT 'refused', r.machine_id, NULL FROM rejections AS r WHERE r.machine_id IS NOT NULL
)
SELECT o.kind, o.machine_id, count(*) AS n, sum(o.minutes) AS minutes, max(o.minutes) AS most
FROM outcomes AS o
GROUP BY o.kind, o.machine_id
