-- One row per completed test and phase whose duration is known; a negative one is not.
-- A target is set for `tat` alone: receipt to verification.
SELECT c.lab_id, c.assay, c.priority,
       'order_to_collect'         AS phase,
       c.order_to_collect_minutes AS minutes,
       CAST(NULL AS DOUBLE)       AS target_minutes,
       CAST(NULL AS BOOLEAN)      AS within_target
FROM completions AS c
WHERE c.order_to_collect_minutes IS NOT NULL
UNION ALL
SELECT c.lab_id, c.assay, c.priority,
       'collect_to_receive', c.collect_to_receive_minutes, NULL, NULL
FROM completions AS c
WHERE c.collect_to_receive_minutes IS NOT NULL
UNION ALL
SELECT c.lab_id, c.assay, c.priority,
       'receive_to_result', c.receive_to_result_minutes, NULL, NULL
FROM completions AS c
WHERE c.receive_to_result_minutes IS NOT NULL
UNION ALL
SELECT c.lab_id, c.assay, c.priority,
       'result_to_verify', c.result_to_verify_minutes, NULL, NULL
FROM completions AS c
WHERE c.result_to_verify_minutes IS NOT NULL
UNION ALL
SELECT c.lab_id, c.assay, c.priority,
       'tat', c.tat_minutes, c.target_minutes, c.within_target
FROM completions AS c
WHERE c.tat_minutes IS NOT NULL
UNION ALL
SELECT c.lab_id, c.assay, c.priority,
       'total', c.total_minutes, NULL, NULL
FROM completions AS c
WHERE c.total_minutes IS NOT NULL
