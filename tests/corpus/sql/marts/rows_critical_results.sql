-- Critical results as they were judged, with all columns.
SELECT c.lab_id, c.specimen_id, c.assay, c.priority, c.patient_class, c.location,
       c.critical_id, c.flag, c.flagged_at, c.clock_start_at, c.due_at, c.target_minutes,
       c.target_source, c.target_version, c.notified_at, c.acknowledged_at,
       c.minutes_to_notify, c.minutes_to_acknowledge, c.handled_within, c.before_flag,
       c.attempts, c.read_back, c.channel, c.notified_to_role, c.outcome, c.exempt,
       c.judged_at
FROM critical_results AS c
