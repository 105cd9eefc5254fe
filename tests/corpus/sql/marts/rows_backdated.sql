-- Receipts told too late for their windows, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.to_state,
       r.at, r.noticed_at
FROM backdated AS r
