-- Rejected tubes, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location,
       r.reject_reason, r.phase, r.machine_id, r.tests, r.rejected_at
FROM rejections AS r
