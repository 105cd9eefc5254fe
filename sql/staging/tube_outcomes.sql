-- One row per receipt or rejection of a tube (in the row form: per test of it), so that a lab's
-- rejections stand beside the tubes they are a part of.
SELECT e.lab_id, e.specimen_id,
       CAST(NULL AS VARCHAR)               AS reject_reason,
       TRUE                                AS is_receipt,
       upper(e.specimen_type) LIKE '%EDTA%'
           OR upper(e.specimen_type) LIKE '%CITRATE%'
           OR upper(e.specimen_type) LIKE '%HEPARIN%'
           OR upper(e.specimen_type) LIKE '%FLUORIDE%'
           OR upper(e.specimen_type) LIKE '%OXALATE%' AS is_anticoagulated
FROM events AS e
WHERE (e.event_type = 'specimen.snapshot' AND e.status = 'RECEIVED')
   OR (e.event_type = 'specimen.transition' AND e.to_state = 'RECEIVED')
UNION ALL
SELECT r.lab_id, r.specimen_id, r.reject_reason, FALSE, NULL
FROM rejections AS r
