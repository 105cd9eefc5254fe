-- One row per change of a laboratory's own settings: what its centre came to, who edits, and which version.
SELECT c.lab_id, c.to_state AS status, c.at AS status_start, c.holder AS "current_user", c.version,
       c.event, c."user", c.from_state AS previous_status,
       c.seconds_in_state AS seconds_in_previous_status
FROM center AS c
