-- Casts to decimals, their sums and extremes. avg is left out: DuckDB's is a float, ours a decimal.
SELECT c.priority,
       sum(CAST(c.tat_us AS DECIMAL(20, 3)))                       AS total,
       min(CAST(c.repeats AS DECIMAL(18, 2)))                      AS least,
       max(CAST(c.tat_us AS DECIMAL(20, 3)))                       AS most,
       count(DISTINCT CAST(c.repeats AS DECIMAL(18, 2)))           AS different
FROM completions AS c
GROUP BY c.priority
