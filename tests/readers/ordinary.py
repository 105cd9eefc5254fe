"""Reads every table of a lake by the most ordinary call of every reader, with nothing set but the
time zone in which Spark hands out instants.

usage: ordinary.py LAKE [--without-spark]

Prints one JSON object: per table and reader the number of rows, the number of days, the first and
the last day, the earliest and the latest instant of one column of time, and the exact sum of one
column of whole numbers; and where the reader hands out a Python type for each, what that is. All
readers must agree. Exits with 1 when they do not, with 2 when there is nothing to read.
Needs: pip install duckdb pandas polars pyarrow chdb pyspark, and Java 17 for the last one.
"""

import datetime as dt
import glob
import json
import os
import sys

import chdb
import duckdb
import pandas
import polars
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet
import pyarrow.types

UTC = dt.timezone.utc


def columns(folder):
    """A column of instants and one of whole numbers, if the table has any."""
    first = sorted(glob.glob(f"{glob.escape(folder)}/**/*.parquet", recursive=True))[0]
    schema = pyarrow.parquet.read_schema(first)
    instants = [field.name for field in schema if pyarrow.types.is_timestamp(field.type)]
    whole = [field.name for field in schema if pyarrow.types.is_int64(field.type)]
    return (instants or [None])[0], (whole or [None])[0]


def told(rows, days, first_day, last_day, earliest, latest, total):
    return {
        "rows": int(rows),
        "days": int(days),
        "first_day": day(first_day),
        "last_day": day(last_day),
        "earliest": instant(earliest),
        "latest": instant(latest),
        "total": int(total or 0),
    }


def day(value):
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError(f"`date` came as {type(value)}")
    return value.isoformat()


def instant(value):
    if value is None:
        return None
    if not isinstance(value, dt.datetime) or value.utcoffset() != dt.timedelta(0):
        raise TypeError(f"an instant came as {value!r}")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def by_arrow(table, at, whole):
    if at and table.schema.field(at).type != pyarrow.timestamp("us", tz="UTC"):
        raise TypeError(f"{at} is {table.schema.field(at).type}")
    days = table["date"]
    if not pyarrow.types.is_date32(days.type):
        raise TypeError(f"date is {days.type}")
    ends = pc.min_max(days).as_py()
    times = pc.min_max(table[at]).as_py() if at else {"min": None, "max": None}
    total = pc.sum(table[whole]).as_py() if whole else 0
    return told(table.num_rows, pc.count_distinct(days).as_py(), ends["min"], ends["max"],
                times["min"], times["max"], total)


def by_pandas(folder, at, whole):
    frame = pandas.read_parquet(folder)
    if at and str(frame[at].dtype) != "datetime64[us, UTC]":
        raise TypeError(f"{at} is {frame[at].dtype}")
    moment = (lambda value: value.to_pydatetime()) if at else None
    days = frame["date"]
    return told(len(frame), days.nunique(), days.min(), days.max(),
                moment(frame[at].min()) if at else None, moment(frame[at].max()) if at else None,
                frame[whole].sum() if whole else 0)


def by_polars(frame, at, whole):
    if at and frame.schema[at] != polars.Datetime("us", "UTC"):
        raise TypeError(f"{at} is {frame.schema[at]}")
    days = frame["date"]
    return told(frame.height, days.n_unique(), days.min(), days.max(),
                frame[at].min() if at else None, frame[at].max() if at else None,
                frame[whole].sum() if whole else 0)


def by_sql(run, source, at, whole, wrap):
    """One row of figures; `wrap` makes a column of instants one of microseconds since 1970."""
    times = f"{wrap(f'min({at})')}, {wrap(f'max({at})')}" if at else "NULL, NULL"
    total = f"sum({whole})" if whole else "0"
    row = run(f"SELECT count(*), count(DISTINCT date), min(date), max(date), {times}, {total} "
              f"FROM {source}")
    moments = [None if us is None else dt.datetime.fromtimestamp(0, UTC)
               + dt.timedelta(microseconds=int(us)) for us in row[4:6]]
    days = [value if isinstance(value, dt.date) else dt.date.fromisoformat(value)
            for value in row[2:4]]
    return told(row[0], row[1], *days, *moments, row[6])


def by_duckdb(source, at, whole):
    connection = duckdb.connect()
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    types = {row[0]: row[1] for row in described}
    if types["date"] != "DATE" or (at and types[at] != "TIMESTAMP WITH TIME ZONE"):
        raise TypeError(f"date is {types['date']}, {at} is {types.get(at)}")
    run = lambda sql: connection.execute(sql).fetchone()
    # A column `at` is a word of its grammar.
    at = at and f'"{at}"'
    return by_sql(run, source, at, whole, lambda column: f"epoch_us({column})")


def by_chdb(source, at, whole):
    described = json.loads(str(chdb.query(f"DESCRIBE TABLE {source}", "JSON")))["data"]
    types = {column["name"]: column["type"] for column in described}
    if "Date32" not in types["date"] or (at and "DateTime64(6, 'UTC')" not in types[at]):
        raise TypeError(f"date is {types['date']}, {at} is {types.get(at)}")

    def run(sql):
        return json.loads(str(chdb.query(sql, "JSONCompact")))["data"][0]

    return by_sql(run, source, at, whole, lambda column: f"toUnixTimestamp64Micro({column})")


def by_spark(spark, folder, at, whole):
    frame = spark.read.parquet(folder)
    types = dict(frame.dtypes)
    if types["date"] != "date" or (at and types[at] != "timestamp"):
        raise TypeError(f"date is {types['date']}, {at} is {types.get(at)}")
    frame.createOrReplaceTempView("read")
    return by_sql(lambda sql: spark.sql(sql).first(), "read", at, whole,
                  lambda column: f"unix_micros({column})")


def readers(folder):
    files = f"{folder}/**/*.parquet"
    return {
        "pandas": lambda at, whole: by_pandas(folder, at, whole),
        "pyarrow table": lambda at, whole: by_arrow(pyarrow.parquet.read_table(folder), at, whole),
        "pyarrow dataset": lambda at, whole: by_arrow(
            pyarrow.dataset.dataset(folder).to_table(), at, whole),
        "pyarrow hive": lambda at, whole: by_arrow(
            pyarrow.dataset.dataset(folder, partitioning="hive").to_table(), at, whole),
        "polars folder": lambda at, whole: by_polars(polars.read_parquet(folder), at, whole),
        "polars scan": lambda at, whole: by_polars(
            polars.scan_parquet(folder).collect(), at, whole),
        "polars glob": lambda at, whole: by_polars(polars.read_parquet(files), at, whole),
        "polars hive": lambda at, whole: by_polars(
            polars.scan_parquet(files, hive_partitioning=True).collect(), at, whole),
        "duckdb": lambda at, whole: by_duckdb(f"'{files}'", at, whole),
        "duckdb hive": lambda at, whole: by_duckdb(
            f"read_parquet('{files}', hive_partitioning = true)", at, whole),
        "clickhouse": lambda at, whole: by_chdb(f"file('{files}')", at, whole),
    }


def session():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("readers")
    # Spark tells an instant by the session's own clock; nothing else is set but what keeps it small.
    for name, value in {"spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false",
                        "spark.driver.bindAddress": "127.0.0.1",
                        "spark.driver.host": "127.0.0.1",
                        "spark.sql.shuffle.partitions": "2",
                        "spark.log.level": "ERROR"}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = os.path.join(os.path.abspath(sys.argv[1]), "tables")
    tables = sorted(os.listdir(root)) if os.path.isdir(root) else []
    spark = None if "--without-spark" in sys.argv[2:] else session()
    report, wrong = {}, 0
    for table in tables:
        folder = os.path.join(root, table)
        at, whole = columns(folder)
        asked = readers(folder)
        if spark:
            asked["spark"] = lambda at, whole: by_spark(spark, folder, at, whole)
        seen = {}
        for name, read in asked.items():
            try:
                seen[name] = read(at, whole)
            except Exception as error:  # Whatever a reader raises is what is asked for.
                seen[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        agree = len({json.dumps(figures) for figures in seen.values()}) == 1
        fine = agree and not any("error" in figures for figures in seen.values())
        wrong += not fine
        report[table] = {"agree": fine, "read": at, "added": whole, "readers": seen}
    if spark:
        spark.stop()
    print(json.dumps({"tables": report}, indent=2))
    if not report:
        print(f"error: no table below {root}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
