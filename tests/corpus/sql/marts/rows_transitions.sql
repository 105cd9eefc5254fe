-- Accepted transitions of tests, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.from_state,
       r.to_state, r.seconds_in_state, r.machine_id, r.operator_id, r.error_code,
       r.reject_reason, r.at, r.implied
FROM transitions AS r
