-- One row per open critical result and stage: reminder once half of its time has run, breached at all of
-- it, and ended once one is handled of which one of these was said.
SELECT d.lab_id, d.specimen_id, d.assay, d.priority, d.patient_class, d.location,
       d.critical_id, d.stage, d.due_at, d.target_minutes, d.state, d.at
FROM critical_deadlines AS d
