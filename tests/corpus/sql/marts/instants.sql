-- Aggregates of timestamps, dates and texts.
SELECT e.lab_id,
       min(e.ordered_at)                AS first_order,
       max(e.received_at)               AS last_receipt,
       max(e.event_time) FILTER (WHERE e.status = 'ERROR' OR e.to_state = 'ERROR') AS last_error,
       min(CAST(e.collected_at AS DATE)) AS first_date,
       count(DISTINCT CAST(e.event_time AS DATE)) AS days,
       max(e.event_id)                  AS last_id,
       min(e.location)                  AS first_place
FROM events AS e
GROUP BY e.lab_id
