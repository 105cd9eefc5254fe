-- A UNION ALL of two aggregates: no single aggregate stands above.
SELECT 'errors' AS kind, e.lab_id, count(*) AS n FROM errors AS e GROUP BY e.lab_id
UNION ALL
SELECT 'rejections', r.lab_id, count(DISTINCT r.specimen_id) FROM rejections AS r GROUP BY r.lab_id
