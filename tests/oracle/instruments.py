"""Moves of instruments by docs/lifecycles.md and pipelines/lifecycles/instrument.yaml, as a JSON array.

    instruments.py FEED INSTRUMENTS.CSV AS_OF
"""
import csv
import datetime
import json
import sys

import lifecycle_feed
import lifecycle_targets

MINUTE = 60_000_000
MEANS = {
    "PU": "STARTING", "IN": "STARTING", "CO": "STARTING", "ID": "IDLE", "OP": "RUNNING", "CL": "RUNNING",
    "PA": "PAUSED", "PD": "PAUSED", "SS": "PAUSED", "TS": "PAUSED", "MA": "MAINTENANCE",
    "DI": "DIAGNOSE", "ES": "DOWN",
}
NAMES = {
    "OFFLINE": "switch_off", "STARTING": "start", "IDLE": "rest", "RUNNING": "run", "PAUSED": "pause",
    "MAINTENANCE": "maintain", "DIAGNOSE": "diagnose", "DOWN": "fail",
}
HEARD_OF = {"STARTING", "IDLE", "RUNNING", "PAUSED", "PAUSED_LONG", "MAINTENANCE", "DIAGNOSE", "DOWN"}


def moves(told, heartbeat, end):
    """Of one instrument: what it told, in the order of work, as (turn, event time, state, reason)."""
    state, since, heard, rows = None, None, None, []

    def go(name, to, at, reason=None):
        nonlocal state, since
        stayed = None if state is None or at < since else (at - since) / 1e6
        rows.append((name, state, to, stayed, reason, at))
        state, since = to, at

    def pass_time(until):
        while state is not None:
            due = []
            if state == "PAUSED":
                due.append((since + 5 * MINUTE, 0))
            if heartbeat is not None and state in HEARD_OF:
                due.append((heard + 3 * heartbeat, 1))
            if not due or min(due)[0] >= until:
                return
            at, which = min(due)
            go(*[("pause_long", "PAUSED_LONG"), ("fall_silent", "UNKNOWN")][which], at)

    for turn, at, word, reason in told:
        pass_time(turn)
        if state is None or at >= since:
            refused = word == state or (word == "PAUSED" and state == "PAUSED_LONG")
            if not refused:
                go(NAMES[word], word, at, reason)
        heard = at if heard is None else max(heard, at)
    pass_time(end + 1)
    return rows


def instant(micros):
    at = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.timezone.utc)
    part = micros % 1_000_000
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{part:06}".rstrip("0") if part else "") + "Z"


def main(feed, instruments, as_of):
    with open(instruments, encoding="utf-8") as lines:
        beats = {(row["lab_id"], row["machine_id"]): int(float(row["heartbeat_s"]) * 1e6)
                 for row in csv.DictReader(lines) if row["heartbeat_s"]}
    events = lifecycle_feed.events_of(feed)
    end = max(lifecycle_targets.micros(as_of), max(event["event_time"] for event in events))
    told = {}
    for event in events:
        if event["event_type"] != "instrument.state":
            continue
        at, stood = event["event_time"], event["watermark_before"]
        late = stood is not None and at < stood
        order = (stood, 0) if late else (at, 1)
        word = MEANS.get(event["instrument_state"], event["instrument_state"])
        if word in NAMES:
            key = (event["lab_id"], event["machine_id"])
            told.setdefault(key, []).append((order, event["offset"], at, word, event.get("reason")))
    out = []
    for (lab, machine), all_told in sorted(told.items()):
        in_order = [(order[0], at, word, reason) for order, _, at, word, reason in sorted(
            all_told, key=lambda one: one[:2])]
        rows = moves(in_order, beats.get((lab, machine)), end)
        for version, (name, was, to, stayed, reason, at) in enumerate(rows, 1):
            out.append({"lab_id": lab, "machine_id": machine, "version": version, "event": name,
                        "from_state": was, "to_state": to, "seconds_in_state": stayed,
                        "reason": reason, "at": instant(at)})
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
