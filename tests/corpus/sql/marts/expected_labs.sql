-- Labs that are silent have a row.
-- expected: received 0, done 0, mean_minutes null
SELECT t.lab_id,
       count(*) FILTER (WHERE t.to_state = 'RECEIVED') AS received,
       count(*) FILTER (WHERE t.to_state = 'VERIFIED') AS done,
       max(CASE WHEN t.to_state = 'VERIFIED' THEN t.assay END) AS mean_minutes
FROM transitions AS t
GROUP BY t.lab_id
