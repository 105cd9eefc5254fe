"""The figures of the demo's report, worked out a second time: python report.py --reference
data/reference FEED.ndjson REPORT.txt, of which REPORT.txt is the report's text, line by line.

Reads the feed itself, without the lake: drops what is no object and what bears an id again, then asks
DuckDB as `oracle.py` does. Every line that it makes must stand in the report as it is; exits 1 when
one does not. The breaches that cards tell of are not worked out here.
"""
import argparse
import json
import math
import pathlib
import sys
import tempfile

import duckdb

import oracle

# The demo's max_disorder.
DISORDER = 5 * oracle.MINUTE
PRIORITIES = {"S": "stat", "A": "urgent", "R": "routine"}


def clean(feed, out):
    """Writes the feed's events, each once; how many records there are, no events and repeats."""
    records = letters = repeats = 0
    seen = set()
    with open(feed, "rb") as lines, open(out, "wb") as kept:
        for line in lines:
            records += 1
            event = parsed(line)
            if not isinstance(event, dict):
                letters += 1
                continue
            if event["event_id"] in seen:
                repeats += 1
                continue
            seen.add(event["event_id"])
            kept.write(line)
    return records, letters, repeats


def parsed(line):
    """What the line says; nothing where it is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def grouped(number):
    """`24,707`."""
    return f"{number:,}"


def percent(part, whole):
    """`6.6 %`, with two decimals where it is below one."""
    share = part / whole
    return f"{share * 100:.2f} %" if 0 < share < 0.00995 else f"{share * 100:.1f} %"


def minutes(number):
    """`71 min`, to the nearest."""
    return f"{math.floor(number + 0.5)} min"


def tiles(con, labs):
    """The row of figures at the top."""
    n, p50, p90, judged, within = con.execute("""select count(*), quantile_cont(tat_minutes, 0.5),
        quantile_cont(tat_minutes, 0.9), count(within_target), count(*) filter (within_target)
        from completed""").fetchone()
    failed, tests = con.execute("""select sum(failed)::bigint, count(*) from finished
        where machine_id is not null""").fetchone()
    rejected, received = (sum(counts) for counts in zip(*tubes(con).values()))
    yield f"Tests completed {grouped(n)} in {len(labs)} laboratories"
    yield f"Median turnaround {minutes(p50)} receipt to verification"
    yield f"90th percentile {p90:.0f} min PCR in runs of 94 included"
    yield f"Within target {percent(within, judged)} {grouped(within)} of {grouped(judged)} tests"
    yield f"Breaches {grouped(judged - within)} tests beyond their target"
    yield f"Error rate {percent(failed, tests)} {grouped(failed)} of {grouped(tests)} tests"
    yield (f"Rejection rate {percent(rejected, received)} {grouped(rejected)} of "
           f"{grouped(received)} tubes")


def tubes(con):
    """Lab -> rejected and received tubes, each once a local day."""
    rows = con.execute("""select m.lab_id,
          count(distinct (d.day, specimen_id)) filter (state = 'REJECTED'),
          count(distinct (d.day, specimen_id)) filter (state = 'RECEIVED')
        from moves m join days d on d.lab_id = m.lab_id and m.t >= d.s and m.t < d.e
        group by m.lab_id""").fetchall()
    return {lab: (rejected, received) for lab, rejected, received in rows}


def laboratories(con, labs):
    """A line of either table for each laboratory."""
    counts = tubes(con)
    for lab, (name, zone) in labs.items():
        n, p50, p90, judged, within = con.execute("""select count(*),
              quantile_cont(tat_minutes, 0.5),
              quantile_cont(tat_minutes, 0.9) filter (priority = 'S' and target_minutes <= 60),
              count(within_target), count(*) filter (within_target)
            from completed where lab_id = ?""", [lab]).fetchone()
        failed, tests = con.execute("""select sum(failed)::bigint, count(*) from finished
            where lab_id = ? and machine_id is not null""", [lab]).fetchone()
        rejected, received = counts[lab]
        rate = percent(rejected, received)
        yield (f"{name} {zone.replace('_', ' ')} {grouped(n)} {minutes(p50)} {minutes(p90)} "
               f"{percent(within, judged)} {percent(failed, tests)} {rate}")
        yield f"{name} {grouped(rejected)} {grouped(received)} {rate}"


def groups(con, labs):
    """The groups that are furthest beyond their targets."""
    rows = con.execute("""select lab_id, assay, priority, target_minutes target, count(*) n,
          quantile_cont(tat_minutes, 0.5) p50, quantile_cont(tat_minutes, 0.9) p90,
          count(*) filter (not within_target) breached
        from completed where tat_minutes is not null and assay is not null
        group by lab_id, assay, priority, target_minutes having count(*) >= 40
        order by p90 / target desc, lab_id, assay, priority limit 12""").fetchall()
    for lab, assay, priority, target, n, p50, p90, breached in rows:
        yield (f"{assay} {labs[lab][0]} {PRIORITIES[priority]} {grouped(n)} {p50:.0f} {p90:.0f} "
               f"{target:.0f} {percent(breached, n)} {p90 / target:.2f}")


def expected(feed, reference):
    """Every line that must stand in the report."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    with tempfile.TemporaryDirectory() as folder:
        kept = pathlib.Path(folder) / "feed.ndjson"
        records, letters, repeats = clean(feed, kept)
        oracle.read_feed(con, [kept], "")
        oracle.follow(con, [kept], "", 4.0, reference, DISORDER)
    oracle.local_days(con, reference)
    labs = {lab: (name, zone) for lab, name, zone in con.execute(
        f"""select lab_id, name, tz from read_csv('{reference}/labs.csv', all_varchar = true)
            order by lab_id""").fetchall()}
    yield from tiles(con, labs)
    yield from laboratories(con, labs)
    yield from groups(con, labs)
    yield f"Records read {grouped(records)} one JSON object each, as from Kafka"
    counted, = con.execute("""select count(distinct record) from (
        select record from of_transitions union all select record from of_completions
        union all select record from of_errors union all select record from of_rejections
        union all select record from of_restatements
        union all select record from of_critical_results union all select record from of_critical_deadlines
        union all select record from of_due where record not in (select record from of_refused)
        union all select id - 1 from raw where event_type = 'specimen.transition'
          and to_state = 'RECEIVED')""").fetchone()
    yield f"Counted {grouped(counted)} by at least one table"
    yield f"Repeated {grouped(repeats)} same event_id again: dropped"
    yield f"Dead letters {grouped(letters)} malformed {grouped(letters)}"


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("feed")
    parser.add_argument("report")
    parser.add_argument("--reference", required=True)
    args = parser.parse_args()
    found = set(pathlib.Path(args.report).read_text(encoding="utf-8").splitlines())
    lines = list(expected(args.feed, args.reference))
    missing = [line for line in lines if line not in found]
    for line in missing:
        print(f"not in the report: {line}")
    if not missing:
        print(f"{len(lines)} lines, the same")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
