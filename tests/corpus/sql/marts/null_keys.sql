-- Null keys are a group of their own; nulls among the values are skipped.
SELECT e.patient_class, e.machine_id, count(*) AS events, count(e.operator_id) AS operated,
       sum(e.repeat_no) AS repeats, min(e.operator_id) AS first_operator
FROM events AS e
GROUP BY e.patient_class, e.machine_id
