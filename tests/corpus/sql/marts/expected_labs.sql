-- Labs that are silent have a row.
-- expected: received 0, done 0, last_assay null, all_placed null, last_date null
SELECT t.lab_id,
       count(*) FILTER (WHERE t.to_state = 'RECEIVED') AS received,
       count(*) FILTER (WHERE t.to_state = 'VERIFIED') AS done,
       max(CASE WHEN t.to_state = 'VERIFIED' THEN t.assay END) AS last_assay,
       bool_and(t.machine_id IS NOT NULL) AS all_placed,
       max(CAST(t.at AS DATE)) AS last_date
FROM transitions AS t
GROUP BY t.lab_id
