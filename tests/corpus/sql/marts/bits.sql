-- Bit aggregates over 64-bit integers of either sign.
SELECT e.event_type, bit_and(e.seq) AS all_bits, bit_or(e.seq) AS any_bits, bit_xor(e.seq) AS odd_bits
FROM events AS e
GROUP BY e.event_type
