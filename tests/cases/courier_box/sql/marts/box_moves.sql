-- A row is a move of a box.
SELECT lab_id, reason AS box, version, event, from_state, to_state, seconds_in_state, "user", at
FROM courier_box
