-- sum(DISTINCT) of integers.
SELECT e.lab_id,
       sum(DISTINCT e.repeat_no)  AS repeats,
       count(DISTINCT e.repeat_no) AS different
FROM events AS e
GROUP BY e.lab_id
