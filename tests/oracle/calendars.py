"""Calendar tables, made a second time with zoneinfo.

python calendars.py make FEED            writes a year of tests, sorted by time
python calendars.py compare FEED TABLES  compares the tables of tests/cases/calendars; exits 1 on a difference
"""
import collections
import datetime
import glob
import json
import random
import sys
import zoneinfo

import pyarrow.parquet

ZONES = {
    "lab-north": "Europe/Oslo",
    "lab-west": "America/New_York",
    "lab-andes": "America/Santiago",
    "lab-nowhere": "UTC",
}
SHIFTS = (6, 14, 22)
UTC = datetime.timezone.utc


def make(path):
    """Tests at chance through 2026, and many around the hours in which some clock changes."""
    chance = random.Random(2026)
    year = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    changes = [datetime.datetime(2026, *day, tzinfo=UTC) for day in
               [(3, 8), (3, 29), (4, 5), (9, 6), (10, 25), (11, 1)]]
    times = [year + datetime.timedelta(seconds=chance.uniform(0, 340 * 86_400)) for _ in range(3_000)]
    for change in changes:
        times += [change + datetime.timedelta(seconds=chance.uniform(-86_400, 2 * 86_400))
                  for _ in range(600)]
    with open(path, "w", encoding="utf-8") as out:
        for number, at in enumerate(sorted(times)):
            at = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            row = {"lab_id": chance.choice(sorted(ZONES)), "specimen_id": f"S-{number}",
                   "assay": "K", "status": "COMPLETED", "received_at": at, "processed_at": at}
            out.write(json.dumps(row) + "\n")


def starts(unit, day):
    """The local times at which periods begin on a day, if any do."""
    midnight = datetime.datetime.combine(day, datetime.time())
    if unit == "shift":
        return [midnight + datetime.timedelta(hours=hour) for hour in SHIFTS]
    begins = {"day": True, "week": day.weekday() == 0, "month": day.day == 1}[unit]
    return [midnight] if begins else []


def periods(unit, zone):
    """Every period that touches the year, as (start, end, local start)."""
    zone = zoneinfo.ZoneInfo(zone)
    days = [datetime.date(2025, 11, 1) + datetime.timedelta(days=n) for n in range(460)]
    local = [start for day in days for start in starts(unit, day)]
    instants = [start.replace(tzinfo=zone).astimezone(UTC) for start in local]
    return list(zip(instants, instants[1:], local))


def compare(feed, tables):
    """Prints what differs; gives the number of faults."""
    tests = []
    with open(feed, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            tests.append((datetime.datetime.fromisoformat(row["processed_at"]), row["lab_id"]))
    faults = 0
    for window in ("day", "week", "month", "shift", "oslo_week"):
        unit = window.split("_")[-1]
        expected = collections.Counter()
        for lab, zone in ZONES.items():
            zone = "Europe/Oslo" if window == "oslo_week" else zone
            found = periods(unit, zone)
            place = 0
            for at, of in tests:
                if of == lab:
                    while found[place][1] <= at:
                        place += 1
                    expected[found[place] + (lab,)] += 1
        files = sorted(glob.glob(f"{tables}/work_{window}/*/*.parquet"))
        rows = [row for file in files for row in
                pyarrow.parquet.ParquetFile(file).read().to_pylist()]
        got = collections.Counter()
        misfiled = 0
        for row in rows:
            local = datetime.datetime.fromisoformat(row["local_start"])
            got[(row["window_start"], row["window_end"], local, row["lab_id"])] += row["n"]
            misfiled += row["date"] != local.date() or not row["is_tile"]
        lengths = sorted({(end - start).total_seconds() / 3600 for start, end, _, _ in expected})
        bad = len(rows) != len(got) or got != expected or misfiled
        faults += bool(bad)
        print(f"work_{window}: {len(expected)} rows, hours {lengths}, "
              + (f"differ: {list((got - expected).items())[:3]} for "
                 f"{list((expected - got).items())[:3]}, misfiled {misfiled}" if bad else "the same"))
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        sys.exit(1 if compare(*sys.argv[2:]) else 0)
