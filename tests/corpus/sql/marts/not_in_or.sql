-- NOT IN beside another condition. Its column is rid of nulls: DataFusion takes NOT IN of a list with
-- nulls for true under OR, where it is not known; on its own (not_in_gaps) it is right.
SELECT c.lab_id, count(*) AS n
FROM completions AS c
WHERE c.assay NOT IN (SELECT a.panel FROM ref.assays AS a WHERE a.panel IS NOT NULL)
   OR c.priority = 'S'
GROUP BY c.lab_id
