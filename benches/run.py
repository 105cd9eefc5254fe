"""Rows per second of whole processes from NDJSON to Parquet, and of decoding alone.

    run.py BINARY [--rows 2000000] [--days 7] [--pairs 3] [--alone BENCH] [--folder DIR]
                  [--kafka BROKERS --jars DIR [--slope]]

For each pipeline of benches/project: `run --once --no-archive` over one feed, its rows per second
and its peak memory, as the median of the runs, which take turns. BENCH is benches/alone.rs as
built: it takes its turn, and the rate of a whole process is shown as a share of its, the median of
the shares of the turns. With BROKERS and the folder of Kafka's jars, the first pipeline also reads
the feed from a topic (topic.py); with --slope another topic, four times as large.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import topic as kafka

PIPELINES = ["tumbling_1h", "hopping_1h", "hopping_24h"]
HERE = pathlib.Path(__file__).parent
PROJECT = HERE / "project"
UNITS = {"item/s": 1, "Kitem/s": 1e3, "Mitem/s": 1e6}


def measured(arguments, folder):
    """Runs a process; its seconds, its peak memory in MiB, what it printed."""
    with open(folder / "out", "w", encoding="utf-8") as out, open(folder / "err", "w", encoding="utf-8") as err:
        began = time.perf_counter()
        files = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        pid = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=files)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - began
    if status != 0:
        sys.exit((folder / "err").read_text())
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return seconds, peak, (folder / "out").read_text()


def once(binary, source, pipeline, folder, late=False):
    """One run of one pipeline into an empty lake: seconds, MiB. Rows of a topic may be `late` where
    its partitions overlap."""
    lake = folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    seconds, peak, out = measured(
        [binary, "run", "--once", "--no-archive", "--json", "--project", str(PROJECT), "--pipelines",
         pipeline, "--source", source, "--lake", str(lake)], folder)
    counters = json.loads(out.splitlines()[-1])
    if counters["dead_letters"] or counters["late"] and not late or not counters["objects"]:
        sys.exit(f"the run of {pipeline} is not the workload: {counters}")
    return seconds, peak


def decoding(alone, source, folder):
    """One run of decoding alone: seconds, MiB."""
    seconds, peak, _ = measured([alone, str(source)], folder)
    return seconds, peak


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--alone", help="benches/alone.rs as built")
    parser.add_argument("--pipelines", default=",".join(PIPELINES))
    parser.add_argument("--folder", help="keep the feed here")
    parser.add_argument("--kafka", help="a broker")
    parser.add_argument("--jars", help="the folder of Kafka's jars")
    parser.add_argument("--slope", action="store_true", help="also a topic four times as large")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        source = feed(options.folder or name, options.rows, options.days)
        size = source.stat().st_size
        print(f"{options.rows} rows over {options.days:g} days, {size / 1e6:.0f} MB of NDJSON, "
              f"{os.cpu_count()} cores")
        pipelines = options.pipelines.split(",")
        seen = {pipeline: [] for pipeline in pipelines}
        alone = []
        for _ in range(options.pairs):
            if options.alone:
                alone.append(decoding(options.alone, source, folder))
            for pipeline in pipelines:
                seen[pipeline].append(once(options.binary, f"file:{source}", pipeline, folder))
        report("decoding alone, all cores", alone, alone, options.rows, size)
        for pipeline, runs in seen.items():
            report(pipeline, runs, alone, options.rows, size)
        if options.kafka:
            through_kafka(options, folder)


def feed(folder, rows, days):
    """The path of a feed, which is made if it is not there."""
    path = pathlib.Path(folder) / f"feed-{rows}-{days:g}.ndjson"
    if not path.exists():
        # In a process of its own: a child's peak memory begins with what its parent held when it
        # was started, so that this one must stay small.
        arguments = [rows, days, 1, path]
        subprocess.run([sys.executable, HERE / "feed.py", *map(str, arguments)], check=True)
    return path


def through_kafka(options, folder):
    """The feed from a topic, beside Kafka's own consumer."""
    os.environ["KAFKA_BROKERS"] = options.kafka
    measured = []
    for times in (1, 4) if options.slope else (1,):
        rows, days = times * options.rows, times * options.days
        source = feed(options.folder or folder, rows, days)
        topic = kafka.Topic(options.kafka, options.jars, source, rows)
        topic.raw_seconds()
        pairs = []
        for _ in range(options.pairs):
            ours, _ = once(options.binary, f"kafka:{topic.name}", PIPELINES[0], folder, late=True)
            pairs.append((ours, topic.raw_seconds()))
        kafka.report(topic, pairs)
        measured.append(pairs)
    if options.slope:
        kafka.report_slope(*measured)


def report(name, runs, alone, rows, size):
    """One line: the median rate, the peak memory, the median share of decoding alone."""
    if not runs:
        return
    rate = rows / statistics.median(seconds for seconds, _ in runs)
    shares = [base / seconds for (seconds, _), (base, _) in zip(runs, alone)]
    share = f"  {statistics.median(shares):5.2f} of decoding" if shares else ""
    peak = max(peak for _, peak in runs)
    print(f"{name:28} {rate:12,.0f} rows/s  {size * rate / rows / 1e6:6.0f} MB/s"
          f"  peak {peak:5.0f} MiB{share}")


if __name__ == "__main__":
    main()
