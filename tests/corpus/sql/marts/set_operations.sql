-- UNION and INTERSECT of relations.
(SELECT c.machine_id FROM completions AS c
 INTERSECT
 SELECT e.machine_id FROM errors AS e)
UNION
SELECT r.machine_id FROM rejections AS r WHERE r.reject_reason = 'EX'
