-- Changes to finished tests, with all columns.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.kind, r.was,
       r."is", r.at
FROM restatements AS r
