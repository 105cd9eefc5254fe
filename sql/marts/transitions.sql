-- One row per accepted transition of a test; one of the tube is a row for each of its tests. A receipt that
-- a row form told of together with what came after it is `implied`.
SELECT t.lab_id, t.specimen_id, t.assay, t.priority, t.patient_class, t.location,
       t.from_state, t.to_state, t.seconds_in_state, t.machine_id, t.operator_id,
       t.error_code, t.reject_reason, t.at, t.implied
FROM transitions AS t
