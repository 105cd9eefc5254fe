"""The workload's feed: python feed.py ROWS DAYS SEED OUT.ndjson.

The row form as a laboratory system writes it, ordered by completion and spread evenly over DAYS
from 2026-03-01: 50 laboratories, 20 assays with medians of 30 to 106 minutes, log-normal around
them; one row in 40 is an error, one in 500 ends before it began. The same arguments give the same
rows. Needs: pip install duckdb
"""
import sys

import duckdb

ROWS = """
with drawn as (
  select i, hash(i, {seed}, 'who') who, hash(i, {seed}, 'how') how, hash(i, {seed}, 'luck') luck,
    (hash(i, {seed}, 'radius') % 1000000 + 1) / 1000001.0 radius,
    (hash(i, {seed}, 'angle') % 1000000) / 1000000.0 angle,
    timestamp '2026-03-01' + to_seconds((i * {days} * 86400.0 / {rows})::bigint) processed
  from range({rows}) t(i)),
timed as (
  select *, case when luck % 500 = 0 then -60 - (how % 600)::bigint
    else (60 * (30 + 4 * (who % 20)) * exp(0.42 * sqrt(-2 * ln(radius)) * cos(2 * pi() * angle)))
      ::bigint end took
  from drawn)
select 'E' || i event_id, 'S' || lpad(i::varchar, 9, '0') specimen_id,
  'lab-' || lpad((1 + who // 20 % 50)::varchar, 2, '0') lab_id,
  'A' || lpad((who % 20)::varchar, 2, '0') assay,
  'M-' || lpad((1 + how // 600 % 40)::varchar, 2, '0') machine_id,
  'OP-' || lpad((1 + luck // 500 % 200)::varchar, 3, '0') operator_id,
  case when how // 7 % 5 = 0 then 'STAT' else 'ROUTINE' end priority,
  case when luck // 11 % 40 = 0 then 'ERROR' else 'COMPLETED' end status,
  case when luck // 11 % 40 = 0 then 'E' || lpad((who // 31 % 6)::varchar, 2, '0') end error_code,
  strftime(processed - to_seconds(took), '%Y-%m-%dT%H:%M:%SZ') received_at,
  strftime(processed, '%Y-%m-%dT%H:%M:%SZ') processed_at
from timed order by i
"""


def write(rows, days, seed, out):
    """Writes the feed."""
    query = ROWS.format(rows=rows, days=days, seed=seed)
    duckdb.connect().execute(f"copy ({query}) to '{out}' (format json, array false)")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    write(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
