-- Tests whose time to be done has come, with all columns. A deadline without end is left out: engines show it differently.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.kind, CASE
       WHEN r.target_minutes < 1e6 THEN r.due_at END AS due_at, r.target_minutes, r.outcome,
       r.state, r.phase, r.at, r.target_source, r.target_version
FROM due AS r
