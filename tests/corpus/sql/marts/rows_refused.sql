-- Events that the state of a test did not allow, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.reason,
       r.state, r.word, r.allowed, r.noticed_at
FROM refused AS r
