-- UNION ALL of two relations, with literals and casts.
SELECT 'error' AS kind, e.lab_id, e.specimen_id, e.assay, e.error_code AS reason, e.at,
       e.minutes_since_receipt AS minutes
FROM errors AS e
UNION ALL
SELECT 'rejection', r.lab_id, r.specimen_id, r.assay, r.phase || ' ' || r.reject_reason, r.rejected_at,
       CAST(NULL AS DOUBLE)
FROM rejections AS r
WHERE r.phase IS NOT NULL
