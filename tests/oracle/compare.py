"""The product's tables against the oracle's: python compare.py ORACLE_DIR LAKE/tables [TABLE …].

Joins on window and grain and compares every column of the oracle's: numbers within 1e-9 of each
other relatively, everything else exactly. Prints what differs; exits 1 when something does.
"""
import glob
import pathlib
import sys

import duckdb

import oracle

SHOWN = 10


def load(con, name, files, columns=None):
    """The files' rows as a table: times in microseconds, text otherwise as it is."""
    con.execute(f"create or replace temp view read as select * from read_parquet({files}, "
                "hive_partitioning = false, union_by_name = true)")
    described = dict(row[:2] for row in con.execute("describe read").fetchall())
    missing = [column for column in columns or [] if column not in described]
    if missing:
        return described, missing
    picked = []
    for column in columns or described:
        is_time = described[column].startswith("TIMESTAMP")
        picked.append(f'epoch_us("{column}") "{column}"' if is_time else f'"{column}"')
    con.execute(f"create or replace temp table {name} as select {', '.join(picked)} from read")
    return described, []


def differs(column, kind):
    """The predicate that a column's two values are not the same."""
    a, b = f'o."{column}"', f'p."{column}"'
    if kind in ("DOUBLE", "FLOAT"):
        near = f"abs({a} - {b}) <= 1e-9 * greatest(abs({a}), abs({b}))"
        return f"not coalesce({near}, {a} is null and {b} is null)"
    return f"{a} is distinct from {b}"


def compare(con, table, expected, found):
    """The differences of one table, as lines."""
    kinds, _ = load(con, "o", [str(expected)])
    count, = con.execute("select count(*) from o").fetchone()
    files = glob.glob(f"{found}/{table}/**/*.parquet", recursive=True)
    if not files:
        return [f"{table}: no Parquet below {found}/{table}, {count} rows expected"] if count else []
    _, missing = load(con, "p", files, list(kinds))
    if missing:
        return [f"{table}: columns {', '.join(missing)} are missing"]
    keys = oracle.grain(table)
    # Row-level tables may hold a key twice: the copies are told apart by their place.
    numbered = ", ".join(f'"{key}"' for key in keys)
    rest = ", ".join(f'"{column}" nulls first' for column in kinds if column not in keys)
    for name in "op":
        con.execute(f"""create or replace temp table {name} as select *, row_number() over
            (partition by {numbered} order by {rest}) copy from {name}""")
    same_key = " and ".join(f'o."{key}" is not distinct from p."{key}"' for key in [*keys, "copy"])
    lines = []
    for kind, left, right in (("missing", "o", "p"), ("unexpected", "p", "o")):
        sql = f"from {left} where not exists (select 1 from {right} where {same_key})"
        rows, = con.execute(f"select count(*) {sql}").fetchone()
        if rows:
            lines.append(f"{table}: {rows} rows {kind}")
            for row in con.execute(f"select {numbered} {sql} order by all limit {SHOWN}").fetchall():
                lines.append(f"  {kind} {dict(zip(keys, row))}")
    for column, kind in kinds.items():
        sql = f"from o join p on {same_key} where {differs(column, kind)}"
        rows, = con.execute(f"select count(*) {sql}").fetchone()
        if rows:
            lines.append(f"{table}.{column}: {rows} rows differ")
            picked = ", ".join(f'o."{key}"' for key in keys)
            query = f'select {picked}, o."{column}", p."{column}" {sql} order by all limit {SHOWN}'
            for row in con.execute(query).fetchall():
                lines.append(f"  expected {row[-2]}, found {row[-1]} at {dict(zip(keys, row))}")
    if not lines:
        print(f"{table}: {count} rows, {len(kinds)} columns, the same")
    return lines


def main():
    """The command line."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    expected, found, *only = sys.argv[1:]
    con = duckdb.connect()
    lines = []
    for path in sorted(pathlib.Path(expected).glob("*.parquet")):
        if not only or path.stem in only:
            lines += compare(con, path.stem, path, found)
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
