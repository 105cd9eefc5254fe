-- One row per lab, assay and window: what came in and what became of it. Events of the tube alone
-- carry no assay and stand in a row without one.
SELECT t.lab_id, t.assay,
       count(*) FILTER (WHERE t.to_state = 'RECEIVED')  AS received,
       count(*) FILTER (WHERE t.to_state = 'VERIFIED')  AS completed,
       count(*) FILTER (WHERE t.to_state = 'ERROR')     AS errors,
       count(*) FILTER (WHERE t.to_state = 'REJECTED')  AS rejected,
       count(*) FILTER (WHERE t.to_state = 'CANCELLED') AS cancelled
FROM transitions AS t
WHERE t.to_state IN ('RECEIVED', 'VERIFIED', 'ERROR', 'REJECTED', 'CANCELLED')
GROUP BY t.lab_id, t.assay
