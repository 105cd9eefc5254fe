"""Session tables, made a second time with DuckDB.

python sessions.py make FEED            writes a feed of bursts, out of order, some of it too late
python sessions.py compare FEED TABLES  compares the tables of tests/cases/sessions; exits 1 on a difference

Independent of the product: which rows are late is told from the largest time before each (the
watermark trails it by a minute), sessions are gaps and islands.
"""
import datetime
import json
import random
import sys

import duckdb

START = datetime.datetime(2026, 3, 1, 12)


def make(path):
    """Bursts of 1 to 60 tests a machine, pauses of minutes to hours between, four days long."""
    chance = random.Random(20260301)
    tests = []
    for lab in ("lab-north", "lab-west", "lab-south"):
        for machine in ("M-1", "M-2", "M-3", None):
            at = START
            while at < START + datetime.timedelta(days=4):
                for _ in range(chance.randint(1, 60)):
                    at += datetime.timedelta(microseconds=chance.randint(1, 240_000_000))
                    tests.append((at, lab, machine))
                at += datetime.timedelta(microseconds=chance.randint(1, 7_200_000_000))
    # Out of order by up to two minutes: beyond one a row can be late.
    tests.sort(key=lambda test: test[0] + datetime.timedelta(seconds=chance.uniform(0, 120)))
    with open(path, "w", encoding="utf-8") as out:
        for number, (at, lab, machine) in enumerate(tests):
            received = at - datetime.timedelta(seconds=chance.randint(600, 7_200))
            row = {
                "lab_id": lab, "specimen_id": f"S-{number}", "status": "COMPLETED",
                "assay": chance.choice(["K", "NA", "CREA"]), "priority": chance.choice("SRRRA"),
                "received_at": received.isoformat() + "Z", "processed_at": at.isoformat() + "Z",
            }
            if machine:
                row["machine_id"] = machine
            out.write(json.dumps(row) + "\n")


def sessions(gap_us, by):
    """Each row that counts with the start and end of its session."""
    keys = ", ".join(by)
    return f"""
        with steps as (
          select *, us - lag(us) over (partition by {keys} order by us) >= {gap_us} is_first from counted),
        islands as (
          select *, count(*) filter (is_first) over (partition by {keys} order by us
            rows unbounded preceding) island from steps)
        select *, min(us) over same ws, max(us) over same + {gap_us} we from islands
        window same as (partition by {keys}, island)"""


TABLES = {
    "machine_runs_runs": f"""select ws, we, lab_id, machine_id, count(*) n,
          quantile_cont(minutes, 0.9) p90_minutes, fsum(minutes) / count(*) mean_minutes,
          count(distinct assay) assays, max(us) last_at
        from ({sessions(1_800_000_000, ["lab_id", "machine_id"])}) group by all""",
    "machine_pauses_runs": f"""select ws, we, lab_id, machine_id, count(*) n, max(step) pause_seconds
        from (select *, (us - lag(us) over (partition by lab_id, machine_id, ws order by us)) / 1e6 step
              from ({sessions(1_800_000_000, ["lab_id", "machine_id"])})) group by all""",
    "lab_bursts_bursts": f"""select ws, we, lab_id, assay, count(*) n,
          count(*) filter (priority = 'S') n_of_stat
        from ({sessions(120_000_000, ["lab_id"])}) where priority <> 'R' group by all""",
}


def compare(feed, tables):
    """Prints what differs; gives the number of faults."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute(f"""create table counted as
        with lines as (
          select *, row_number() over () line, epoch_us(processed_at::timestamptz) us,
            epoch_us(processed_at::timestamptz) - epoch_us(received_at::timestamptz) tat
          from read_json('{feed}', format = 'newline_delimited', maximum_object_size = 1000000)),
        judged as (
          select *, tat / 60e6 as minutes, max(us) over (order by line
            rows between unbounded preceding and 1 preceding) - 60000000 stood from lines)
        select * from judged where us >= coalesce(stood, us)""")
    counted, = con.execute("select count(*) from counted").fetchone()
    faults = 0
    for table, query in TABLES.items():
        con.execute(f"create or replace temp table expected as {query}")
        files = f"{tables}/{table}/*/*.parquet"
        con.execute(f"create or replace temp table found as select *, row_number() over () place, "
                    f"epoch_us(window_start) ws, epoch_us(window_end) we from "
                    f"read_parquet('{files}', hive_partitioning = false, filename = true)")
        names = [row[0] for row in con.execute("describe expected").fetchall()]
        doubles = [n for n in names if n.endswith("_minutes")]
        picked = ", ".join(
            f"round({n}, 7) {n}" if n in doubles else f"epoch_us({n}) {n}" if n == "last_at" else n
            for n in names)
        con.execute(f"create or replace temp view f as select {picked} from found")
        con.execute("create or replace temp view e as select "
                    + ", ".join(f"round({n}, 7) {n}" if n in doubles else n for n in names)
                    + " from expected")
        missing = con.execute("select * from e except all select * from f").fetchall()
        extra = con.execute("select * from f except all select * from e").fetchall()
        misfiled, = con.execute("""select count(*) from found where not is_tile or revision <> 0
            or date <> make_timestamp(ws)::date
            or not contains(filename, '/day=' || date::varchar || '/')""").fetchone()
        keys = "machine_id, lab_id" if table == "machine_pauses_runs" else ", ".join(names[2:4])
        keys = ", ".join(f"{key} nulls first" for key in keys.split(", "))
        disorder, = con.execute(f"""select count(*) from (select place, row_number() over
            (order by filename, ws, we, {keys}) rank from found) where place <> rank""").fetchone()
        rows, = con.execute("select count(*) from expected").fetchone()
        over_midnight, = con.execute(
            "select count(*) from expected where ws // 86400000000 < we // 86400000000").fetchone()
        bad = len(missing) + len(extra) + misfiled + disorder
        faults += bad
        print(f"{table}: {rows} rows, {over_midnight} over midnight, "
              + ("the same" if not bad else f"missing {missing[:3]} of {len(missing)}, extra "
                 f"{extra[:3]} of {len(extra)}, misfiled {misfiled}, out of order {disorder}"))
    print(f"counted {counted}")
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        sys.exit(1 if compare(*sys.argv[2:]) else 0)
