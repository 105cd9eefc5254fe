-- One row per open test and stage: at_risk once 80 % of its target have run, breached at all of it, and
-- ended once a test is over of which one of these was said. Of kind hold the same of how long a specimen
-- may wait from collection until it is in process.
SELECT d.lab_id, d.specimen_id, d.assay, d.priority, d.patient_class, d.location, d.stage,
       d.due_at, d.target_minutes, d.state, d.machine_id, d.kind, d.at
FROM deadlines AS d
