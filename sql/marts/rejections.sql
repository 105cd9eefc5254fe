-- One row per rejection: of a tube with all its tests, or of one test where the feed tells them by test.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location,
       r.reject_reason, r.phase, r.machine_id, r.tests, r.rejected_at
FROM rejections AS r
