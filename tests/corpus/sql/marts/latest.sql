-- A window function below the aggregate: the last state of each specimen within the window.
WITH numbered AS (
    SELECT t.lab_id, t.specimen_id, t.to_state,
           row_number() OVER (
               PARTITION BY t.lab_id, t.specimen_id
               ORDER BY t.at DESC, t.to_state, t.assay NULLS FIRST
           ) AS back
    FROM transitions AS t
)
SELECT n.lab_id, n.to_state, count(*) AS tubes
FROM numbered AS n
WHERE n.back = 1
GROUP BY n.lab_id, n.to_state
