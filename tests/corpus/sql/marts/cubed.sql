-- CUBE over keys that are null in part.
SELECT r.phase, r.reject_reason, grouping(r.phase, r.reject_reason) AS level,
       count(*) AS rejected, count(DISTINCT r.specimen_id) AS tubes
FROM rejections AS r
GROUP BY CUBE (r.phase, r.reject_reason)
