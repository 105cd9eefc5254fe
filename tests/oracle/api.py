"""The API's figures, worked out a second time: python api.py LAKE URL, of which LAKE is a folder whose
days have all settled and URL the API over it, as http://127.0.0.1:8090/api/v1.

Asks each route and asks DuckDB the same over the same Parquet; exits 1 with the first difference.
Instants are compared as microseconds since the epoch.
"""
import collections
import csv
import datetime
import io
import json
import pathlib
import sys
import urllib.parse
import urllib.request

import duckdb
import pyarrow as pa
import pyarrow.parquet

SECTIONS = ["events", "late", "dead_letters", "alerts", "quality"]
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"


class Api:
    """The API, and how many figures of it were right."""

    def __init__(self, url):
        self.url = url
        self.right = 0

    def get(self, route, accept="application/json", **parameters):
        """The body and the headers of a route."""
        query = urllib.parse.urlencode({k: v for k, v in parameters.items() if v is not None}, doseq=True)
        request = urllib.request.Request(f"{self.url}/{route}?{query}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read(), answer.headers

    def json(self, route, **parameters):
        return json.loads(self.get(route, **parameters)[0])

    def same(self, what, ours, theirs):
        """Counts a figure; floats may differ in the last bits."""
        if not alike(ours, theirs):
            raise SystemExit(f"{what}: the API says {ours!r}, DuckDB {theirs!r}")
        self.right += 1


def alike(one, other):
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other))
    return one == other


def names(con, lake):
    """Makes a view of each table and section that has objects; their names."""
    found = []
    folders = [(path.name, path) for path in sorted((lake / "tables").iterdir())]
    folders += [(name, lake / name) for name in SECTIONS if (lake / name).is_dir()]
    for name, folder in folders:
        source = f"read_parquet('{folder}/**/*.parquet', hive_partitioning=false, union_by_name=true)"
        kinds = con.execute(f"describe select * from {source}").fetchall()
        times = [kind[0] for kind in kinds if kind[1].startswith("TIMESTAMP")]
        picked = ", ".join(f'epoch_us("{time}") as "{time}"' for time in times)
        con.execute(f"""create view "{name}" as select * replace ({picked}) from {source}""")
        # The day in an object's name is the date of its rows: days are left out by it. What fires at
        # midnight tells of alerts that began the day before, so of alerts none are left out.
        wrong = con.execute(f"""select count(*) from read_parquet('{folder}/**/*.parquet',
            hive_partitioning=false, union_by_name=true, filename=true)
            where date is distinct from regexp_extract(filename, 'day=([0-9-]+)', 1)::date""").fetchall()[0]
        assert wrong == (0,) or name == "alerts", f"{name}: rows of other days than their object's"
        found.append(name)
    return found


def pages(api, name, accept, limit, **parameters):
    """All rows of a table, page by page, as Arrow tables."""
    cursor = None
    while True:
        body, headers = api.get(f"tables/{name}/rows", accept, limit=limit, cursor=cursor, **parameters)
        if accept == ARROW:
            yield pa.ipc.open_stream(body).read_all()
        else:
            yield pa.parquet.read_table(io.BytesIO(body))
        link = headers.get("Link")
        if link is None:
            return
        cursor = urllib.parse.parse_qs(link[link.index("?") + 1 : link.index(">")])["cursor"][0]


def in_micros(table):
    """An Arrow table with its instants as microseconds."""
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
    return table


def rfc3339(micros):
    """An instant as the API takes it."""
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    return at.isoformat() + "Z"


def micros(text):
    """An instant as the API gives it."""
    at = datetime.datetime.fromisoformat(text)
    return round((at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))


def multiset(con, sql):
    """Rows of a query, however they are sorted."""
    return collections.Counter(map(repr, con.execute(sql).fetchall()))


def check_rows(api, con, name):
    """Every row of a table comes once, in order, in pages of whatever size."""
    whole = con.execute(f'select count(*) from "{name}"').fetchall()[0][0]
    for accept, limit in [(ARROW, max(1, whole // 7)), (PARQUET, 100_000)]:
        got = list(pages(api, name, accept, limit))
        assert all(page.num_rows == limit for page in got[:-1]), f"{name}: a page is not full"
        con.register("ours", in_micros(pa.concat_tables(got)))
        # Raw bytes are given only to those who name the column.
        theirs = "* exclude (bytes)" if name == "dead_letters" else "*"
        ours, theirs = multiset(con, "select * from ours"), multiset(con, f'select {theirs} from "{name}"')
        more, fewer = list((ours - theirs).items())[:2], list((theirs - ours).items())[:2]
        api.same(f"{name}, {accept}", (more, fewer), ([], []))
        columns = [row[0] for row in con.execute(f'describe "{name}"').fetchall()]
        time = next((c for c in ["window_start", "completed_at", "event_time"] if c in columns), None)
        keys = [key for key in ["date", time] if key]
        sorted_keys = con.execute(f"select {', '.join(keys)} from ours").fetchall()
        # Nulls come first.
        ranks = [tuple((value is not None, str(value) if key == "date" else value or 0)
                       for key, value in zip(keys, row)) for row in sorted_keys]
        assert all(a <= b for a, b in zip(ranks, ranks[1:])), f"{name}: not in order"
        con.unregister("ours")


def check_filters(api, con):
    """Laboratories, assays, other columns and periods cut out the rows that they should."""
    labs = [row[0] for row in con.execute("select distinct lab_id from completions order by 1").fetchall()]
    low, high = con.execute("select min(completed_at), max(completed_at) from completions").fetchall()[0]
    middle = (low + high) // 2
    bounds = {"from": rfc3339(low), "to": rfc3339(middle)}
    within = "completed_at >= ? and completed_at < ?"
    for lab in labs:
        body = api.json("tables/completions/rows", lab=lab, limit=100_000, columns="specimen_id", **bounds)
        theirs = con.execute(f"select count(*) from completions where lab_id = ? and {within}", [lab, low, middle])
        api.same(f"rows of {lab}", body["count"], theirs.fetchall()[0][0])
    both = api.json("tables/tat_percentiles_1h/rows", lab=labs[:2], phase="tat", priority=["S", "R"], limit=100_000)
    theirs = con.execute("""select count(*) from tat_percentiles_1h where phase = 'tat'
        and priority in ('S', 'R') and lab_id = any(?)""", [labs[:2]])
    api.same("rows of two labs", both["count"], theirs.fetchall()[0][0])
    body, _ = api.get("tables/throughput_day/rows", "text/csv", limit=100_000)
    lines = list(csv.DictReader(io.StringIO(body.decode())))
    theirs = con.execute("select sum(completed)::bigint, count(*) from throughput_day").fetchall()[0]
    api.same("CSV", (sum(int(line["completed"]) for line in lines), len(lines)), theirs)
    body, _ = api.get("tables/throughput_day/rows", "application/x-ndjson", limit=100_000)
    lines = [json.loads(line) for line in body.decode().splitlines()]
    api.same("NDJSON", (sum(line["completed"] for line in lines), len(lines)), theirs)
    dead = con.execute("select count(*) from dead_letters").fetchall()[0][0]
    letters = api.json("dead-letters", limit=100_000)
    api.same("dead letters", letters["count"], dead)
    assert all("bytes" not in row for row in letters["rows"]), "raw bytes are not asked for"
    day = con.execute("select max(date)::varchar from dead_letters").fetchall()[0][0]
    of_day = api.json("dead-letters", columns="reason,bytes", **{"from": day})
    theirs = con.execute("select count(*) from dead_letters where date = ?::date", [day])
    api.same("dead letters of a day", of_day["count"], theirs.fetchall()[0][0])
    return labs, low, middle


def check_tat(api, con, where, values, parameters):
    ours = api.json("metrics/tat", **parameters)
    n, completed, *quantiles = con.execute(f"""select count(tat_minutes), count(*),
        quantile_cont(tat_minutes, 0.5), quantile_cont(tat_minutes, 0.9),
        quantile_cont(tat_minutes, 0.95), quantile_cont(tat_minutes, 0.99)
        from completions where {where}""", values).fetchall()[0]
    told = [value if n >= least else None for value, least in zip(quantiles, [1, 1, 20, 100])]
    got = [ours["total_specimens"], ours["completed"]] + [ours[p] for p in ["p50", "p90", "p95", "p99"]]
    api.same(f"tat {parameters}", got, [n, completed, *told])


def check_sla(api, con, where, values, parameters):
    ours = api.json("metrics/sla", **parameters)
    breached, judged, whole = con.execute(f"""select count(*) filter (tat_minutes > target_minutes),
        count(tat_minutes - target_minutes), count(*) from completions where {where}""", values).fetchall()[0]
    api.same(f"sla {parameters}", [ours[k] for k in ["breach_count", "total_completed", "unjudged", "breach_rate"]],
             [breached, judged, whole - judged, breached / judged if judged else None])
    worst = con.execute(f"""select tat_minutes - target_minutes from completions
        where {where} and tat_minutes > target_minutes order by 1 desc limit 20""", values).fetchall()
    got = [row["turnaround_time_minutes"] - row["target_minutes"] for row in ours["sample_breaches"]]
    api.same(f"sla's samples {parameters}", got, [row[0] for row in worst])


def check_throughput(api, con, where, values, parameters):
    for grain, table, begin in [("hour", "throughput_1h", "window_start"), ("day", "throughput_day", "date")]:
        ours = api.json("metrics/throughput", grain=grain, **parameters)
        theirs = con.execute(f"""select {begin}, sum(completed)::bigint from {table} where {where}
            group by 1 order by 1""", values).fetchall()
        got = [(point["timestamp"], point["count"]) for point in ours["data"]]
        if grain == "hour":
            texts = [rfc3339(at) for at, _ in theirs]
        else:
            texts = [f"{at}T00:00:00" for at, _ in theirs]
        api.same(f"throughput {grain} {parameters}", got, [(text, n) for text, (_, n) in zip(texts, theirs)])
        api.same("grain", ours["grain"], grain)


def check_errors(api, con, where, values, parameters):
    ours = api.json("metrics/errors", **parameters)
    errors, tests = con.execute(f"""select coalesce(sum(errors), 0)::bigint, coalesce(sum(tests), 0)::bigint
        from error_rates_day where {where}""", values).fetchall()[0]
    api.same(f"errors {parameters}", [ours[k] for k in ["total_errors", "total_specimens", "overall_error_rate"]],
             [errors, tests, errors / tests if tests else None])
    machines = con.execute(f"""select lab_id, machine_id, sum(errors)::bigint, sum(tests)::bigint
        from error_rates_day where {where} and machine_id is not null group by 1, 2 order by 1, 2""", values)
    got = [(m["lab_id"], m["value"], m["count"], m["total"]) for m in ours["by_machine"]]
    api.same(f"machines {parameters}", got, machines.fetchall())
    codes = con.execute(f"""select error_code, sum(errors)::bigint from error_codes_day
        where {where} and error_code is not null group by 1 order by 1""", values).fetchall()
    api.same(f"codes {parameters}", [(c["value"], c["count"]) for c in ours["by_error_code"]], codes)
    for entry in ours["by_machine"] + ours["by_error_code"]:
        assert 0 <= entry["rate"] <= 1, entry


def check_metrics(api, con, labs, low, middle):
    """The four metrics: of everything, of a laboratory, of half the time, of nothing."""
    bounds = {"from": rfc3339(low), "to": rfc3339(middle)}
    assay = con.execute("select mode(assay) from completions").fetchall()[0][0]
    rare = con.execute("select assay from completions group by 1 order by count(*), 1 limit 1").fetchall()[0][0]
    past = {"from": "2001-01-01", "to": "2001-02-01"}
    epoch = [micros("2001-01-01T00:00:00Z"), micros("2001-02-01T00:00:00Z")]
    for where, values, parameters in [
        ("true", [], {}),
        ("lab_id = ?", [labs[0]], {"lab": labs[0]}),
        ("{t} >= ? and {t} < ?", [low, middle], bounds),
        ("lab_id = ? and {t} >= ? and {t} < ?", [labs[-1], low, middle], {"lab": labs[-1], **bounds}),
        ("{t} >= ? and {t} < ?", epoch, past),
    ]:
        by = lambda column: where.replace("{t}", column)
        check_errors(api, con, by("window_start"), values, parameters)
        check_throughput(api, con, by("window_start"), values, parameters)
        check_sla(api, con, by("completed_at"), values, parameters)
        check_tat(api, con, by("completed_at"), values, parameters)
    for code in (assay, rare):
        check_tat(api, con, "assay = ?", [code], {"assay": code})
    check_throughput(api, con, "assay = ?", [assay], {"assay": assay})
    hour = low + 3_600_000_000
    few = {"assay": assay, "lab": labs[0], "from": rfc3339(low), "to": rfc3339(hour)}
    check_tat(api, con, "assay = ? and lab_id = ? and completed_at >= ? and completed_at < ?",
              [assay, labs[0], low, hour], few)


def check_tables(api, con, found):
    told = {table["name"]: table for table in api.json("tables")["tables"]}
    api.same("tables", [name for name in found if name not in told], [])
    for name in found:
        first, last = con.execute(f'select min(date)::varchar, max(date)::varchar from "{name}"').fetchall()[0]
        if name != "alerts":
            api.same(f"{name}'s days", (told[name]["first_day"], told[name]["last_day"]), (first, last))
        columns = [row[0] for row in con.execute(f'describe "{name}"').fetchall()]
        detail = api.json(f"tables/{name}")
        api.same(f"{name}'s columns", [column["name"] for column in detail["columns"]], columns)
    status = api.json("status")
    through = con.execute("select max(event_time) from events").fetchall()[0][0]
    api.same("newest event", micros(status["newest_event_at"]), through)


def main():
    lake, api = pathlib.Path(sys.argv[1]), Api(sys.argv[2])
    con = duckdb.connect()
    found = names(con, lake)
    check_tables(api, con, found)
    for name in found:
        check_rows(api, con, name)
    check_metrics(api, con, *check_filters(api, con))
    print(f"{api.right} figures, the same")


main()
