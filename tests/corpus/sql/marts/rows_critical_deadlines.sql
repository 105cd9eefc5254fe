-- Deadlines of critical results as they run, with all columns.
SELECT d.lab_id, d.specimen_id, d.assay, d.priority, d.patient_class, d.location,
       d.critical_id, d.stage, d.due_at, d.target_minutes, d.state, d.at
FROM critical_deadlines AS d
