-- One row per change to a finished test: what was told before, and what is told now.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.kind,
       r.was, r."is", r.at
FROM restatements AS r
