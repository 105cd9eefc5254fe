"""The corpus' tables against DuckDB: python corpus.py CORPUS FEED.ndjson LAKE/tables AS_OF [TABLE …].

Builds `events` from the raw JSON by its own SQL (docs/events.md), takes the relations of changes from
lifecycle.py, which follows the tests by itself, cuts them by its own windows and calendars, and runs
each `sql/marts/*.sql` of the corpus unchanged over the rows of each window: the views `events`,
`completions` and so on hold what lies in the window that the variables `from`, `to` and `labs` name.
Compares every column of every row: floats within 1e-9 of each other relatively,
everything else exactly. Prints the file and the first rows that differ; exits 1 when some do.

A window exists where it holds a row of a relation that the query reads. Where groups are expected
(`expect`) the windows up to AS_OF have a row for each, from the first row on and for at most 31 days
after one; its values stand in the SQL's comment, as
`-- expected: n 0, mean null`. `-- exact: sum avg` replaces DuckDB's float sums, which depend on the
order of rows, by Python's `math.fsum`, which is exact; there `sum` and `avg` stand outermost.
"""
import collections
import csv
import datetime
import glob
import itertools
import math
import multiprocessing
import pathlib
import re
import sys
import zoneinfo

import duckdb

import lifecycle_tables

SHOWN = 5
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
SPANS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
TEXTS = """event_id event_type lab_id specimen_id order_id patient_ref assay loinc priority
    patient_class location specimen_type to_state from_state status machine_id operator_id
    error_code reject_reason recollect_of referred_to referred_from critical_id analyte unit flag
    notified_to_role instrument_state reason""".split()
TIMES = "event_time ordered_at collected_at received_at processed_at".split()
TYPES = {"schema_version": "BIGINT", "profile_tat_min": "DOUBLE", "value": "DOUBLE",
         "read_back": "BOOLEAN", "planned": "BOOLEAN", "auto_verified": "BOOLEAN",
         "delta_flag": "BOOLEAN", "repeat_no": "BIGINT", "seq": "BIGINT"}

# How long after the last row groups are expected.
CONNECTED = 31 * SPANS["d"]

# Until when a day of a row-level table takes rows, by its partition's watermark.
LATENESS = "2h"
EVENTS = ["events"]
RELATIONS = [*EVENTS, *lifecycle_tables.RELATIONS]


def read_feed(con, feed):
    """`fed`: one row per event that is no repeat."""
    fields = {**{name: "VARCHAR" for name in TEXTS + TIMES}, **TYPES}
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in fields.items())
    con.execute(f"""create table lines as select row_number() over () id, * from read_json('{feed}',
        format = 'newline_delimited', columns = {{{columns}}})""")
    texts = ", ".join(name for name in fields if name not in (*TIMES, "event_type", "priority"))
    times = ", ".join(f"{name}::timestamptz {name}" for name in TIMES)
    con.execute(f"""create table fed as
        with typed as (
          select id, {texts}, coalesce(event_type, 'specimen.snapshot') event_type,
            left(coalesce(priority, 'R'), 1) priority, {times},
            coalesce(event_type, 'specimen.snapshot') = 'specimen.snapshot' is_row
          from lines
          qualify event_id is null or row_number() over (partition by event_id order by id) = 1)
        select * exclude (event_time, schema_version), coalesce(schema_version, 1) schema_version,
          case when is_row then coalesce(processed_at, received_at) else event_time end event_time,
          epoch_us(case when is_row then coalesce(processed_at, received_at) else event_time end) t,
          null::bigint record, null::bigint stood
        from typed""")


def relations(con, rows):
    """The relations, as views of the rows of one window, or of those that a row-level table holds."""
    con.execute("create table of_events as select * exclude (id, is_row) from fed")
    lifecycle_tables.load(con, rows)
    for name in RELATIONS:
        con.execute(f"""create view {name} as select * exclude (t, record, stood) from of_{name}
            where t >= getvariable('from') and t < getvariable('to')
              and (getvariable('labs') is null or list_contains(getvariable('labs'), lab_id))
              and (stood is null or case when getvariable('lateness') is null then t >= stood
                else stood < (t // {SPANS["d"]} + 1) * {SPANS["d"]} + getvariable('lateness') end)""")


def kind_of(name, values):
    """The narrowest type that holds every value, as `src/config/reference.rs` has it."""
    known = [value for value in values if value]
    if name == "code" or name.endswith("_id") or not known:
        return "VARCHAR"
    for kind, shape in (("BOOLEAN", r"true|false"), ("BIGINT", r"-?(0|[1-9]\d*)"),
                        ("DOUBLE", r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?"),
                        ("TIMESTAMPTZ", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")):
        if all(re.fullmatch(shape, value) for value in known):
            return kind
    return "VARCHAR"


def references(con, corpus):
    """The tables `ref.<name>`."""
    con.execute("create schema ref")
    for path in sorted(pathlib.Path(corpus).glob("data/reference/*.csv")):
        with open(path, encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        kinds = [kind_of(name, [row[i] for row in rows]) for i, name in enumerate(header)]
        columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(header, kinds))
        con.execute(f"create table ref.{path.stem} ({columns})")
        marks = ", ".join("?" * len(header))
        con.executemany(f"insert into ref.{path.stem} values ({marks})",
                        [[value or None for value in row] for row in rows])


Window = collections.namedtuple("Window", "start end local date labs")


def span(text):
    """`5m` in microseconds."""
    return int(text[:-1]) * SPANS[text[-1]]


def disorder_of(corpus):
    """The corpus' max_disorder."""
    yaml = pathlib.Path(corpus, "turnaround.yaml").read_text(encoding="utf-8")
    return span(re.search(r"^  max_disorder: (\w+)$", yaml, re.M).group(1))


def windows_of(yaml):
    """The windows of a pipeline's YAML, name to settings, and its grain and `expect`."""
    found = {}
    for line in yaml.splitlines():
        match = re.fullmatch(r"  (\w+): *\{ *(?:(\w+): *\{(.*)\} *)?\}", line)
        if match:
            name, kind, inner = match.groups()
            starts = re.search(r'starts: *\[(.*?)\]', inner or "")
            rest = re.sub(r'starts: *\[.*?\]', "", inner or "")
            settings = dict(re.findall(r"(\w+): *([\w/]+)", rest))
            if starts:
                settings["starts"] = re.findall(r"\d\d:\d\d", starts.group(1))
            found[name] = (kind, settings)
    grain = re.search(r"^grain: \[(.*)\]$", yaml, re.M).group(1)
    expect = re.search(r"^expect: ref\.(\w+)$", yaml, re.M)
    return found, [name.strip() for name in grain.split(",") if name.strip()], expect and expect.group(1)


def instant(edge, zone):
    """The first instant at which a zone's clock shows a time or, where it skips it, a later one."""
    first, second = ((edge.replace(tzinfo=zone, fold=fold) - EPOCH) // MICROSECOND for fold in (0, 1))
    if first <= second:
        return first
    # The clock skips it: between the two the clock is put forward.
    local = [(EPOCH + micros * MICROSECOND).astimezone(zone).utcoffset() for micros in (second, first)]
    while first - second > 1:
        middle = (first + second) // 2
        if (EPOCH + middle * MICROSECOND).astimezone(zone).utcoffset() == local[0]:
            second = middle
        else:
            first = middle
    return first


def period(time, zone, settings):
    """The calendar window that holds an instant: its start, end and start on the zone's clock."""
    local = (EPOCH + time * MICROSECOND).astimezone(zone)
    day = local.date()
    one = datetime.timedelta(days=1)
    unit = settings["unit"]
    if unit == "shift":
        starts = [datetime.time.fromisoformat(start) for start in settings["starts"]]
        edges = [datetime.datetime.combine(day + k * one, start) for k in (-1, 0, 1, 2) for start in starts]
    else:
        first = {"day": day, "week": day - day.weekday() * one, "month": day.replace(day=1)}[unit]
        after = {"day": first + one, "week": first + 7 * one,
                 "month": (first + 31 * one).replace(day=1)}[unit]
        edges = [datetime.datetime.combine(edge, datetime.time()) for edge in (first, after)]
    instants = [instant(edge, zone) for edge in edges]
    for edge, start, end in zip(edges, instants, instants[1:]):
        if start <= time < end:
            return start, end, edge
    raise ValueError(f"no window of {settings} holds {time}")


def day_of(micros):
    """The UTC date of an instant."""
    return (EPOCH + micros * MICROSECOND).date()


def zones_of(corpus):
    """Each listed lab's zone."""
    with open(f"{corpus}/data/reference/labs.csv", encoding="utf-8", newline="") as lines:
        return {row["lab_id"]: row["tz"] for row in csv.DictReader(lines)}


def stretches(begin, held):
    """From where to where groups are expected: while rows are no further apart, and so long after."""
    reach = begin
    for start, end in sorted(held, key=lambda window: window[::-1]):
        if start > reach + CONNECTED:
            yield begin, reach + CONNECTED
            begin = start
        reach = max(reach, end)
    yield begin, reach + CONNECTED


def windows(con, reads, kind, settings, expect, zones, as_of):
    """The windows of a table, in order; with `expect` those between that hold nothing, too."""
    rows = con.execute(" union ".join(
        f"select t, lab_id from of_{name} where stood is null or t >= stood" for name in reads)).fetchall()
    if kind in ("tumbling", "hopping"):
        size = span(settings["size"])
        slide = span(settings.get("slide", settings["size"]))
        starts = {(time // slide - back) * slide for time, _ in rows for back in range(size // slide)}
        if expect:
            last = max(as_of, max(starts) + size)
            for start, then in itertools.pairwise([*sorted(starts), 2**62]):
                until = min(then, start + CONNECTED + 1, last - size + 1)
                starts |= set(range(start, until, slide))
        return [Window(start, start + size, None, day_of(start), None) for start in sorted(starts)]
    labs = {lab for _, lab in rows} | set(zones)
    fixed = settings.get("tz", "lab")
    zone_of = {lab: zoneinfo.ZoneInfo(zones.get(lab, "UTC") if fixed == "lab" else fixed) for lab in labs}
    held = {}
    for time, lab in rows:
        held.setdefault(period(time, zone_of[lab], settings), set()).add(lab)
    if expect:
        until = max(as_of, max(end for _, end, _ in held))
        first = min(time for time, _ in rows)
        for begin, end in stretches(first, [(start, end) for start, end, _ in held]):
            for lab in labs:
                window = period(begin, zone_of[lab], settings)
                while window[1] <= min(end, until):
                    held.setdefault(window, set()).add(lab)
                    window = period(window[1], zone_of[lab], settings)
    return [Window(start, end, edge, edge.date(), sorted(labs)) for (start, end, edge), labs in sorted(held.items())]


def expected_rows(con, columns, expected, reference, grain, rows, window):
    """The rows of groups that are expected and not there."""
    keys = [name for name in grain if name in {name for name, in con.execute(
        f"select column_name from duckdb_columns() where table_name = '{reference}'").fetchall()}]
    held = {tuple(row[columns.index(key)] for key in keys) for row in rows}
    listed = con.execute(f"select {', '.join(keys)} from ref.{reference}").fetchall()
    values = dict(pair.split() for pair in expected.split(","))
    for key in listed:
        here = window.labs is None or dict(zip(keys, key)).get("lab_id") in window.labs
        if here and key not in held:
            given = dict(zip(keys, key))
            yield tuple(given.get(name, {"null": None, None: None}.get(
                values.get(name), values.get(name) and int(values[name]) if values.get(name) != "null" else None))
                for name in columns)


def family(kind):
    """What must be the same of two engines' types."""
    kind = str(kind)
    if kind.endswith("INT") or kind.endswith("INTEGER"):
        return "whole"
    if kind in ("DOUBLE", "FLOAT") or kind.startswith(("DECIMAL", "STRUCT")):
        return "number"
    return "instant" if kind.startswith("TIMESTAMP") else kind


def instants(row, places):
    """A row as both sides have it: instants from microseconds, floats from decimals and lists."""
    return tuple(EPOCH + value * MICROSECOND if place in places and value is not None else plain(value)
                 for place, value in enumerate(row))


def plain(value):
    """A value as both sides have it."""
    if isinstance(value, dict):
        (name, values), = value.items()
        known = [each for each in values or [] if each is not None]
        return math.fsum(known) / (len(known) if name == "avg" else 1) if known else None
    return float(value) if type(value).__name__ == "Decimal" else value


def same(a, b):
    """Whether two values are the same; floats nearly."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return a == b


def order(row):
    """A key that sorts rows with nulls, floats last and roughly."""
    exact = tuple((value is not None, str(value)) for value in row if not isinstance(value, float))
    return exact, tuple(f"{value:.6e}" for value in row if isinstance(value, float))


class Corpus:
    """What the tables are computed from, in DuckDB."""

    def __init__(self, corpus, feed, as_of):
        self.corpus = corpus
        self.zones = zones_of(corpus)
        self.as_of = (datetime.datetime.fromisoformat(as_of.replace("Z", "+00:00")) - EPOCH) // MICROSECOND
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute("set timezone = 'UTC'")
        read_feed(self.con, feed)
        reference = pathlib.Path(corpus, "data/reference")
        relations(self.con, lifecycle_tables.rows_of(feed, reference, disorder_of(corpus), self.as_of))
        references(self.con, corpus)

    def run(self, sql, all_windows, lateness=None):
        """The columns and types of the SQL's rows, and for each window those that it has there; of a
        row-level table with how long after its end a day takes rows."""
        late = "null" if lateness is None else f"{span(lateness)}::bigint"
        self.con.execute(f"set variable lateness = {late}")
        rows = [[] for _ in all_windows]
        for place, window in enumerate(all_windows):
            labs = "null" if window.labs is None else window.labs
            self.con.execute(f"""set variable "from" = {window.start}::bigint;
                set variable "to" = {window.end}::bigint; set variable labs = {labs}""")
            select = f"select {place} as place_, * from (\n{sql}\n)"
            how = "insert into result" if place else "create or replace temp table result as"
            self.con.execute(f"{how} {select}")
        columns, kinds, found = self.rows("result")
        for row in found:
            rows[row[0]].append(row[1:])
        return columns[1:], kinds[1:], rows

    def rows(self, table, columns=None):
        """A table's columns, their types and its rows, instants as Python has them."""
        described = {row[0]: row[1] for row in self.con.execute(f"describe {table}").fetchall()}
        picked = [f'epoch_us("{name}")' if described[name].startswith("TIMESTAMP") else f'"{name}"'
                  for name in columns or described]
        rows = self.con.execute(f"select {', '.join(picked)} from {table}").fetchall()
        kinds = [described[name] for name in columns or described]
        times = [place for place, kind in enumerate(kinds) if kind.startswith("TIMESTAMP")]
        return list(columns or described), kinds, [instants(row, times) for row in rows]

    def exact(self, sql):
        """Replaces DuckDB's float sums where the SQL's comment asks for it."""
        wanted = "-- exact: sum avg" in sql
        for name, body in (("sum", "{'sum': list(x)}"), ("avg", "{'avg': list(x)}")):
            self.con.execute(f"create or replace macro memory.main.{name}(x) as {body}" if wanted
                             else f"drop macro if exists memory.main.{name}")

    def expected(self, pipeline, name, kind, settings, grain, expect):
        """A table's rows as DuckDB has them, its columns and their types."""
        sql = pathlib.Path(self.corpus, f"sql/marts/{pipeline}.sql").read_text(encoding="utf-8")
        bare = re.sub(r"--.*", "", sql)
        self.exact(sql)
        if name == "none":
            columns, kinds, (rows,) = self.run(sql, [Window(-2**62, 2**62, None, None, None)], LATENESS)
            return columns, kinds, rows
        reads = [relation for relation in RELATIONS if re.search(rf"\b(FROM|JOIN)\s+{relation}\b", bare)]
        note = re.search(r"^-- expected: (.*)$", sql, re.M)
        all_windows = windows(self.con, reads, kind, settings, expect, self.zones, self.as_of)
        columns, kinds, by_window = self.run(sql, all_windows)
        all_rows = []
        for window, rows in zip(all_windows, by_window):
            if expect:
                rows += expected_rows(self.con, columns, note.group(1), expect, grain, rows, window)
            head = (EPOCH + window.start * MICROSECOND, EPOCH + window.end * MICROSECOND)
            local = (window.local.isoformat(),) if window.local else ()
            tile = kind != "hopping" or settings["size"] == settings["slide"]
            all_rows += [(*head, *local, *row, 0, tile, False, window.date) for row in rows]
        local = ["local_start"] if kind == "calendar" else []
        behind = ["revision", "is_tile", "incomplete", "date"]
        return (["window_start", "window_end", *local, *columns, *behind],
                ["TIMESTAMP"] * 2 + ["VARCHAR"] * len(local) + kinds + ["INTEGER", "BOOLEAN", "BOOLEAN", "DATE"], all_rows)

    def found(self, tables, table, columns):
        """A table's rows as they stand in the lake; none without objects."""
        files = glob.glob(f"{tables}/{table}/**/*.parquet", recursive=True)
        if not files:
            return None, []
        self.con.execute(f"""create or replace temp table stands as
            select * from read_parquet({files}, hive_partitioning = false)""")
        _, kinds, rows = self.rows("stands", columns)
        return kinds, rows

    def compare(self, tables, pipeline, name):
        """One line that a table is the same, or lines that say where it is not."""
        yaml = pathlib.Path(self.corpus, f"pipelines/{pipeline}.yaml").read_text(encoding="utf-8")
        all_windows, grain, expect = windows_of(yaml)
        table = pipeline if name == "none" else f"{pipeline}_{name}"
        where = f"sql/marts/{pipeline}.sql ({table})"
        columns, kinds, expected = self.expected(pipeline, name, *all_windows[name], grain, expect)
        types, found = self.found(tables, table, columns)
        lines = []
        if types is None and expected:
            return [f"{where}: no objects, {len(expected)} rows expected"]
        for column, ours, theirs in zip(columns, kinds, types or kinds):
            if family(ours) != family(theirs):
                lines.append(f"{where}: {column} is {theirs}, expected {ours}")
        keys = [columns.index(key) for key in ("window_start", "window_end", *grain) if key in columns]
        if name == "none":
            keys = []
        lines += differences(where, columns, keys, expected, found)
        return lines or [f"{table}: {len(expected)} rows, {len(columns)} columns, the same"]


def differences(where, columns, keys, expected, found):
    """What differs between rows, matched by their keys, or by their order where there are none."""
    lines = []
    if keys:
        held = [{tuple(row[key] for key in keys): row for row in rows} for rows in (expected, found)]
        for what, left, right in (("missing", *held), ("unexpected", *reversed(held))):
            extra = [row for key, row in left.items() if key not in right]
            if extra:
                lines.append(f"{where}: {len(extra)} rows {what}")
                lines += [f"  {what} {shown(columns, row)}" for row in sorted(extra, key=order)[:SHOWN]]
        for rows, side in ((expected, held[0]), (found, held[1])):
            if len(rows) != len(side):
                lines.append(f"{where}: {len(rows)} rows have only {len(side)} keys")
        pairs = [(row, held[1][key]) for key, row in held[0].items() if key in held[1]]
    else:
        if len(expected) != len(found):
            lines.append(f"{where}: {len(found)} rows, expected {len(expected)}")
        pairs = list(zip(sorted(expected, key=order), sorted(found, key=order)))
    for place, column in enumerate(columns):
        wrong = [pair for pair in pairs if not same(pair[0][place], pair[1][place])]
        if wrong:
            lines.append(f"{where}: {column} differs in {len(wrong)} of {len(pairs)} rows")
            wrong.sort(key=lambda pair: order(pair[0]))
            lines += [f"  expected {a[place]!r}, found {b[place]!r} in {shown(columns, a)}"
                      for a, b in wrong[:SHOWN]]
    return lines


def shown(columns, row):
    """A row for people."""
    return {name: str(value) if isinstance(value, (datetime.datetime, datetime.date)) else value
            for name, value in zip(columns, row)}


def part(arguments):
    """The lines of some of the tables."""
    corpus, feed, lake, as_of, some = arguments
    loaded = Corpus(corpus, feed, as_of)
    lines = []
    for pipeline, name in some:
        try:
            lines += loaded.compare(lake, pipeline, name)
        except Exception as error:  # whichever it is, the file must be named
            lines.append(f"sql/marts/{pipeline}.sql ({name}): {type(error).__name__}: {error}")
    return lines


def main():
    """The command line."""
    corpus, feed, lake, as_of, *only = sys.argv[1:]
    tables = []
    for path in sorted(pathlib.Path(corpus).glob("pipelines/*.yaml")):
        for name in windows_of(path.read_text(encoding="utf-8"))[0]:
            if not only or path.stem in only:
                tables.append((path.stem, name))
    parts = 2 if len(tables) > 8 else 1
    with multiprocessing.Pool(parts) as pool:
        some = [(corpus, feed, lake, as_of, tables[k::parts]) for k in range(parts)]
        lines = [line for lines in pool.map(part, some) for line in lines]
    good = [line for line in lines if line.endswith(" columns, the same")]
    print("\n".join(good + [line for line in lines if line not in good]))
    print(f"{len(good)} tables of {len(tables)} are the same")
    return 0 if len(good) == len(tables) and tables else 1


if __name__ == "__main__":
    sys.exit(main())
