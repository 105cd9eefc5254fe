-- Deadlines as they run, with all columns. A deadline without end is left out: engines show it differently.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.stage, CASE
       WHEN r.target_minutes < 1e6 THEN r.due_at END AS due_at, r.target_minutes, r.state,
       r.machine_id, r.at
FROM deadlines AS r
