"""Reads every table of a lake with DuckDB, Polars and pyarrow and compares what they see.

usage: read_lake.py FOLDER [--types]

Reads FOLDER/tables/<table>/**/*.parquet as any BI tool would, by a plain glob. Prints one JSON
object: per table the row count and a content hash of each reader. Exits with 1 when they differ,
with 2 when there is nothing to read. Needs:
pip install duckdb polars pyarrow pytz (DuckDB hands out instants through pytz)
"""

import datetime as dt
import decimal
import glob
import hashlib
import json
import os
import struct
import sys

import duckdb
import polars
import pyarrow.dataset


def canonical(value):
    """One text per value, whatever Python type a reader hands out."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"bool {value}"
    if isinstance(value, int):
        return f"int {value}"
    if isinstance(value, float):
        # Bit for bit, but one NaN is as good as another.
        return "float nan" if value != value else "float " + struct.pack(">d", value).hex()
    if isinstance(value, decimal.Decimal):
        return f"decimal {value.normalize()}"
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return f"local {value.isoformat(timespec='microseconds')}"
        return f"instant {value.astimezone(dt.timezone.utc).isoformat(timespec='microseconds')}"
    if isinstance(value, dt.date):
        return f"date {value.isoformat()}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"bytes {bytes(value).hex()}"
    if isinstance(value, str):
        return f"text {json.dumps(value)}"
    raise TypeError(f"no reader should hand out {type(value)}")


def content_hash(columns, rows):
    """Independent of the order in which files and so rows are read."""
    lines = sorted("\x1f".join(canonical(value) for value in row) for row in rows)
    digest = hashlib.sha256("\x1f".join(columns).encode())
    for line in lines:
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


def read_duckdb(files):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = "read_parquet(?, union_by_name = true, hive_partitioning = false)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}", [files]).fetchall()
    types = {row[0]: row[1] for row in described}
    # Instants come as UTC's wall clock, because DuckDB hands them out with the help of pytz only.
    instants = [at for at, kind in enumerate(types.values()) if "WITH TIME ZONE" in kind]
    picked = ", ".join(
        f'"{name}" AT TIME ZONE \'UTC\'' if "WITH TIME ZONE" in kind else f'"{name}"'
        for name, kind in types.items()
    )
    rows = []
    for row in connection.execute(f"SELECT {picked} FROM {source}", [files]).fetchall():
        row = list(row)
        for at in instants:
            row[at] = row[at] and row[at].replace(tzinfo=dt.timezone.utc)
        rows.append(row)
    return list(types), rows, types


def read_polars(files):
    frame = polars.read_parquet(files, hive_partitioning=False)
    return frame.columns, frame.rows(), {k: str(v) for k, v in frame.schema.items()}


def read_pyarrow(files):
    table = pyarrow.dataset.dataset(files, format="parquet").to_table()
    columns = table.column_names
    rows = list(zip(*(table.column(name).to_pylist() for name in columns)))
    return columns, rows, {field.name: str(field.type) for field in table.schema}


READERS = {"duckdb": read_duckdb, "polars": read_polars, "pyarrow": read_pyarrow}


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    with_types = "--types" in sys.argv[2:]
    root = os.path.join(sys.argv[1], "tables")
    tables = sorted(os.listdir(root)) if os.path.isdir(root) else []
    report = {}
    for table in tables:
        files = sorted(
            glob.glob(os.path.join(glob.escape(root), table, "**", "*.parquet"), recursive=True)
        )
        if not files:
            continue
        seen = {}
        for name, read in READERS.items():
            columns, rows, types = read(files)
            seen[name] = {"rows": len(rows), "hash": content_hash(columns, rows)}
            if with_types:
                seen[name]["types"] = types
        agree = len({(reader["rows"], reader["hash"]) for reader in seen.values()}) == 1
        report[table] = {"files": len(files), "agree": agree, "readers": seen}
    print(json.dumps({"lake": sys.argv[1], "tables": report}, indent=2))
    if not report:
        print(f"error: no Parquet below {root}", file=sys.stderr)
        return 2
    return 0 if all(table["agree"] for table in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
