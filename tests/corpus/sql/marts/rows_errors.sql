-- Errors, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.machine_id,
       r.operator_id, r.error_code, r.received_at, r.minutes_since_receipt, r.at
FROM errors AS r
