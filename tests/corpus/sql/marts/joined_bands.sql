-- A join by a range, without equality.
SELECT b.band, count(*) AS n, min(c.tat_minutes) AS least, max(c.tat_minutes) AS most
FROM completions AS c
INNER JOIN ref.bands AS b ON c.tat_minutes >= b.from_minutes AND c.tat_minutes < b.to_minutes
GROUP BY b.band
