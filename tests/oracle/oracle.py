"""What every shipped table should hold, computed a second time: python oracle.py --reference
data/reference --out DIR FEED.ndjson … writes DIR/<table>.parquet.

Independent of the product: what became of tests from lifecycle.py, own SQL (DuckDB) over that and over
the raw JSON, own expansion of windows, own calendars. It reads a feed as docs/events.md says (row form and
transition form), with the definitions in the heads of sql/marts/. It assumes a feed in which every row is on
time and none is malformed; it does not know of late rows or dead letters.

A table holds the windows with rows, and those in which a lab is expected (`throughput`): from the
first window with rows to the last one that holds rows or has ended by the largest event time.
"""
import argparse
import datetime
import pathlib
import zoneinfo

import duckdb

import lifecycle_tables

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000

FIELDS = """event_type lab_id event_time specimen_id specimen_type to_state status received_at
    processed_at""".split()

# Table -> (pipeline, window). A window is (size, slide), "day" or None for row-level tables.
TABLES = {
    "completions": ("completions", None),
    "transitions": ("transitions", None),
    "rejections": ("rejections", None),
    "restatements": ("restatements", None),
    "refused": ("refused", None),
    "deadlines": ("deadlines", None),
    "critical_results": ("critical_results", None),
    "critical_deadlines": ("critical_deadlines", None),
    "tat_percentiles_1h": ("tat_percentiles", (HOUR, 5 * MINUTE)),
    "tat_percentiles_24h": ("tat_percentiles", (DAY, HOUR)),
    "throughput_1h": ("throughput", (HOUR, HOUR)),
    "throughput_day": ("throughput", "day"),
    "error_rates_1h": ("error_rates", (HOUR, 5 * MINUTE)),
    "error_rates_day": ("error_rates", "day"),
    "error_codes_day": ("error_codes", "day"),
    "rejection_rates_day": ("rejection_rates", "day"),
    "rejection_reasons_day": ("rejection_reasons", "day"),
    "sla_breaches_1h": ("sla_breaches", (HOUR, 5 * MINUTE)),
    "sla_breaches_day": ("sla_breaches", "day"),
}

# Pipeline -> (rows in time, grain, query over those rows with ws and we).
PIPELINES = {
    "tat_percentiles": (
        "phases",
        ["lab_id", "assay", "priority", "phase"],
        """select ws, we, lab_id, assay, priority, phase, count(*) n,
             quantile_cont(minutes, 0.5) p50_minutes, quantile_cont(minutes, 0.75) p75_minutes,
             quantile_cont(minutes, 0.9) p90_minutes, quantile_cont(minutes, 0.95) p95_minutes,
             quantile_cont(minutes, 0.99) p99_minutes, fsum(minutes) / count(*) mean_minutes,
             max(case when phase = 'tat' then target end) target_minutes,
             case when phase = 'tat' and count(kept) > 0 then count(*) filter (kept) end
               within_target,
             case when phase = 'tat' and count(kept) > 0
               then count(*) filter (kept) / count(kept) end within_target_rate
           from {rows} group by ws, we, lab_id, assay, priority, phase""",
    ),
    "throughput": (
        "told",
        ["lab_id", "assay"],
        """select ws, we, lab_id, assay, count(*) filter (state = 'RECEIVED') received,
             count(*) filter (state = 'VERIFIED') completed,
             count(*) filter (state = 'ERROR') errors,
             count(*) filter (state = 'REJECTED') rejected,
             count(*) filter (state = 'CANCELLED') cancelled
           from {rows} group by all""",
    ),
    "error_rates": (
        "finished",
        ["lab_id", "machine_id"],
        """select ws, we, lab_id, machine_id, sum(failed)::bigint errors, count(*) tests,
             sum(failed) / count(*) error_rate
           from {rows} group by all""",
    ),
    "error_codes": (
        "failures",
        ["lab_id", "machine_id", "error_code"],
        """with m as (select ws, we, lab_id, machine_id, count(*) all_errors from {rows} group by all),
             c as (select ws, we, lab_id, machine_id, error_code, count(*) errors
                   from {rows} group by all)
           select c.*, errors / all_errors share,
             1 + (select count(*) from c d where d.ws = c.ws and d.we = c.we
                  and d.lab_id = c.lab_id and d.machine_id is not distinct from c.machine_id
                  and d.errors > c.errors) rank
           from c join m on m.ws = c.ws and m.we = c.we and m.lab_id = c.lab_id
             and m.machine_id is not distinct from c.machine_id""",
    ),
    "rejection_rates": (
        "tube_moves",
        ["lab_id"],
        """with c as (
             select ws, we, lab_id,
               len(list_distinct(list(specimen_id) filter (state = 'REJECTED'))) rejected,
               len(list_distinct(list(specimen_id) filter (state = 'RECEIVED'))) received
             from {rows} group by all)
           select ws, we, lab_id, coalesce(rejected, 0) rejected, coalesce(received, 0) received,
             case when received > 0 then coalesce(rejected, 0) / received end rejection_rate,
             case when coalesce(received, 0) = 0 then null
               when 10000 * coalesce(rejected, 0) <= 35 * received then 'good'
               when 10000 * coalesce(rejected, 0) >= 135 * received then 'poor'
               else 'medium' end grade
           from c""",
    ),
    "rejection_reasons": (
        "tubes",
        ["lab_id", "reject_reason"],
        """with r as (select distinct ws, we, lab_id, reject_reason, specimen_id from {rows}
                      where kind = 'rejected'),
             t as (select ws, we, lab_id, count(distinct specimen_id) received,
                     count(distinct case when anticoagulated then specimen_id end) anticoagulated
                   from {rows} where kind = 'received' group by all),
             n as (select ws, we, lab_id, reject_reason, count(*) rejected from r group by all),
             k as (select code, ifcc_indicator indicator, denominator, good_percent, poor_percent
                   from read_csv('{reference}/reject_reasons.csv', all_varchar = true)),
             i as (select n.ws, n.we, n.lab_id, k.indicator, sum(n.rejected)::bigint hits
                   from n join k on k.code = n.reject_reason where k.indicator is not null
                   group by all),
             j as (select n.*, k.indicator, i.hits indicator_rejected,
                     case k.denominator when 'received' then coalesce(t.received, 0)
                       when 'anticoagulated' then coalesce(t.anticoagulated, 0) end indicator_tubes,
                     k.good_percent::double good, k.poor_percent::double poor
                   from n left join k on k.code = n.reject_reason
                   left join t on t.ws = n.ws and t.we = n.we and t.lab_id = n.lab_id
                   left join i on i.ws = n.ws and i.we = n.we and i.lab_id = n.lab_id
                     and i.indicator = k.indicator)
           select a.ws, a.we, a.lab_id, a.reject_reason, a.rejected,
             a.rejected / sum(b.rejected) share,
             count(*) filter (b.rejected > a.rejected or (b.rejected = a.rejected
               and b.reject_reason <= a.reject_reason)) pareto_rank,
             sum(b.rejected) filter (b.rejected > a.rejected or (b.rejected = a.rejected
               and b.reject_reason <= a.reject_reason)) / sum(b.rejected) cumulative_share,
             a.indicator, a.indicator_rejected, a.indicator_tubes,
             case when a.indicator_tubes > 0 then a.indicator_rejected / a.indicator_tubes end
               indicator_rate,
             case when a.indicator is null or a.indicator_tubes = 0 then null
               when a.indicator_rejected * 100.0::double / a.indicator_tubes <= a.good then 'good'
               when a.indicator_rejected * 100.0::double / a.indicator_tubes >= a.poor then 'poor'
               else 'medium' end grade
           from j a join j b on a.ws = b.ws and a.we = b.we and a.lab_id = b.lab_id
           group by a.ws, a.we, a.lab_id, a.reject_reason, a.rejected, a.indicator,
             a.indicator_rejected, a.indicator_tubes, a.good, a.poor""",
    ),
    "sla_breaches": (
        "judged",
        ["lab_id", "assay", "priority"],
        """select ws, we, lab_id, assay, priority, count(*) due,
             count(*) filter (outcome = 'breached') breached,
             count(*) filter (outcome = 'breached') / count(*) breach_rate,
             count(*) filter (phase = 'waiting') waiting,
             count(*) filter (phase = 'analytical') analytical,
             count(*) filter (phase = 'verification') verification,
             count(*) filter (phase = 'lost') lost,
             count(*) filter (outcome = 'breached' and phase is null) done_late,
             max(target_minutes) target_minutes
           from {rows} group by all""",
    ),
}


def read_feed(con, feeds, default_lab):
    """The table `raw`: one row per event, its texts as they came, times in microseconds."""
    columns = ", ".join(f"{field}: 'VARCHAR'" for field in FIELDS)
    files = ", ".join(f"'{feed}'" for feed in feeds)
    con.execute(f"""create table text as select * from read_json([{files}],
        format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 20000000)""")
    times = [field for field in FIELDS if field.endswith("_at") or field == "event_time"]
    us = ", ".join(f"epoch_us({field}::timestamptz) {field}" for field in times)
    con.execute(f"""create table raw as select row_number() over () id,
          * exclude (event_type, lab_id, {", ".join(times)}),
          coalesce(event_type, 'specimen.snapshot') event_type,
          coalesce(lab_id, '{default_lab}') lab_id, {us}
        from text""")


def follow(con, feeds, default_lab, sla_hours, reference, max_disorder=MINUTE):
    """The relations of changes, each feed being a partition, and views of them by what is counted."""
    rows = [row for feed in feeds for row in lifecycle_tables.rows_of(
        feed, reference, max_disorder, default_lab=default_lab, default_minutes=60 * sla_hours)]
    lifecycle_tables.load(con, rows)
    # No window counts a receipt that a row form told of too late.
    con.execute("""create view moves as select t, record, lab_id, specimen_id, assay, machine_id, to_state state
        from of_transitions where stood is null or t >= stood""")
    con.execute("create view completed as select * from of_completions")
    con.execute("create view judged as select * from of_due")
    con.execute("create view failures as select * from of_errors")
    con.execute("""create view finished as select *, (state = 'ERROR')::int failed
        from moves where state in ('VERIFIED', 'ERROR')""")
    con.execute("""create view told as select * from moves
        where state in ('RECEIVED', 'VERIFIED', 'ERROR', 'REJECTED', 'CANCELLED')""")
    con.execute("""create view tube_moves as select * from moves
        where state in ('RECEIVED', 'REJECTED')""")
    phases = {"order_to_collect": "order_to_collect_minutes",
              "collect_to_receive": "collect_to_receive_minutes",
              "receive_to_result": "receive_to_result_minutes",
              "result_to_verify": "result_to_verify_minutes", "tat": "tat_minutes",
              "total": "total_minutes"}
    con.execute("create view phases as " + " union all ".join(
        f"""select t, lab_id, assay, priority, '{phase}' phase, {column} as minutes,
              target_minutes target, within_target kept from completed where {column} is not null"""
        for phase, column in phases.items()))
    con.execute("""create view tubes as
        select case event_type when 'specimen.snapshot' then coalesce(processed_at, received_at)
            else event_time end t, lab_id, specimen_id, null reject_reason, 'received' kind,
          regexp_matches(upper(coalesce(specimen_type, '')),
            'EDTA|CITRATE|HEPARIN|FLUORIDE|OXALATE') anticoagulated
        from raw where (event_type = 'specimen.snapshot' and status = 'RECEIVED')
          or (event_type = 'specimen.transition' and to_state = 'RECEIVED')
        union all
        select t, lab_id, specimen_id, reject_reason, 'rejected', false from of_rejections""")


def local_days(con, reference):
    """`days`: every lab's calendar days over the feed, as instants."""
    listed = con.execute(f"""select lab_id, tz from read_csv('{reference}/labs.csv',
        all_varchar = true)""").fetchall()
    zones = dict(listed)
    labs = [row[0] for row in con.execute("select distinct lab_id from told").fetchall()]
    first, last = con.execute("select min(t), max(t) from moves").fetchone()
    con.execute("create table days(lab_id varchar, day date, s bigint, e bigint)")
    con.execute("create table listed(lab_id varchar)")
    if listed:
        con.executemany("insert into listed values (?)", [[lab] for lab, _ in listed])
    if first is None:
        return
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    begin = (epoch + datetime.timedelta(microseconds=first)).date() - datetime.timedelta(days=2)
    count = (last - first) // DAY + 5
    rows = []
    for lab in sorted(set(labs) | set(zones)):
        zone = zoneinfo.ZoneInfo(zones.get(lab, "UTC"))
        for number in range(count):
            day = begin + datetime.timedelta(days=number)
            rows.append([lab, day, midnight(day, zone, epoch),
                         midnight(day + datetime.timedelta(days=1), zone, epoch)])
    con.executemany("insert into days values (?, ?, ?, ?)", rows)


def midnight(day, zone, epoch):
    """The first instant of a local day, in microseconds."""
    start = datetime.datetime(day.year, day.month, day.day, tzinfo=zone)
    return (start - epoch) // datetime.timedelta(microseconds=1)


def place(con, rows, window):
    """The rows with the windows that they lie in, as `placed`."""
    if window == "day":
        con.execute(f"""create or replace temp table placed as select r.*, d.s ws, d.e we
            from {rows} r join days d on d.lab_id = r.lab_id and r.t >= d.s and r.t < d.e""")
    else:
        size, slide = window
        con.execute(f"""create or replace temp table placed as
            select r.*, (r.t // {slide} - i) * {slide} ws, (r.t // {slide} - i) * {slide} + {size} we
            from {rows} r, range({size // slide}) hops(i)""")


def silent(con, table, window):
    """Adds the rows of expected labs to windows in which they have none."""
    end_of_time, = con.execute("select max(coalesce(processed_at, received_at, event_time)) from raw "
                               "where event_type = 'specimen.snapshot'").fetchone()
    of_moves, = con.execute("select max(event_time) from raw "
                            "where event_type <> 'specimen.snapshot'").fetchone()
    largest = max(time for time in (end_of_time, of_moves, 0) if time is not None)
    held = con.execute(f"select ws, we from {table} order by we limit 1").fetchone()
    if held is None:
        return
    # Nothing is expected of a time before the feed begins.
    begins = min(time for time, in con.execute(
        "select min(coalesce(processed_at, received_at, event_time)) from raw "
        "where event_type = 'specimen.snapshot' union all "
        "select min(event_time) from raw where event_type <> 'specimen.snapshot'").fetchall()
        if time is not None)
    until = f"greatest({largest}, (select max(we) from {table}))"
    if window == "day":
        expected = f"""select l.lab_id, d.s ws, d.e we from listed l join days d using (lab_id)
            where d.e > {begins} and d.e <= {until}"""
    else:
        size, slide = window
        expected = f"""select l.lab_id, g.we - {size} ws, g.we from listed l,
            (select unnest(range({held[1]}, {until} + 1, {slide}))::bigint we) g"""
    con.execute(f"""insert into {table}
        select x.ws, x.we, x.lab_id, null, 0, 0, 0, 0, 0 from ({expected}) x
        where not exists (select 1 from {table} h where h.ws = x.ws and h.we = x.we
          and h.lab_id = x.lab_id)""")


def windowed(con, table, pipeline, window, reference):
    """One windowed table, as the table `result`."""
    rows, _, query = PIPELINES[pipeline]
    place(con, rows, window)
    con.execute("create or replace temp table result as "
                + query.format(rows="placed", reference=reference))
    if pipeline == "throughput":
        silent(con, "result", window)
    tile = window == "day" or window[0] == window[1]
    local = "(select any_value(day) from days d where d.lab_id = result.lab_id and d.s = ws)"
    date = local if window == "day" else "make_timestamp(ws)::date"
    return f"""select make_timestamp(ws) window_start, make_timestamp(we) window_end,
        * exclude (ws, we), {str(tile).lower()} is_tile, false incomplete, {date} date from result"""


# Row-level table -> its columns: the event time, what tells rows apart, and the others.
TESTS = "priority, patient_class, location"
ROWS = {
    "completions": ["completed_at", "lab_id", "specimen_id", "assay", f"""{TESTS}, ordered_at,
        collected_at, received_at, resulted_at, tat_us, tat_minutes,
        order_to_collect_minutes, collect_to_receive_minutes, receive_to_result_minutes,
        result_to_verify_minutes, total_minutes, target_minutes, within_target, machine_id, operator_id,
        auto_verified, delta_flag, repeats"""],
    "transitions": ["at", "lab_id", "specimen_id", "assay", "to_state", f"""{TESTS}, from_state,
        seconds_in_state, machine_id, operator_id, error_code, reject_reason, implied"""],
    "rejections": ["rejected_at", "lab_id", "specimen_id", "assay", f"""{TESTS}, reject_reason, phase,
        machine_id, tests"""],
    "restatements": ["at", "lab_id", "specimen_id", "assay", "kind", f'{TESTS}, was, "is"'],
    "refused": ["noticed_at", "lab_id", "specimen_id", "assay", "word", f"""{TESTS}, reason, state,
        allowed"""],
    "deadlines": ["at", "lab_id", "specimen_id", "assay", "kind", "stage", f"""{TESTS}, due_at,
        target_minutes, state, machine_id"""],
    "critical_results": ["judged_at", "lab_id", "specimen_id", "assay", "critical_id", f"""{TESTS}, flag,
        flagged_at, clock_start_at, due_at, target_minutes, target_source, target_version, notified_at,
        acknowledged_at, minutes_to_notify, minutes_to_acknowledge, handled_within, before_flag, attempts,
        read_back, channel, notified_to_role, outcome, exempt"""],
    "critical_deadlines": ["at", "lab_id", "specimen_id", "assay", "critical_id", "stage", f"""{TESTS},
        due_at, target_minutes, state"""],
}


def row_level(table):
    """A row-level table. A receipt that a row form told of too late stands there while its day is open."""
    at, *rest = ROWS[table]
    return f"""select "{at}", {", ".join(rest)}, "{at}"::date date from of_{table}
        where stood is null or stood < (t // {DAY} + 1) * {DAY} + {2 * HOUR}"""


def grain(table):
    """The columns that tell a table's rows apart."""
    pipeline, window = TABLES[table]
    if window is None:
        return ROWS[table][:-1]
    return ["window_start", "window_end", *PIPELINES[pipeline][1]]


def compute(feeds, reference, out, default_lab="", sla_hours=4.0, tables=TABLES):
    """Writes every table of `tables` below `out` and returns the row counts."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    read_feed(con, feeds, default_lab)
    follow(con, feeds, default_lab, sla_hours, reference)
    local_days(con, reference)
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in tables:
        pipeline, window = TABLES[table]
        query = (row_level(table) if window is None
                 else windowed(con, table, pipeline, window, reference))
        order = ", ".join(f'"{column}" nulls first' for column in grain(table))
        path = out / f"{table}.parquet"
        con.execute(f"copy (select * from ({query}) order by {order}) to '{path}' (format parquet)")
        counts[table], = con.execute(f"select count(*) from '{path}'").fetchone()
    return counts


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("feeds", nargs="+")
    parser.add_argument("--reference", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--default-lab", default="")
    parser.add_argument("--sla-hours", type=float, default=4.0)
    parser.add_argument("--tables", type=lambda text: text.split(","), default=list(TABLES))
    args = parser.parse_args()
    counts = compute(args.feeds, args.reference, args.out, args.default_lab, args.sla_hours, args.tables)
    for table, count in counts.items():
        print(f"{table}: {count} rows")


if __name__ == "__main__":
    main()
