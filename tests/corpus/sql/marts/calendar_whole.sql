-- Without the lab as a key: labs whose clocks agree share a window.
SELECT count(*) AS n, count(DISTINCT t.lab_id) AS labs, min(t.lab_id) AS first_lab, max(t.lab_id) AS last_lab
FROM transitions AS t
