"""What becomes of critical results, by docs/lifecycles.md and pipelines/lifecycles/critical.yaml: a second time.

    critical.py < CASES.json > RESULTS.json      a case: events, end, targets, keep_finished_us
    critical.py --random SEED COUNT > CASES.json

An event has at, offset, watermark_before, lab_id, specimen_id, assay, critical_id and what calls say. A result
lists the rows of `critical_results` and `critical_deadlines`, moves and refusals, sorted; each with the offset of
the event that told of it, null where time did. `of_feed` gives the rows of a feed for other oracles.
"""
import csv
import json
import random
import sys

import lifecycle_targets

MINUTE = 60_000_000
HOUR = 60 * MINUTE
WEEK = 7 * 24 * HOUR
WORDS = {"result.critical": "flag", "critical.notified": "notify", "critical.acknowledged": "acknowledge"}
OVER = {"ACKNOWLEDGED", "ACKNOWLEDGED_LATE", "EXEMPT", "ABANDONED"}
OPEN = {"FLAGGED", "NOTIFIED"}
KEY = ("lab_id", "specimen_id", "assay", "critical_id")
ALL = (*KEY, "priority", "patient_class", "location")


def target_of(targets, event):
    """Minutes and from when they count: of the rows that fit, the one that names most, lab before assay
    before class; of its versions the latest that is valid."""
    best = None
    for number, row in enumerate(targets):
        names = [row.get(name) for name in ("lab_id", "assay", "patient_class")]
        asked = [event.get(name) for name in ("lab_id", "assay", "patient_class")]
        valid = row.get("valid_from")
        if any(name is not None and name != of for name, of in zip(names, asked)):
            continue
        if valid is not None and valid > event["at"]:
            continue
        named = [name is not None for name in names]
        rank = (sum(named), named, -1 if valid is None else valid, number)
        if best is None or rank > best[0]:
            best = (rank, row)
    if best is None:
        return 30.0, "flagged", "default", ""
    row = best[1]
    minutes = row.get("minutes")
    return (minutes if minutes and minutes > 0 else None), row.get("from", "flagged"), "reference", \
        row.get("valid_from_text", "")


class Result:
    """One critical result."""

    def __init__(self, key, out):
        self.key, self.out = key, out
        self.state, self.since, self.version = None, None, 0
        self.flag = None      # the event that flagged it
        self.calls, self.answers = [], []
        self.attempts, self.read_back = 0, None
        self.channel = self.role = None
        self.start = self.target = None
        self.reminded = self.breached = self.closed = False
        self.by = None        # the event in hand
        self.turn = None      # when it was worked on

    # What time brings.

    def next(self):
        """The time and kind of what comes next."""
        times = []
        if self.state in OPEN and self.target is not None:
            if not self.reminded:
                times.append((self.start + self.target // 2, 0, "reminder"))
            times.append((self.start + self.target, 1, "breach"))
        if self.state in OPEN | {"CALLED", "BREACHED"}:
            times.append((self.since + WEEK, 2, "abandon"))
        return min(times) if times else None

    def pass_time(self, until, by=None):
        """Everything before an instant."""
        self.by = by
        while (due := self.next()) is not None and due[0] < until:
            at = due[0] if self.flag is None else max(due[0], self.flag["at"])
            if due[2] == "reminder":
                self.reminded = True
                self.deadline("reminder", at)
            elif due[2] == "breach":
                self.go("BREACHED", "breach", at)
                self.breached = True
                self.deadline("breached", at)
                self.row("overdue", at)
            else:
                self.go("ABANDONED", "abandon", at)
                if self.breached:
                    self.deadline("ended", at)
                elif self.flag is not None:
                    self.end("abandoned", at)

    # What events bring.

    def apply(self, event):
        """One event; what became of it."""
        word, self.by = WORDS[event["event_type"]], event["offset"]
        if self.closed:
            return "repeated"
        if self.state == "ABANDONED":
            return self.refuse(event, word)
        return self.flagged(event) if word == "flag" else self.told(event, word)

    def flagged(self, event):
        if self.flag is not None:
            return "repeated"
        at = event["at"]
        self.flag = event
        minutes, since, self.source, self.valid = target_of(self.targets, event)
        self.target = None if minutes is None else round(minutes * MINUTE)
        resulted = event.get("processed_at")
        self.start = at if since == "flagged" or resulted is None else min(resulted, at)
        held = sorted([(time, 0) for time in self.calls[:1]] + [(time, 1) for time in self.answers[:1]])
        before = [one for one in held if one[0] <= at]
        # What was told before its flag and done after it has not been done yet.
        self.state = "CALLED" if before else None
        why = ("repeat" if event.get("repeat_no", 0) > 0 else "referred" if event.get("referred_from") else
               "discharged" if (event.get("patient_class") or "").lower() == "discharged" else None)
        if why:
            self.go("EXEMPT", why, at)
            self.end("exempt", at, why)
        elif before:
            self.go("ACKNOWLEDGED", "flag_called", at)
            self.end("handled", at)
        else:
            self.go("FLAGGED", "flag", at)
            for time, which in held:
                self.pass_time(time, event["offset"])
                self.done(time, "acknowledge" if which else "notify")
        return "moved"

    def told(self, event, word):
        at = event["at"]
        self.channel = self.channel or event.get("channel")
        self.role = self.role or event.get("notified_to_role")
        if word == "acknowledge" and event.get("read_back") is not None:
            self.read_back = bool(self.read_back) or event["read_back"]
        if word == "acknowledge" and event.get("read_back") is False:
            return "repeated"
        if word == "notify" and event.get("outcome") == "unreachable":
            self.attempts += 1
            return "repeated"
        mine = self.answers if word == "acknowledge" else self.calls
        mine.append(at)
        mine.sort()
        if self.flag is None:
            if self.state is None:
                self.go("CALLED", "call_first", at)
                return "moved"
            return "repeated"
        if at <= self.flag["at"]:
            at = self.flag["at"]
            self.go("ACKNOWLEDGED", "flag_called", at)
            self.end("overturned" if self.breached and self.target is not None else "handled", at)
            return "moved"
        return self.done(at, word)

    def done(self, at, word):
        """A call or an answer of what is flagged."""
        if word == "notify":
            if self.state != "FLAGGED":
                return "repeated"
            self.go("NOTIFIED", "notify", at)
            return "moved"
        if not self.breached:
            if self.state not in OPEN:
                return "repeated"
            self.go("ACKNOWLEDGED", "acknowledge", at)
            self.end("handled", at)
        elif at <= self.start + self.target:
            self.go("ACKNOWLEDGED", "acknowledge", at)
            self.end("overturned", at)
        else:
            self.go("ACKNOWLEDGED_LATE", "acknowledge_late", at)
            self.end("handled_late", at)
        return "moved"

    # What is told.

    def tell(self, row):
        self.out.append({**row, "offset": self.by})

    def go(self, to, name, at):
        stayed = None if self.state is None or at < self.since else (at - self.since) / 1e6
        self.version += 1
        self.tell({"relation": "critical", **self.key, "from_state": self.state, "to_state": to,
                         "event": name, "seconds_in_state": stayed, "version": self.version, "at": at})
        if to != self.state:
            self.since = at
        self.state = to

    def refuse(self, event, word):
        self.tell({"relation": "refused", **self.key, "reason": "not_allowed", "state": self.state,
                         "word": word, "noticed_at": max(event["at"], event["watermark_before"] or 0)})
        return "refused"

    def head(self):
        due = None if self.target is None else self.start + self.target
        of_flag = {name: self.flag.get(name) for name in ("priority", "patient_class", "location")}
        minutes = None if self.target is None else self.target / MINUTE
        return {**self.key, **of_flag, "due_at": due, "target_minutes": minutes}

    def deadline(self, stage, at):
        self.tell({"relation": "critical_deadlines", **self.head(), "stage": stage, "state": self.state,
                   "at": max(at, self.turn)})

    def end(self, outcome, at, why=None):
        if self.reminded or self.breached:
            self.deadline("ended", at)
        self.row(outcome, at, why)
        self.closed = outcome != "abandoned"

    def row(self, outcome, at, why=None):
        flagged = self.flag["at"]
        first = lambda times: times[0] if times else None
        took = lambda at: None if at is None else 0.0 if at <= flagged else (at - self.start) / MINUTE
        call, answer = first(self.calls), first(self.answers)
        within = {"handled": None if self.target is None else True, "overturned": True, "overdue": False,
                  "handled_late": False}.get(outcome)
        self.tell({
            "relation": "critical_results", **self.head(), "flag": self.flag.get("flag"),
            "flagged_at": flagged, "clock_start_at": self.start, "target_source": self.source,
            "target_version": self.valid, "notified_at": call, "acknowledged_at": answer,
            "minutes_to_notify": took(call), "minutes_to_acknowledge": took(answer),
            "handled_within": within,
            "before_flag": any(at is not None and at <= flagged for at in (call, answer)),
            "attempts": self.attempts, "read_back": self.read_back, "channel": self.channel,
            "notified_to_role": self.role, "outcome": outcome, "exempt": why,
            "judged_at": max(at, self.turn)})


def run(case):
    """The rows of a case."""
    out, results, fates = [], {}, {"moved": 0, "repeated": 0, "refused": 0}
    turns = []
    for event in case["events"]:
        stood = event["watermark_before"]
        late = stood is not None and event["at"] < stood
        turns.append((stood if late else event["at"], not late, event["offset"], event))
    keep = case["keep_finished_us"]
    for turn, _, _, event in sorted(turns, key=lambda turn: turn[:3]):
        key = tuple(event.get(name) for name in KEY)
        result = results.get(key)
        if result is not None:
            result.pass_time(turn)
            left = result.state in OVER or result.state is None
            if left and (result.since + keep) // HOUR < turn // HOUR:
                result = None
        if result is None:
            result = results[key] = Result(dict(zip(KEY, key)), out)
            result.targets, result.since = case["targets"], event["at"]
        result.turn = turn
        fates[result.apply(event)] += 1
        if result.state is None and not result.attempts and result.read_back is None:
            del results[key]
    for result in results.values():
        result.pass_time(case["end"] + 1)
    return {"rows": sorted(out, key=lambda row: json.dumps(row, sort_keys=True)), "fates": fates}


def of_feed(case, reference):
    """The rows of a feed, which is a case of lifecycle.py, by `critical_targets.csv`."""
    path = reference / "critical_targets.csv"
    targets = []
    if path.exists():
        with open(path, encoding="utf-8", newline="") as lines:
            rows = [{name: text for name, text in row.items() if text} for row in csv.DictReader(lines)]
        for row in rows:
            valid = row.get("valid_from")
            row["minutes"] = float(row["minutes"]) if "minutes" in row else None
            row["valid_from"] = None if valid is None else lifecycle_targets.micros(valid)
            row["valid_from_text"] = valid or ""
            targets.append(row)
    events = [{**event, "at": event["event_time"]} for event in case["events"] if event["event_type"] in WORDS]
    keep = case["keep_finished_us"]
    rows = run({"events": events, "end": case["end"], "targets": targets, "keep_finished_us": keep})["rows"]
    return [row for row in rows if row["relation"].startswith("critical_")]


def chance(seed, number):
    """A case: a few results whose flags, calls and answers come in any order, some late, some twice."""
    dice = random.Random(f"{seed}/{number}")
    base = 1_772_323_200_000_000
    told = []
    for one in range(dice.randint(1, 4)):
        flagged = base + dice.randint(0, 240) * MINUTE
        key = {"lab_id": dice.choice(["north", "west"]), "specimen_id": f"S{one}", "assay": dice.choice(["K", "NA"]),
               "critical_id": dice.choice([None, f"C{one}"])}
        klass = dice.choice([None, "ED", "GP", "discharged"] if dice.random() < 0.5 else [None, "ED", "GP"])
        for _ in range(dice.choice([0, 1, 1, 1, 1, 2])):
            flag = {"event_type": "result.critical", "at": flagged + dice.choice([0, 0, 0, 5]) * MINUTE,
                    "patient_class": klass, "flag": dice.choice(["HH", "LL"]), "priority": "S"}
            if dice.random() < 0.3:
                flag["processed_at"] = flag["at"] - dice.randint(-2, 50) * MINUTE
            if dice.random() < 0.07:
                flag["repeat_no"] = 1
            if dice.random() < 0.07:
                flag["referred_from"] = "elsewhere"
            told.append((flag, key))
        for _ in range(dice.choice([0, 1, 1, 2, 3])):
            call = {"event_type": "critical.notified", "at": flagged + dice.randint(-20, 70) * MINUTE,
                    "notified_to_role": dice.choice([None, "nurse", "physician"]),
                    "channel": dice.choice([None, "phone", "electronic"])}
            if dice.random() < 0.4:
                call["outcome"] = dice.choice(["unreachable", "reached"])
            told.append((call, key))
        for _ in range(dice.choice([0, 1, 1, 1, 2])):
            after = dice.choice([dice.randint(-20, 90), dice.randint(-20, 90), dice.randint(10_000, 14_000)])
            answer = {"event_type": "critical.acknowledged", "at": flagged + after * MINUTE}
            if dice.random() < 0.6:
                answer["read_back"] = dice.random() < 0.7
            told.append((answer, key))
    arrivals = sorted(told, key=lambda one: one[0]["at"] + (dice.randint(5, 60) * MINUTE if dice.random() < 0.25 else 0))
    events, stood = [], None
    for offset, (event, key) in enumerate(arrivals):
        events.append({**event, **key, "offset": offset, "watermark_before": stood})
        stood = max(stood or 0, event["at"] - 2 * MINUTE)
    targets = [{"minutes": 30, "from": dice.choice(["flagged", "resulted"])}]
    if dice.random() < 0.6:
        targets.append({"patient_class": "GP", "minutes": dice.choice([60, 0])})
    if dice.random() < 0.4:
        targets.append({"lab_id": "north", "assay": "K", "minutes": 12.5,
                        "valid_from": base + 60 * MINUTE, "valid_from_text": "2026-03-01T01:00:00Z"})
    if dice.random() < 0.1:
        targets = []
    last = max((event["at"] for event in events), default=base)
    return {"events": events, "end": last + dice.choice([0, 20, 12_000]) * MINUTE, "targets": targets,
            "keep_finished_us": dice.choice([48, 2]) * HOUR}


def main():
    """The command line."""
    if sys.argv[1:2] == ["--random"]:
        seed, count = sys.argv[2:]
        json.dump([chance(seed, number) for number in range(int(count))], sys.stdout)
    else:
        json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
