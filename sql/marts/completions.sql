-- One row per completed test, with the times and durations that are known of it.
SELECT c.lab_id, c.specimen_id, c.assay, c.priority, c.patient_class, c.location,
       c.ordered_at, c.collected_at, c.received_at, c.resulted_at, c.completed_at,
       c.tat_us, c.tat_minutes,
       c.order_to_collect_minutes, c.collect_to_receive_minutes,
       c.receive_to_result_minutes, c.result_to_verify_minutes, c.total_minutes,
       c.target_minutes, c.within_target,
       c.machine_id, c.operator_id, c.auto_verified, c.delta_flag, c.repeats
FROM completions AS c
