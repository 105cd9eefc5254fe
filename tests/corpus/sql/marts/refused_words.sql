-- What was refused and told too late, beside what was accepted.
SELECT 'refused' AS what, r.state, r.word, count(*) AS n FROM refused AS r GROUP BY r.state, r.word
UNION ALL
SELECT 'backdated', NULL, b.to_state, count(*) FROM backdated AS b GROUP BY b.to_state
UNION ALL
SELECT 'accepted', t.from_state, t.to_state, count(*) FROM transitions AS t WHERE NOT t.implied
GROUP BY t.from_state, t.to_state
