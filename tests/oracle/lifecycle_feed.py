"""A feed for lifecycle.py: NDJSON as the events of one partition, each with the watermark before it.

Reads the fields of docs/events.md, drops repeats, and follows the line of docs/decisions/leaps.md. It knows
of no record that cannot be an event, and of no clock: neither idle partitions nor the live edge.
"""
import datetime
import json

import lifecycle_targets

TIMES = ["event_time", "ordered_at", "collected_at", "received_at", "processed_at"]
LETTERS = {"STAT": "S", "ASAP": "A", "ROUTINE": "R"}
MINUTE = 60_000_000
MAX_LEAP = 15 * MINUTE
IN_A_ROW = 1000  # so many leaps bear one another out
MONTH = 30 * 1440 * MINUTE


class Line:
    """The largest event time of a partition that is borne out."""

    def __init__(self):
        self.at = None
        self.witness = None  # who leapt furthest: who, until when, and whether it was contradicted
        self.row = []        # times of the leaps since the last record that was none

    def see(self, at, who):
        """Takes in the next record."""
        if self.at is not None and at <= self.at + MAX_LEAP:
            self.at = max(self.at, at)
            if at >= self.at - MONTH:
                self.row = []
                if self.witness is not None and self.witness[1] > self.at:
                    self.witness = (*self.witness[:2], True)
            return
        self.row.append(at)
        if self.witness is None or self.witness[1] <= (self.at or at - 1):
            self.witness = (who, at, False)
        elif self.witness[0] == who:
            self.witness = (who, max(at, self.witness[1]), self.witness[2])
        else:
            self.meet(at, who)
        if len(self.row) >= IN_A_ROW:
            self.rise(max(self.row))
            self.row = []

    def meet(self, at, who):
        """Another witness leaps."""
        _, other, doubted = self.witness
        if doubted and abs(at - other) > MAX_LEAP:
            self.witness = (who, at, False)
            return
        self.rise(min(at, other))
        if at > other:
            self.witness = (who, at, False)

    def rise(self, at):
        self.at = at if self.at is None else max(self.at, at)


def events_of(feed, default_lab=None, max_disorder=MINUTE):
    """The events of a feed, in the order of their records."""
    events, seen, line = [], set(), Line()
    with open(feed, encoding="utf-8") as lines:
        for offset, text in enumerate(lines):
            event = {name: value for name, value in json.loads(text).items() if value is not None}
            event.setdefault("event_type", "specimen.snapshot")
            event.setdefault("lab_id", default_lab)
            for name in TIMES:
                if name in event:
                    event[name] = lifecycle_targets.micros(event[name])
            if event["event_type"] == "specimen.snapshot":
                event["event_time"] = event.get("processed_at", event["received_at"])
            priority = event.get("priority", "R").upper()
            event["priority"] = LETTERS.get(priority, priority)
            event["offset"] = offset
            event["watermark_before"] = None if line.at is None else line.at - max_disorder
            line.see(event["event_time"], (event["lab_id"], event.get("machine_id")))
            if event.get("event_id") not in seen:
                events.append(event)
            if "event_id" in event:
                seen.add(event["event_id"])
    return events


def case_of(events, as_of=None):
    """A case for `lifecycle.run`, with the settings of docs/lifecycles.md."""
    last = max((event["event_time"] for event in events), default=0)
    return {"events": events, "end": last if as_of is None else max(last, as_of),
            "abandon_after_us": 7 * 1440 * MINUTE, "keep_finished_us": 48 * 60 * MINUTE}
