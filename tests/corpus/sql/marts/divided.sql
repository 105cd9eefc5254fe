-- Division by zero of floats, guarded; modulo of negative numbers.
SELECT c.repeats, count(*) AS n,
       CASE WHEN c.repeats <> 0 THEN sum(c.tat_minutes) / c.repeats END AS for_each,
       sum(c.tat_us % -7)                                               AS remainders,
       -c.repeats % 2                                                   AS odd
FROM completions AS c
GROUP BY c.repeats
