"""The rows of lifecycle.py and critical.py as tables of DuckDB: one per relation, named `of_<relation>`.

Beside the relation's columns each has `t`, its event time in microseconds; `record`, the offset of the event
that told of it, null where time did; and `stood`: of a receipt that a row form told of too late, which no window
counts, the watermark before the row; else null.
"""
import json
import pathlib
import tempfile

import critical
import lifecycle
import lifecycle_feed
import lifecycle_targets

TEXT, TIME, NUMBER, WHOLE, TRUTH = "VARCHAR", "TIMESTAMPTZ", "DOUBLE", "BIGINT", "BOOLEAN"
HEAD = dict.fromkeys(["lab_id", "specimen_id", "assay", "priority", "patient_class", "location"], TEXT)
TARGET = {"target_source": TEXT, "target_version": TEXT}
# The last instant of 64 bits, of a deadline without end, is infinity to DuckDB.
INSTANT = f"""case when "{{0}}" = {lifecycle_targets.LONGEST} then 'infinity'::timestamptz
    else make_timestamptz("{{0}}") end"""

# Each relation with its event time and its columns.
RELATIONS = {
    "transitions": ("at", {
        "from_state": TEXT, "to_state": TEXT, "seconds_in_state": NUMBER, "machine_id": TEXT,
        "operator_id": TEXT, "error_code": TEXT, "reject_reason": TEXT, "at": TIME, "implied": TRUTH}),
    "completions": ("completed_at", {
        "ordered_at": TIME, "collected_at": TIME, "received_at": TIME, "resulted_at": TIME,
        "completed_at": TIME, "tat_us": WHOLE, "tat_minutes": NUMBER,
        "order_to_collect_minutes": NUMBER, "collect_to_receive_minutes": NUMBER,
        "receive_to_result_minutes": NUMBER, "result_to_verify_minutes": NUMBER, "total_minutes": NUMBER,
        "target_minutes": NUMBER, "within_target": TRUTH, "machine_id": TEXT, "operator_id": TEXT,
        "auto_verified": TRUTH, "delta_flag": TRUTH, "repeats": WHOLE, "clock_start_at": TIME,
        "add_on": TRUTH, "due_at": TIME, "tat_working_minutes": NUMBER, **TARGET, "clock": TEXT}),
    "due": ("at", {
        "kind": TEXT, "due_at": TIME, "target_minutes": NUMBER, "outcome": TEXT, "state": TEXT,
        "phase": TEXT, "at": TIME, **TARGET}),
    "deadlines": ("at", {
        "kind": TEXT, "stage": TEXT, "due_at": TIME, "target_minutes": NUMBER, "state": TEXT, "machine_id": TEXT,
        "at": TIME}),
    "rejections": ("rejected_at", {
        "reject_reason": TEXT, "phase": TEXT, "machine_id": TEXT, "tests": WHOLE, "rejected_at": TIME}),
    "errors": ("at", {
        "machine_id": TEXT, "operator_id": TEXT, "error_code": TEXT, "received_at": TIME,
        "minutes_since_receipt": NUMBER, "at": TIME}),
    "restatements": ("at", {"kind": TEXT, "was": TEXT, "is": TEXT, "at": TIME}),
    "refused": ("noticed_at", {
        "reason": TEXT, "state": TEXT, "word": TEXT, "allowed": TEXT, "noticed_at": TIME}),
    "backdated": ("noticed_at", {"to_state": TEXT, "at": TIME, "noticed_at": TIME}),
    "critical_results": ("judged_at", {
        "critical_id": TEXT, "flag": TEXT, "flagged_at": TIME, "clock_start_at": TIME, "due_at": TIME,
        "target_minutes": NUMBER, **TARGET, "notified_at": TIME, "acknowledged_at": TIME,
        "minutes_to_notify": NUMBER, "minutes_to_acknowledge": NUMBER, "handled_within": TRUTH,
        "before_flag": TRUTH, "attempts": WHOLE, "read_back": TRUTH, "channel": TEXT,
        "notified_to_role": TEXT, "outcome": TEXT, "exempt": TEXT, "judged_at": TIME}),
    "critical_deadlines": ("at", {
        "critical_id": TEXT, "stage": TEXT, "due_at": TIME, "target_minutes": NUMBER, "state": TEXT,
        "at": TIME}),
}


def rows_of(feed, reference, max_disorder=lifecycle_feed.MINUTE, as_of=None, default_lab=None,
            default_minutes=lifecycle_targets.DEFAULT_MINUTES):
    """All rows that the tests and critical results of a feed give."""
    events = lifecycle_feed.events_of(feed, default_lab, max_disorder)
    targets = lifecycle_targets.Reference(reference, default_minutes)
    case = {**lifecycle_feed.case_of(events, as_of), "holds_us": lifecycle_targets.holds(reference)}
    return lifecycle.run(case, targets)["rows"] + critical.of_feed(case, pathlib.Path(reference))


def load(con, rows):
    """Makes the tables."""
    with tempfile.TemporaryDirectory() as folder:
        for relation, (event_time, own) in RELATIONS.items():
            path = pathlib.Path(folder, f"{relation}.ndjson")
            with open(path, "w", encoding="utf-8") as lines:
                of_it = (row for row in rows if row["relation"] == relation)
                lines.writelines(json.dumps(shown(row, event_time)) + "\n" for row in of_it)
            columns = {**HEAD, **own}
            read = {name: WHOLE if kind == TIME else kind for name, kind in columns.items()}
            read = {"t": WHOLE, "record": WHOLE, "stood": WHOLE, **read}
            declared = ", ".join(f"'{name}': '{kind}'" for name, kind in read.items())
            picked = ", ".join(f'{INSTANT.format(name)} "{name}"' if kind == TIME else f'"{name}"'
                               for name, kind in columns.items())
            con.execute(f"""create table of_{relation} as select t, record, stood, {picked} from
                read_json('{path}', format = 'newline_delimited', columns = {{{declared}}})""")


def shown(row, event_time):
    """A row with what the tables have beside; a list as SQL has it."""
    row = {"t": row[event_time], "record": row["offset"], "stood": None, **row}
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in row.items()}
