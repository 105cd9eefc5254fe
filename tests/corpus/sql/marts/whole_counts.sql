-- Aggregates without GROUP BY over every event.
SELECT count(*)                  AS events,
       count(e.event_id)         AS with_id,
       count(e.value)            AS values_known,
       count(e.loinc)            AS never_known,
       min(e.event_time)         AS first_at,
       max(e.event_time)         AS last_at,
       min(e.location)           AS first_location,
       max(e.location)           AS last_location,
       sum(e.repeat_no)          AS repeats,
       avg(e.repeat_no)          AS mean_repeats,
       min(e.repeat_no)          AS least_repeats,
       max(e.repeat_no)          AS most_repeats
FROM events AS e
