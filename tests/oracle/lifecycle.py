"""The test's state machine, made a second time from docs/lifecycles.md: naive, and independent of the product.

python lifecycle.py < CASES > RESULTS       a JSON array of cases in, a JSON array of results out
python lifecycle.py --check CASE.json …     compares with the rows written by hand; exits 1 on a difference
python lifecycle.py --random SEED N         prints N cases at chance (lifecycle_chance.py)

A case is one partition: `events` in the order of their records (the fields of docs/events.md, with times
as integers in microseconds, and `offset`, `watermark_before`), `end` (timers up to and including it fire),
`targets`, `abandon_after_us`. A result is `rows`, in the order in which they are made, and `counts`.

Nothing is forgotten here, repeats of an `event_id` have been dropped before, and calendars, profiles and
the other machines are left out. Where the page leaves a choice, a comment begins with "Choice:".
"""
import json
import sys

MINUTE = 60_000_000
LINE = ["ORDERED", "COLLECTED", "IN_TRANSIT", "RECEIVED", "IN_PROCESS",
        "RESULTED", "VERIFIED", "PUBLISHED", "STORED", "DISPOSED"]
BEFORE_RECEIPT = LINE[:3]
COMPLETE = LINE[6:]
# word, states from which it is allowed, state to which it leads
BESIDE = [
    ("REJECTED", ["COLLECTED", "IN_TRANSIT", "RECEIVED", "IN_PROCESS", "ERROR"], "REJECTED"),
    ("CANCELLED", ["ORDERED", "COLLECTED", "RECEIVED"], "CANCELLED"),
    ("RECEIVED", ["CANCELLED"], "RECEIVED"),
    ("ERROR", ["RECEIVED", "IN_PROCESS"], "ERROR"),
    ("IN_PROCESS", ["ERROR", "RESULTED", "INVALIDATED"], "IN_PROCESS"),
    ("repeat", ["RESULTED"], "IN_PROCESS"),
    ("INVALIDATED", ["VERIFIED", "PUBLISHED"], "INVALIDATED"),
    ("correct", ["PUBLISHED"], "PUBLISHED"),
    ("REFERRED", ["RECEIVED"], "REFERRED"),
    ("RESULTED", ["REFERRED"], "RESULTED"),
    ("LOST", ["ORDERED", "COLLECTED", "IN_TRANSIT", "RECEIVED", "IN_PROCESS", "RESULTED", "ERROR",
              "REFERRED", "INVALIDATED"], "LOST"),
]
FINISHED = [*COMPLETE, "REJECTED", "CANCELLED", "LOST", "ABANDONED"]
LEADS_TO = {"repeat": "IN_PROCESS", "correct": "PUBLISHED"}
# A first word that tells of an earlier verification: the first VERIFIED was before our time.
AFTER_VERIFICATION = [*COMPLETE, "INVALIDATED", "correct"]
PHASES = {"ORDERED": "waiting", "COLLECTED": "waiting", "IN_TRANSIT": "waiting", "RECEIVED": "waiting",
          "IN_PROCESS": "analytical", "ERROR": "analytical", "REFERRED": "analytical",
          "RESULTED": "verification", "LOST": "lost"}
RANKS = {"R": 0, "A": 1, "S": 2}
PRIORITIES = {"STAT": "S", "ASAP": "A", "ROUTINE": "R"}


def is_row(event):
    return event.get("event_type", "specimen.snapshot") == "specimen.snapshot"


def word_of(event):
    """What the event says of its tests; None where it is not for this machine."""
    kind = event.get("event_type", "specimen.snapshot")
    if kind == "specimen.snapshot":
        status = event.get("status")
        return "VERIFIED" if status == "COMPLETED" else status
    if kind == "specimen.transition":
        return event["to_state"]
    return {"order.created": "ORDERED", "result.repeat": "repeat", "result.corrected": "correct"}.get(kind)


def time_of(event):
    """The event's own time: of a row that has none, when it was processed, else received."""
    for field in ("event_time", "processed_at", "received_at"):
        if event.get(field) is not None:
            return event[field]
    raise ValueError(f"an event without a time: {event}")


def priority_of(event):
    said = event.get("priority") or "R"
    return PRIORITIES.get(said, said)


def receipt_told(event):
    """When the tube was received, if the event tells: a receipt's own time, else the column received_at."""
    if is_row(event) and event.get("received_at") is not None:
        return event["received_at"]
    return time_of(event) if word_of(event) == "RECEIVED" else event.get("received_at")


def collection_told(event):
    if event.get("collected_at") is not None:
        return event["collected_at"]
    return time_of(event) if word_of(event) == "COLLECTED" else None


def order_told(event):
    if event.get("ordered_at") is not None:
        return event["ordered_at"]
    return time_of(event) if word_of(event) == "ORDERED" else None


def allowed(test):
    """The words that may come in the test's state, each with the state to which it leads."""
    state = test["state"]
    if test["final"]:
        return {}
    words = {}
    if state in LINE:
        words = {later: later for later in LINE[LINE.index(state) + 1:]}
    for word, from_states, to_state in BESIDE:
        if state in from_states:
            words[word] = to_state
    return words


class Machine:
    """All tests of one partition, and the rows that they gave."""

    def __init__(self, case):
        self.targets = case.get("targets", {})
        self.abandon_after = case["abandon_after_us"]
        self.tubes = {}  # (lab, specimen) -> its times, and its tests in the order in which they were made
        self.tests = []  # of all tubes, in the order in which they were made
        self.rows = []
        self.counts = dict.fromkeys(
            ["addressed", "transitions", "implied", "refused", "repeated", "skipped"], 0)

    def row(self, relation, test, **columns):
        key = {name: test[name] for name in ("lab_id", "specimen_id", "assay", "priority")}
        self.rows.append({"relation": relation, **key, **columns})

    # Which tests an event addresses

    def tube_of(self, event):
        key = (event["lab_id"], event["specimen_id"])
        return self.tubes.setdefault(key, {"collected_at": None, "received_at": None, "tests": []})

    def new_test(self, event, tube):
        test = {
            "lab_id": event["lab_id"], "specimen_id": event["specimen_id"], "assay": event.get("assay"),
            "priority": "R",
            "state": None, "final": False, "since": None,
            "first_at": None,    # of its first event
            "applied_at": None,  # of the last event applied to it
            "ordered_at": None, "collected_at": tube["collected_at"], "received_at": tube["received_at"],
            "resulted_at": None, "completed_at": None,
            "clock_start_at": None, "target_minutes": None, "due_at": None,
            "due": None,         # None before its time has come, then on_time, breached or none
            "risen_at": None,    # when the priority rose after the receipt
            "verified_before": False,  # before its first event
        }
        tube["tests"].append(test)
        self.tests.append(test)
        return test

    def addressed(self, event, tube):
        assay = event.get("assay")
        if assay is None:
            return list(tube["tests"]) or [self.new_test(event, tube)]
        for test in tube["tests"]:
            if test["assay"] == assay:
                return [test]
        for test in tube["tests"]:
            if test["assay"] is None:
                test["assay"] = assay
                return [test]
        return [self.new_test(event, tube)]

    # What becomes of an event

    def apply(self, event):
        if word_of(event) is None:
            return
        tube = self.tube_of(event)
        outcomes, rejected = [], []
        for test in self.addressed(event, tube):
            self.counts["addressed"] += 1
            was = test["state"]
            outcome = self.apply_to(test, event)
            self.counts[outcome] += 1
            outcomes.append(outcome)
            if outcome == "transitions" and test["state"] == "REJECTED":
                # Choice: an implied receipt is the state from which a row rejects.
                analytical = was in ("IN_PROCESS", "ERROR")
                rejected.append((test, analytical))
        if rejected:
            self.reject(event, rejected)
        # Choice: the tube's times are those of events without an assay, unless all its tests refuse them.
        if event.get("assay") is None and set(outcomes) != {"refused"}:
            for name, told in [("collected_at", collection_told(event)), ("received_at", receipt_told(event))]:
                if tube[name] is None:
                    tube[name] = told

    def reject(self, event, rejected):
        """One row for the tube. Choice: its priority is the highest of the tests rejected, and its phase is
        analytical when that of one of them is."""
        highest = max((test for test, _ in rejected), key=lambda test: RANKS[test["priority"]])
        self.row("rejections", {**highest, "assay": event.get("assay")}, rejected_at=time_of(event),
                 reject_reason=event.get("reject_reason"),
                 phase="analytical" if any(analytical for _, analytical in rejected) else "pre_analytical",
                 tests=len(rejected))

    def apply_to(self, test, event):
        outcome = self.outcome(test, event)
        if outcome != "refused":
            self.take(test, event)
        # Choice: a refused event that names the assay starts the clock of a provisional test all the same.
        told = self.resolve(test)
        if outcome == "transitions":
            self.move(test, event)
        if told and time_of(event) > test["due_at"]:
            self.judge_due(test, time_of(event))
        return outcome

    def outcome(self, test, event):
        """The first line that fits: refused, transitions or repeated."""
        word, at, state = word_of(event), time_of(event), test["state"]
        reason = None
        if test["applied_at"] is not None and at < test["applied_at"]:
            reason = "overtaken"
        elif state is None or self.implies_receipt(test, event) or word in allowed(test):
            return "transitions"
        elif word == state:
            return "repeated"
        elif is_row(event) and word == "RECEIVED" and test["received_at"] is not None:
            return "repeated"
        elif word == "ORDERED" and state in LINE:
            return "repeated"  # an order that is told late tells of a time, and asks for nothing
        else:
            reason = "not_allowed"
        self.row("refused", test, noticed_at=noticed(event), reason=reason, state=state, word=word,
                 allowed=sorted(allowed(test)))
        return "refused"

    @staticmethod
    def implies_receipt(test, event):
        """Choice: a test that inherited the tube's receipt has made no transition to RECEIVED of its own, so
        a row implies one. Whatever a row may say is allowed after it."""
        return (is_row(event) and word_of(event) != "RECEIVED" and event.get("received_at") is not None
                and (test["state"] is None or test["state"] in BEFORE_RECEIPT))

    def take(self, test, event):
        """What the columns tell, of an event that is not refused. Choice: the first that tells counts."""
        at = time_of(event)
        clock_runs = test["state"] is not None and test["received_at"] is not None
        for name, told in [("ordered_at", order_told(event)), ("collected_at", collection_told(event)),
                           ("received_at", receipt_told(event))]:
            if test[name] is None:
                test[name] = told
        if test["state"] is None:
            # Choice: of a row it is the receipt of which it tells, or a lone COMPLETED would take no time.
            tells_receipt = is_row(event) and event.get("received_at") is not None
            test["first_at"] = event["received_at"] if tells_receipt else at
            # Choice: a test whose first word is beyond verification never completes and is never due.
            test["verified_before"] = (word_of(event) in AFTER_VERIFICATION
                                       and not self.implies_receipt(test, event))
        if RANKS[priority_of(event)] > RANKS[test["priority"]]:
            test["priority"] = priority_of(event)
            # Choice: not after completion, nor once the due has been judged.
            if clock_runs and test["completed_at"] is None and test["due"] is None:
                test["risen_at"] = at
                if test["clock_start_at"] is not None:
                    self.set_target(test)

    def resolve(self, test):
        """Fixes clock start and target once receipt and assay are known; whether it did, with a deadline."""
        if (test["assay"] is None or test["received_at"] is None or test["clock_start_at"] is not None
                or test["verified_before"] or test["completed_at"] is not None or test["final"]
                or test["state"] in FINISHED and test["state"] != "CANCELLED"):
            return False  # a test that is over, or was verified once, gets no clock any more
        test["clock_start_at"] = self.clock_start(test)
        self.set_target(test)
        return test["due_at"] is not None

    @staticmethod
    def clock_start(test):
        """Once fixed, it stays. Choice: a provisional test's is fixed when its assay is known."""
        if test["clock_start_at"] is not None or test["received_at"] is None:
            return test["clock_start_at"]
        own = test["ordered_at"] if test["ordered_at"] is not None else test["first_at"]
        return max(test["received_at"], own)

    def set_target(self, test):
        """From the clock start, or from a later rise of the priority."""
        since = test["clock_start_at"]
        if test["risen_at"] is not None:
            since = max(since, test["risen_at"])
        minutes = self.targets.get("by_priority", {}).get(
            test["priority"], self.targets.get("default_minutes"))
        has_one = minutes is not None and minutes > 0
        test["target_minutes"] = minutes if has_one else None
        test["due_at"] = since + minutes * MINUTE if has_one else None

    # Transitions

    def move(self, test, event):
        at, word = time_of(event), word_of(event)
        if self.implies_receipt(test, event):
            received_at = event["received_at"]
            self.transition(test, "RECEIVED", received_at, implied=True)
            self.counts["implied"] += 1
            # Choice: which windows there are is not known here, so one had ended when the watermark is later.
            before = event.get("watermark_before")
            if before is not None and received_at < before:
                self.row("backdated", test, noticed_at=noticed(event), at=received_at, to_state="RECEIVED")
        was = test["state"]
        to_state = LEADS_TO.get(word, word) if was is None else allowed(test)[word]
        self.transition(test, to_state, at, implied=False)
        test["applied_at"] = at
        self.consequences(test, event, was)

    def transition(self, test, to_state, at, implied):
        was = test["state"]
        seconds = None if was is None or at < test["since"] else (at - test["since"]) / 1e6
        if was in LINE and to_state in LINE and LINE.index(to_state) > LINE.index(was) + 1:
            self.counts["skipped"] += 1  # Choice: transitions that skip, not the states skipped
        test["state"], test["since"] = to_state, at
        self.row("transitions", test, from_state=was, to_state=to_state, seconds_in_state=seconds, at=at,
                 implied=implied)

    def consequences(self, test, event, was):
        """The rows of other relations that a transition gives."""
        at, state, word = time_of(event), test["state"], word_of(event)
        if state == "RESULTED":
            test["resulted_at"] = at  # Choice: the last before the completion, which is the one verified
        if state == "ERROR":
            test["final"] = is_row(event)
            received_at = test["received_at"]
            self.row("errors", test, at=at, error_code=event.get("error_code"), received_at=received_at,
                     minutes_since_receipt=None if received_at is None else (at - received_at) / MINUTE)
        if state in COMPLETE and test["completed_at"] is None and not test["verified_before"]:
            self.complete(test, at)
        if word == "INVALIDATED" and was is not None:
            self.row("restatements", test, kind="invalidated", was=was, **{"is": state}, at=at)
        if word == "IN_PROCESS" and was == "INVALIDATED":
            self.row("restatements", test, kind="reissued", was=was, **{"is": state}, at=at)
        if word == "correct" and was is not None:
            self.row("restatements", test, kind="corrected", was=was, **{"is": state}, at=at)

    def complete(self, test, at):
        test["completed_at"] = at
        start, due_at = self.clock_start(test), test["due_at"]
        times = {name: test[name] for name in ("ordered_at", "collected_at", "received_at", "resulted_at")}
        self.row("completions", test, **times, completed_at=at, clock_start_at=start,
                 add_on=None if start is None else start > test["received_at"],
                 tat_us=None if start is None or at < start else at - start,
                 target_minutes=test["target_minutes"],
                 within_target=None if due_at is None else at <= due_at)
        if test["due"] == "breached" and at <= due_at:
            self.row("restatements", test, kind="due_overturned", was="breached", **{"is": "on_time"}, at=at)

    # Time

    def timers(self):
        """What the tests wait for, as (time, position, action). Choice: at one instant in the order in which
        the tests were made, and of one test first the due."""
        waiting = []
        for position, test in enumerate(self.tests):
            if test["due_at"] is not None and test["due"] is None:
                waiting.append((test["due_at"], 2 * position, self.judge_due, test))
            if test["state"] not in FINISHED and not test["final"] and test["since"] is not None:
                at = test["since"] + self.abandon_after
                waiting.append((at, 2 * position + 1, self.abandon, test))
        return waiting

    def judge_due(self, test, at):
        state, completed_at = test["state"], test["completed_at"]
        open_or_lost = state not in FINISHED or state == "LOST"
        if completed_at is not None:
            outcome = "on_time" if completed_at <= test["due_at"] else "breached"
        # Choice: what was abandoned before it was due is breached.
        elif (open_or_lost or state == "ABANDONED") and not test["final"]:
            outcome = "breached"
        else:
            outcome = "none"
        test["due"] = outcome
        if outcome != "none":
            late = outcome == "breached" and completed_at is None
            self.row("due", test, due_at=test["due_at"], at=at, kind="test",
                     target_minutes=test["target_minutes"], outcome=outcome, state=state,
                     phase=PHASES.get(state) if late else None)

    def abandon(self, test, at):
        # No event made it, so `transitions` does not count it.
        self.transition(test, "ABANDONED", at, implied=False)
        test["applied_at"] = at


def noticed(event):
    before = event.get("watermark_before")
    return time_of(event) if before is None else max(time_of(event), before)


def release(machine, waiting, before):
    """Events and timers earlier than `before`, in the order (time, events before timers, position)."""
    while True:
        steps = [(time_of(event), 0, event["offset"], machine.apply, event) for event in waiting]
        steps += [(at, 1, position, action, test) for at, position, action, test in machine.timers()]
        steps = [step for step in steps if before(step[0], step[1])]
        if not steps:
            return
        at, kind, _, action, what = min(steps, key=lambda step: step[:3])
        if kind == 0:
            waiting.remove(what)
            action(what)
        else:
            action(what, at)


def run(case):
    machine, waiting = Machine(case), []
    for event in case["events"]:
        watermark = event.get("watermark_before")
        if watermark is not None:
            release(machine, waiting, lambda at, _, w=watermark: at < w)
        if watermark is not None and time_of(event) < watermark:
            machine.apply(event)
        else:
            waiting.append(event)
    release(machine, waiting, lambda at, kind: kind == 0 or at <= case["end"])
    return {"rows": machine.rows, "counts": machine.counts}


def check(paths):
    """Compares every case with the rows written by hand; the number of cases that differ."""
    wrong = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        found, expected = run(case), case["expected"]
        if found == expected:
            continue
        wrong += 1
        print(f"{path}:")
        length = max(len(found["rows"]), len(expected["rows"]))
        for number in range(length):
            ours, by_hand = (rows[number] if number < len(rows) else None
                             for rows in (found["rows"], expected["rows"]))
            if ours != by_hand:
                print(f"  row {number}\n    by hand {json.dumps(by_hand)}\n    found   {json.dumps(ours)}")
        if found["counts"] != expected["counts"]:
            print(f"  counts\n    by hand {expected['counts']}\n    found   {found['counts']}")
    print(f"{len(paths)} cases, {wrong} differ")
    return wrong


def main(args):
    if args[:1] == ["--check"]:
        sys.exit(1 if not args[1:] or check(args[1:]) else 0)
    if args[:1] == ["--random"]:
        import lifecycle_chance  # which needs nothing of ours
        cases = lifecycle_chance.cases(int(args[1]), int(args[2]))
        print("[" + ",\n".join(json.dumps(case) for case in cases) + "]")
        return
    json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
