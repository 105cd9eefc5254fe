-- Tests that reached VERIFIED for the first time, with all columns. A deadline without end is left out: engines show it differently.
SELECT r.lab_id, r.specimen_id, r.assay, r.priority, r.patient_class, r.location, r.ordered_at,
       r.collected_at, r.received_at, r.resulted_at, r.completed_at, r.tat_us, r.tat_minutes,
       r.order_to_collect_minutes, r.collect_to_receive_minutes, r.receive_to_result_minutes,
       r.result_to_verify_minutes, r.total_minutes, r.target_minutes, r.within_target,
       r.machine_id, r.operator_id, r.auto_verified, r.delta_flag, r.repeats, r.clock_start_at,
       r.add_on, CASE WHEN r.target_minutes < 1e6 THEN r.due_at END AS due_at,
       r.tat_working_minutes, r.target_source, r.target_version, r.clock
FROM completions AS r
