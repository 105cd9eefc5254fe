"""Cases at chance for the test's state machine (lifecycle.py --random SEED N): the same seed, the same cases.
With SEED LABS FEED.ndjson as arguments writes the paths of so many laboratories as one feed, with more columns.

A case holds the tests of one to three tubes. Each follows a plausible path from which words are dropped,
into which others are put, and of which some come twice; its words come as transitions, as rows, or mixed.
Most records come within the two minutes of the watermark, some much later. Times fall often on whole
minutes, so that events meet deadlines and one another.
"""
import datetime
import json
import random
import sys

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_772_431_200 * SECOND  # 2026-03-02T06:00:00Z
DISORDER = 2 * MINUTE

PATHS = [
    "ORDERED COLLECTED IN_TRANSIT RECEIVED IN_PROCESS RESULTED VERIFIED PUBLISHED STORED DISPOSED",
    "RECEIVED IN_PROCESS RESULTED VERIFIED PUBLISHED",
    "RECEIVED IN_PROCESS VERIFIED",
    "RECEIVED VERIFIED",
    "VERIFIED",
    "RECEIVED IN_PROCESS RESULTED repeat RESULTED VERIFIED",
    "RECEIVED IN_PROCESS RESULTED IN_PROCESS RESULTED VERIFIED",
    "RECEIVED IN_PROCESS RESULTED VERIFIED INVALIDATED IN_PROCESS RESULTED VERIFIED PUBLISHED",
    "RECEIVED IN_PROCESS RESULTED VERIFIED PUBLISHED correct correct STORED",
    "COLLECTED RECEIVED REJECTED",
    "RECEIVED IN_PROCESS REJECTED",
    "RECEIVED IN_PROCESS ERROR IN_PROCESS RESULTED VERIFIED",
    "RECEIVED ERROR VERIFIED",
    "ERROR",
    "REJECTED",
    "ORDERED CANCELLED RECEIVED IN_PROCESS VERIFIED",
    "RECEIVED CANCELLED",
    "RECEIVED REFERRED RESULTED VERIFIED",
    "ORDERED RECEIVED IN_PROCESS LOST",
    "IN_PROCESS RESULTED",
    "RECEIVED",
]
TUBE_PATHS = [
    "COLLECTED IN_TRANSIT RECEIVED", "COLLECTED RECEIVED", "RECEIVED", "RECEIVED", "", "",
    "RECEIVED REJECTED", "RECEIVED LOST", "RECEIVED STORED DISPOSED", "REJECTED",
]
TUBE_WORDS = ["COLLECTED", "IN_TRANSIT", "RECEIVED", "REJECTED", "STORED", "DISPOSED", "LOST"]
WORDS = ["ORDERED", *TUBE_WORDS, "IN_PROCESS", "RESULTED", "VERIFIED", "PUBLISHED", "ERROR", "CANCELLED",
         "INVALIDATED", "REFERRED", "repeat", "correct"]
STATUS = {"RECEIVED": "RECEIVED", "IN_PROCESS": "IN_PROCESS", "VERIFIED": "COMPLETED", "ERROR": "ERROR",
          "REJECTED": "REJECTED", "CANCELLED": "CANCELLED"}
RESULTS = {"repeat": "result.repeat", "correct": "result.corrected"}


def cases(seed, count):
    chance = random.Random(seed)
    return [case(chance) for _ in range(count)]


def case(chance):
    events = []
    for lab in ["north", "south"][:chance.choice([1, 1, 2])]:
        for number in range(chance.choice([1, 1, 2, 3])):
            # Two labs may use the same specimen_id.
            events += tube(chance, lab, f"T{number}")
    events.sort(key=lambda event: event["event_time"] + delay(chance))
    line = None
    for offset, event in enumerate(events):
        event["offset"], event["watermark_before"] = offset, line
        line = max(event["event_time"] - DISORDER, event["event_time"] - DISORDER if line is None else line)
        event["watermark_after"] = line
    last = max(event["event_time"] for event in events)
    return {
        "events": events,
        "end": last + chance.choice([0, 0, 4 * HOUR, 8 * DAY]),
        "targets": {"default_minutes": chance.choice([240, 240, 90]),
                    "by_priority": chance.choice([{"S": 60}, {"S": 60}, {"S": 60, "A": 120}, {}])},
        "at_risk_share": 0.8,
        "abandon_after_us": chance.choice([7 * DAY, 7 * DAY, 7 * DAY, DAY, 2 * HOUR]),
        "holds_us": chance.choice([{}, {"K": 30 * MINUTE}, {"K": 2 * HOUR, "Na": 10 * MINUTE}]),
    }


def delay(chance):
    """How long after its time a record comes."""
    if chance.random() < 0.85:
        return chance.randrange(90) * SECOND
    return chance.choice([chance.randrange(2, 30) * MINUTE, chance.randrange(1, 300) * MINUTE])


def pause(chance):
    """The time between two words of a path."""
    kind = chance.random()
    if kind < 0.15:
        return 0
    if kind < 0.3:
        return chance.randrange(1, 60 * SECOND)
    if kind < 0.65:
        return chance.randrange(1, 31) * MINUTE
    if kind < 0.85:
        return chance.choice([30, 60, 90, 120, 240]) * MINUTE
    if kind < 0.97:
        return chance.randrange(1, 6 * HOUR)
    return chance.randrange(1, 9) * DAY


def tube(chance, lab, specimen):
    start = START + chance.randrange(8 * 60) * MINUTE
    received_at = start + chance.choice([0, 0, chance.randrange(60) * MINUTE])
    rows = chance.choice([0.0, 0.0, 0.5, 1.0])
    assays = ["K", "Na", "Cl"][:chance.randrange(4)]
    paths = [(None, chance.choice(TUBE_PATHS))] if assays else [(None, chance.choice(TUBE_PATHS[:4]))]
    paths += [(assay, chance.choice(PATHS)) for assay in assays]
    events = []
    for assay, path in paths:
        at = start + (pause(chance) if assay and chance.random() < 0.7 else 0)
        for word in disturbed(chance, path.split(), TUBE_WORDS if assay is None else WORDS):
            events.append(event(chance, lab, specimen, assay, word, at, received_at, rows))
            at += pause(chance)
    return events or [event(chance, lab, specimen, None, "RECEIVED", start, received_at, rows)]


def disturbed(chance, path, words):
    """A path with words left out, put in and said twice."""
    for word in path:
        kind = chance.random()
        if kind < 0.12:
            continue
        if kind < 0.2:
            yield chance.choice(words)
        yield word
        if kind > 0.92:
            yield word


def event(chance, lab, specimen, assay, word, at, received_at, rows):
    made = {"lab_id": lab, "specimen_id": specimen}
    if assay is not None:
        made["assay"] = assay
    if word in STATUS and chance.random() < rows:
        made |= as_row(chance, word, at, received_at)
    elif word in RESULTS:
        made |= {"event_type": RESULTS[word], "event_time": at}
    elif word == "ORDERED" and assay is not None and chance.random() < 0.8:
        made |= {"event_type": "order.created", "event_time": at}
    else:
        made |= {"event_type": "specimen.transition", "event_time": at, "to_state": word}
    if chance.random() < 0.2:
        made["priority"] = chance.choice(["S", "S", "A", "R"])
    if chance.random() < 0.1:
        made["ordered_at"] = at - chance.choice([0, 1, -1]) * chance.randrange(120) * MINUTE
    if chance.random() < 0.1:
        made["collected_at"] = at - chance.randrange(120) * MINUTE
    if word == "ERROR":
        made["error_code"] = chance.choice(["E01", "E02"])
    if word == "REJECTED":
        made["reject_reason"] = chance.choice(["RH", "RC", "ZW"])
    return made


def as_row(chance, word, at, received_at):
    """A row's event time is when it was processed, or, of some that say RECEIVED, when it was received."""
    made = {"event_type": "specimen.snapshot", "status": STATUS[word]}
    if word == "RECEIVED" and chance.random() < 0.7:
        return {**made, "event_time": at, "received_at": at}
    if chance.random() < 0.1:
        received_at += chance.randrange(-10, 11) * MINUTE
    elif chance.random() < 0.1:
        received_at = at - chance.randrange(12 * 60) * MINUTE
    # One in a hundred was processed before it was received.
    if chance.random() > 0.01:
        received_at = min(received_at, at)
    return {**made, "event_time": at, "received_at": received_at, "processed_at": at}


def feed(seed, labs):
    """Events of many laboratories, in the order of their records; none is a minute out of order."""
    chance = random.Random(seed)
    events = []
    for lab in range(labs):
        for number in range(chance.choice([1, 1, 2, 3])):
            for one in tube(chance, f"lab-{lab}", f"T{number}"):
                told(chance, one)
                events.append(one)
    return sorted(events, key=lambda one: one["event_time"] + chance.randrange(55) * SECOND)


def told(chance, event):
    """Adds what an event may tell beside its word and times."""
    for share, name, values in [
            (0.5, "machine_id", ["M1", "M2"]), (0.3, "operator_id", ["O1", "O2"]),
            (0.4, "patient_class", ["ED", "GP", "outpatient"]), (0.3, "location", ["ward 1", "ward 2"]),
            (0.05, "profile_tat_min", [0, 30, 45.5, 90, -5]), (0.1, "repeat_no", [0, 1, 2]),
            (0.2, "auto_verified", [True, False]), (0.1, "delta_flag", [True, False])]:
        if chance.random() < share:
            event[name] = chance.choice(values)
    if event.get("event_type") == "specimen.transition":
        for name in ("processed_at", "received_at"):
            if chance.random() < 0.1:
                event[name] = event["event_time"] - chance.randrange(200) * MINUTE


def as_text(event):
    """An event as a line."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    times = {name: (epoch + datetime.timedelta(microseconds=value)).isoformat() for name, value in event.items()
             if name.endswith("_at") or name == "event_time"}
    return json.dumps({**event, **times})


if __name__ == "__main__":
    with open(sys.argv[3], "w", encoding="utf-8") as out:
        out.writelines(as_text(one) + "\n" for one in feed(int(sys.argv[1]), int(sys.argv[2])))
