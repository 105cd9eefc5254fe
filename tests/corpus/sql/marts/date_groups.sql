-- Date functions in keys and arguments.
SELECT extract(hour FROM c.completed_at)      AS hour,
       extract(dow FROM c.completed_at)       AS weekday,
       count(*)                               AS completed,
       min(date_trunc('hour', c.received_at)) AS first_hour,
       max(CAST(c.completed_at AS DATE))      AS last_date,
       count(DISTINCT date_trunc('minute', c.completed_at)) AS minutes_with_any
FROM completions AS c
GROUP BY extract(hour FROM c.completed_at), extract(dow FROM c.completed_at)
