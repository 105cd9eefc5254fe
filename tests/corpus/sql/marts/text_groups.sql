-- String functions in keys and arguments.
SELECT upper(trim(e.location))          AS place,
       left(e.assay, 1)                 AS initial,
       count(*)                         AS n,
       max(length(e.location))          AS longest,
       min(lower(e.assay))              AS first_assay,
       count(DISTINCT substr(e.patient_ref, 1, 2)) AS patients
FROM events AS e
WHERE e.location IS NULL OR e.location NOT LIKE '%x%'
GROUP BY upper(trim(e.location)), left(e.assay, 1)
