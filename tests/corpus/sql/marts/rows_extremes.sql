-- The largest and smallest numbers, negative zero, and arithmetic that does not leave the range.
SELECT e.lab_id, e.event_time AS at, e.event_type, e.value, e.seq, e.unit, e.planned, e.read_back,
       e.value / 3                                    AS a_third,
       abs(e.value)                                   AS size,
       -e.value                                       AS negated,
       CAST(e.seq AS DOUBLE) / 7                      AS a_seventh,
       e.seq % 1000                                   AS remainder,
       CASE WHEN e.seq > 0 THEN e.seq - 1 END         AS one_less,
       round(e.value / 1e290, 3)                      AS rounded,
       floor(e.value / 1e295)                         AS floored,
       ceil(e.value / 1e299)                          AS ceiled,
       greatest(e.value, 1.5e0)                       AS at_least,
       least(e.seq, 10)                               AS at_most,
       sqrt(abs(e.value))                             AS root,
       e.value = 0                                    AS is_zero,
       e.schema_version
FROM events AS e
WHERE e.value IS NOT NULL OR e.event_type = 'instrument.state'
