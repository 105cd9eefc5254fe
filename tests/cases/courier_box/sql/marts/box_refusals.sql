-- A row is an event that a box did not allow.
SELECT lab_id, specimen_id, reason, state, word, allowed, noticed_at
FROM refused
