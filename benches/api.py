"""The API over a year of many laboratories: python api.py BINARY [--labs 1000] [--days 365] [--rate 200].

Makes a lake of settled days of `throughput_1h` by spreading the demo's over laboratories and days, serves it,
and asks for one laboratory and week, at random, at a steady rate: once alone, once beside a run that is busy.
The same questions are put to DuckDB over the same files, one after the other. Prints one line each.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent.parent
DAY_US = 86_400_000_000
TABLE = "throughput_1h"
ROW_GROUP = 128 * 1024


def demo_day(binary, home):
    """The rows of a settled day of the demo's busiest laboratory, and its file's metadata."""
    feed = ["generate", "--profile", "demo", "--days", "2.2", "--faults", "none", "--out", "file:feed.ndjson"]
    subprocess.run([binary, *feed], cwd=home, check=True, capture_output=True)
    run = ["run", "--once", "--no-archive", "--source", "file:feed.ndjson", "--lake", "small",
           "--as-of", "2026-03-15T00:00:00Z"]
    subprocess.run([binary, *run], cwd=home, check=True, capture_output=True)
    rows = pq.read_table(home / f"small/tables/{TABLE}/day=2026-03-01/day-r0.parquet", partitioning=None)
    lab = pc.value_counts(rows["lab_id"]).to_pylist()
    lab = max(lab, key=lambda one: one["counts"])["values"]
    return rows.filter(pc.equal(rows["lab_id"], lab))


def fill(binary, home, labs, days):
    """Writes the lake, a file a day as the run sorts it: by window, then laboratory."""
    day = demo_day(binary, home)
    lake = home / "lake"
    shutil.copytree(home / "small/_turnaround", lake / "_turnaround")
    count = day.num_rows
    whole = pa.concat_tables([day] * labs)
    names = pa.array([f"lab-{number:04}" for number in range(labs) for _ in range(count)])
    whole = whole.set_column(whole.schema.get_field_index("lab_id"), day.schema.field("lab_id"), names)
    keys = [("window_start", "ascending"), ("lab_id", "ascending"), ("assay", "ascending")]
    whole = whole.take(pc.sort_indices(whole, keys))
    bytes_written = 0
    for number in range(days):
        shifted = whole
        for place, field in enumerate(whole.schema):
            if pa.types.is_timestamp(field.type):
                moved = pc.add(whole.column(place).cast(pa.int64()), number * DAY_US).cast(field.type)
            elif pa.types.is_date32(field.type):
                moved = pc.add(whole.column(place).cast(pa.int32()), pa.scalar(number, pa.int32())).cast(field.type)
            else:
                continue
            shifted = shifted.set_column(place, field, moved)
        date = duckdb.execute(f"select date '2026-03-01' + {number}").fetchone()[0]
        folder = lake / f"tables/{TABLE}/day={date}"
        folder.mkdir(parents=True)
        pq.write_table(shifted, folder / "day-r0.parquet", row_group_size=ROW_GROUP, compression="zstd",
                       compression_level=1, write_page_index=True)
        bytes_written += (folder / "day-r0.parquet").stat().st_size
    return whole.num_rows * days, bytes_written


def project(home, labs):
    """The shipped project with these laboratories: those of a project are known without a look at rows."""
    for name in ["pipelines", "sql", "data"]:
        shutil.copytree(ROOT / name, home / "project" / name)
    lines = ["lab_id,name,tz"] + [f"lab-{number:04},Laboratory {number},UTC" for number in range(labs)]
    (home / "project/data/reference/labs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def questions(seed, labs, days):
    """Endless: a laboratory and the first day of a week."""
    dice = random.Random(seed)
    while True:
        yield f"lab-{dice.randrange(labs):04}", dice.randrange(max(1, days - 7))


def span(first):
    start = duckdb.execute(f"select date '2026-03-01' + {first}, date '2026-03-01' + {first + 7}").fetchone()
    return str(start[0]), str(start[1])


def ask(connection, lab, spans, first):
    start, end = spans[first]
    query = urllib.parse.urlencode({"lab": lab, "from": start, "to": end, "grain": "hour"})
    connection.request("GET", f"/api/v1/metrics/throughput?{query}")
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body[:300]
    return json.loads(body)


def load(address, spans, labs, days, rate, seconds, threads=16):
    """Latencies in ms since each was due, of questions that are due at a steady rate; what is not asked when
    the time is over is left out, so that fewer answers a second than the rate say that it is too high."""
    found, lock, begun = [], threading.Lock(), time.monotonic()
    numbers = iter(range(int(rate * seconds)))

    def work(seed):
        connection, asked = http.client.HTTPConnection(address, timeout=60), questions(seed, labs, days)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if time.monotonic() > begun + seconds:
                return
            due = begun + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            ask(connection, *_with(spans, next(asked)))
            with lock:
                found.append((time.monotonic() - due) * 1000)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(found), time.monotonic() - begun


def _with(spans, question):
    lab, first = question
    return lab, spans, first


def told(what, found, took):
    p99 = found[int(len(found) * 0.99) - 1]
    print(f"{what}: {len(found)} answers, {len(found) / took:.0f} a second, median "
          f"{statistics.median(found):.1f} ms, p99 {p99:.1f} ms", flush=True)


def serve(binary, home):
    server = subprocess.Popen([binary, "serve", "--lake", "lake", "--project", "project", "--listen", "127.0.0.1:0"], cwd=home,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = server.stdout.readline().strip()
    return server, urllib.parse.urlparse(url).netloc


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--labs", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--keep", type=pathlib.Path, help="where the lake stands, or is made and left")
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    home = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="turnaround-api-"))
    try:
        if not (home / "lake").is_dir():
            home.mkdir(parents=True, exist_ok=True)
            rows, size = fill(binary, home, args.labs, args.days)
            project(home, args.labs)
            print(f"{args.labs} laboratories, {args.days} days: {rows} rows, {size >> 20} MB", flush=True)
        spans = {first: span(first) for first in range(max(1, args.days - 7))}
        measure(binary, home, spans, args)
    finally:
        if args.keep is None:
            shutil.rmtree(home, ignore_errors=True)


def measure(binary, home, spans, args):
    server, address = serve(binary, home)
    run = None
    try:
        shape = (spans, args.labs, args.days)
        compare(address, home, *shape)
        told("warming up", *load(address, *shape, rate=50, seconds=20))
        told("alone", *load(address, *shape, args.rate, args.seconds))
        busy = ["run", "--no-archive", "--source", "generator:network", "--lake", "busy"]
        run = subprocess.Popen([binary, *busy], cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(3)
        if run.poll() is None:
            told("beside a run", *load(address, *shape, args.rate, args.seconds))
        print(f"memory of the server: {memory_mb(server.pid)} MB", flush=True)
    finally:
        for process in [server, run]:
            if process is not None:
                process.terminate()
                process.wait()


def compare(address, home, spans, labs, days):
    """The same questions to DuckDB: the same figures, and how long each takes one after the other."""
    connection, asked = http.client.HTTPConnection(address, timeout=60), questions("compare", labs, days)
    con, ours, theirs = duckdb.connect(), [], []
    for number in range(30):
        lab, first = next(asked)
        begun = time.monotonic()
        answer = ask(connection, lab, spans, first)
        between = time.monotonic()
        files = [f"{home}/lake/tables/{TABLE}/day={day}/day-r0.parquet" for day in week(con, first)]
        theirs_sum = con.execute(
            "select sum(completed) from read_parquet(?) where lab_id = ?", [files, lab]).fetchone()[0]
        done = time.monotonic()
        ours_sum = sum(point["count"] for point in answer["data"])
        assert ours_sum == theirs_sum, (lab, first, ours_sum, theirs_sum)
        if number >= 10:
            ours.append((between - begun) * 1000)
            theirs.append((done - between) * 1000)
    print(f"one after the other: median {statistics.median(ours):.1f} ms, DuckDB "
          f"{statistics.median(theirs):.1f} ms, ratio {statistics.median(ours) / statistics.median(theirs):.2f}",
          flush=True)


def week(con, first):
    return [str(con.execute(f"select date '2026-03-01' + {first + more}").fetchone()[0]) for more in range(7)]


if __name__ == "__main__":
    main()
