-- One row per event and test that did not fit: why, the state that it met, and what was allowed there.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.reason,
       r.state, r.word, r.allowed, r.noticed_at
FROM refused AS r
