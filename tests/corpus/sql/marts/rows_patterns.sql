-- Regular expressions, and seconds since the epoch.
SELECT e.event_id, e.lab_id,
       regexp_replace(e.location, '[aeiou]+', '*', 'g')  AS without_vowels,
       regexp_replace(e.location, '([^ ]+) ([^ ]+)', '\2') AS second_of_two,
       extract(epoch FROM e.event_time)                  AS epoch,
       extract(second FROM e.event_time)                 AS second,
       e.location BETWEEN 'A' AND 'b'                    AS within_letters,
       e.location IN ('ward 1', NULL)                    AS is_ward_or_unknown,
       e.location IS DISTINCT FROM e.patient_class       AS is_distinct,
       position('a' IN e.location)                       AS first_a
FROM events AS e
WHERE e.event_id IS NOT NULL
