"""The test's state machine, made a second time from docs/lifecycles.md: naive, and independent of the product.

python lifecycle.py < CASES > RESULTS       a JSON array of cases in, a JSON array of results out
python lifecycle.py --check CASE.json …     compares with the rows written by hand; exits 1 on a difference
python lifecycle.py --random SEED N         prints N cases at chance (lifecycle_chance.py)

A case is one partition: `events` in the order of their records (the fields of docs/events.md, with times
as integers in microseconds, and `offset`, `watermark_before`), `end` (timers up to and including it fire),
`targets`, `abandon_after_us`. A result is `rows`, in the order in which they are made, and `counts`; of each
row the columns of `NARROW`, which the cases name. `run` gives all columns of all relations.

Repeats of an `event_id` have been dropped before; opening hours and the other machines are left out. A case
forgets nothing unless it says `keep_finished_us`. Where the page leaves a choice, a comment begins with
"Choice:".
"""
import heapq
import json
import sys

import lifecycle_targets

MINUTE = 60_000_000
LINE = ["ORDERED", "COLLECTED", "IN_TRANSIT", "RECEIVED", "IN_PROCESS",
        "RESULTED", "VERIFIED", "PUBLISHED", "STORED", "DISPOSED"]
BEFORE_RECEIPT = LINE[:3]
BEFORE_PROCESS = LINE[:4]
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
MOST_REPEATS = 65_535
RANKS = {"R": 0, "A": 1, "S": 2}
PRIORITIES = {"STAT": "S", "ASAP": "A", "ROUTINE": "R"}

HEAD = ["lab_id", "specimen_id", "assay", "priority"]
# The columns of the cases, beside those in front; of `deadlines` they tell those of specimens alone.
NARROW = {
    "transitions": "from_state to_state seconds_in_state at implied",
    "completions": "ordered_at collected_at received_at resulted_at completed_at clock_start_at add_on tat_us"
                   " target_minutes within_target",
    "due": "due_at at kind target_minutes outcome state phase",
    "rejections": "rejected_at reject_reason phase tests",
    "errors": "at error_code received_at minutes_since_receipt",
    "restatements": "kind was is at",
    "refused": "noticed_at reason state word allowed",
    "backdated": "noticed_at at to_state",
    "deadlines": "kind stage due_at target_minutes state at",
}


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


def between(start, end):
    """The minutes from one time to another; None where either is unknown, or they are negative."""
    return None if start is None or end is None or end < start else (end - start) / MINUTE


def is_over(test):
    """Whether nothing more is expected of it."""
    return test["state"] in FINISHED or test["final"]


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

    def __init__(self, case, targets=None):
        self.targets = targets or lifecycle_targets.Simple(case.get("targets", {}))
        self.at_risk_share = case.get("at_risk_share", 0.8)
        self.abandon_after = case["abandon_after_us"]
        # How long a specimen may wait from collection until it is in process, by assay.
        self.holds = case.get("holds_us", {})
        self.keep_finished = case.get("keep_finished_us")
        self.timers = []  # a heap of (time, 1, number of the test, place); some are out of date
        self.last_at = 0  # of the event applied last
        self.event = {}   # the one that is being applied; empty while time passes
        self.tubes = {}  # (lab, specimen) -> its times, and its tests in the order in which they were made
        self.tests = []  # of all tubes, in the order in which they were made
        self.rows = []
        self.counts = dict.fromkeys(
            ["addressed", "transitions", "implied", "refused", "repeated", "skipped"], 0)

    def row(self, relation, test, **columns):
        # Choice: patient class and location are the last that the test was told.
        head = {name: test[name] for name in [*HEAD, "patient_class", "location"]}
        self.rows.append({"relation": relation, "offset": self.event.get("offset"), **head, **columns})

    def of_event(self, *names):
        """Columns of the event in hand; null where time alone made the row."""
        return {name: self.event.get(name) for name in names}

    # Which tests an event addresses

    def tube_of(self, event):
        key = (event["lab_id"], event["specimen_id"])
        self.forget(key, noticed(event))
        return self.tubes.setdefault(key, {"collected_at": None, "received_at": None, "tests": []})

    def forget(self, key, at):
        """A tube of which all tests are finished leaves so long after the last of their transitions."""
        tests = self.tubes[key]["tests"] if key in self.tubes else []
        waits = any(self.waits_for(test) for test in tests)
        if (self.keep_finished is not None and tests and not waits
                and at >= max(test["since"] for test in tests) + self.keep_finished):
            del self.tubes[key]

    def new_test(self, event, tube):
        test = {
            "lab_id": event["lab_id"], "specimen_id": event["specimen_id"], "assay": event.get("assay"),
            "priority": "R", "patient_class": None, "location": None, "profile_tat_min": None,
            "machine_id": None, "operator_id": None, "repeats": 0, "number": len(self.tests),
            "state": None, "final": False, "since": None,
            "first_at": None,    # of its first event
            "applied_at": None,  # of the last event applied to it
            "ordered_at": None, "collected_at": tube["collected_at"], "received_at": tube["received_at"],
            "resulted_at": None, "completed_at": None,
            "clock_start_at": None, "target": None, "due_at": None, "risk_at": None,
            "told": set(),       # stages of its deadline
            "held": set(), "hold_told": False,  # stages of its specimen's time to wait; whether one goes on
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
        self.event, self.last_at = event, time_of(event)
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
        self.event = {}

    def reject(self, event, rejected):
        """One row for the tube. Choice: its priority is the highest of the tests rejected, and its phase is
        analytical when that of one of them is; class and location are those of the first."""
        highest = max((test["priority"] for test, _ in rejected), key=RANKS.get)
        first = {**rejected[0][0], "assay": event.get("assay"), "priority": highest}
        self.row("rejections", first, rejected_at=time_of(event),
                 **self.of_event("reject_reason", "machine_id"),
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
        self.set_timers(test)
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
        for name in ("patient_class", "location", "machine_id", "operator_id"):
            if event.get(name) is not None:
                test[name] = event[name]
        if test["profile_tat_min"] is None:
            test["profile_tat_min"] = event.get("profile_tat_min")
        # Choice: the highest repeat_no that was told, up to MOST_REPEATS.
        test["repeats"] = max(test["repeats"], min(event.get("repeat_no") or 0, MOST_REPEATS))
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
        target = self.targets.of(test, test["received_at"])
        if target.from_collection and test["collected_at"] is not None and test["risen_at"] is None:
            since = test["collected_at"]
        test["target"] = target
        if target.minutes is None:
            test["due_at"] = test["risk_at"] = None
        else:
            last = lifecycle_targets.LONGEST
            test["due_at"] = min(since + round(target.minutes * MINUTE), last)
            test["risk_at"] = min(since + round(target.minutes * self.at_risk_share * MINUTE), last)

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
        # Choice: sent back from RESULTED it is repeated once more, where no event numbers the repeats.
        if was == "RESULTED" and word in ("repeat", "IN_PROCESS") and (event.get("repeat_no") or 0) <= 0:
            test["repeats"] += 1
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
        # Choice: who worked on it, and why it failed, belong to what the row form says itself.
        said = ["machine_id", "operator_id", "error_code", "reject_reason"]
        said = dict.fromkeys(said) if implied else self.of_event(*said)
        before = self.event.get("watermark_before")
        stood = {"stood": before} if implied and before is not None and at < before else {}
        self.row("transitions", test, from_state=was, to_state=to_state, seconds_in_state=seconds, at=at,
                 implied=implied, **said, **stood)

    def consequences(self, test, event, was):
        """The rows of other relations that a transition gives."""
        at, state, word = time_of(event), test["state"], word_of(event)
        if state == "RESULTED":
            test["resulted_at"] = at  # Choice: the last before the completion, which is the one verified
        if state == "ERROR":
            test["final"] = is_row(event)
            received_at = test["received_at"]
            self.row("errors", test, at=at, received_at=received_at,
                     minutes_since_receipt=between(received_at, at),
                     **self.of_event("machine_id", "operator_id", "error_code"))
        if state in COMPLETE and test["completed_at"] is None and not test["verified_before"]:
            self.complete(test, at)
        if word == "INVALIDATED" and was is not None:
            self.row("restatements", test, kind="invalidated", was=was, **{"is": state}, at=at)
        if word == "IN_PROCESS" and was == "INVALIDATED":
            self.row("restatements", test, kind="reissued", was=was, **{"is": state}, at=at)
        if word == "correct" and was is not None:
            self.row("restatements", test, kind="corrected", was=was, **{"is": state}, at=at)
        if is_over(test) and was not in FINISHED:
            self.end_deadline(test, at)
        self.end_hold(test, at)

    def complete(self, test, at):
        test["completed_at"] = at
        if not is_row(self.event) and test["resulted_at"] is None:
            test["resulted_at"] = self.event.get("processed_at")  # when the result was there (docs/events.md)
        start, due_at, target = self.clock_start(test), test["due_at"], test["target"]
        names = ["ordered_at", "collected_at", "received_at", "resulted_at"]
        ordered, collected, received, resulted = (test[name] for name in names)
        known = ["machine_id", "operator_id", "repeats"]
        self.row("completions", test, **{name: test[name] for name in names + known}, completed_at=at,
                 clock_start_at=start, due_at=due_at,
                 add_on=None if start is None else start > received,
                 tat_us=None if start is None or at < start else at - start,
                 tat_minutes=between(start, at), tat_working_minutes=between(start, at),
                 order_to_collect_minutes=between(ordered, collected),
                 collect_to_receive_minutes=between(collected, received),
                 receive_to_result_minutes=between(received, resulted),
                 result_to_verify_minutes=between(resulted, at), total_minutes=between(ordered, at),
                 within_target=None if due_at is None else at <= due_at,
                 **told_by(target), clock=target and target.clock,
                 **self.of_event("auto_verified", "delta_flag"))
        if test["due"] == "breached" and at <= due_at:
            self.row("restatements", test, kind="due_overturned", was="breached", **{"is": "on_time"}, at=at)

    # Time

    def waits_for(self, test):
        """What the test waits for, as place: (time, what happens then). Choice: of one test at one instant
        first the risk, then the due."""
        waits = {}
        if test["due_at"] is not None and test["due"] is None:
            waits[1] = (test["due_at"], self.judge_due)
            if not is_over(test) and "at_risk" not in test["told"]:
                waits[0] = (test["risk_at"], self.tell_risk)
        hold = self.holds.get(test["assay"])
        if hold is not None and test["collected_at"] is not None and test["state"] in BEFORE_PROCESS:
            if "at_risk" not in test["held"]:
                waits[2] = (test["collected_at"] + round(hold * self.at_risk_share), self.tell_hold)
            elif "breached" not in test["held"]:
                waits[3] = (test["collected_at"] + hold, self.tell_hold)
        if not is_over(test) and test["since"] is not None:
            waits[4] = (test["since"] + self.abandon_after, self.abandon)
        return waits

    def set_timers(self, test):
        """Choice: at one instant timers go off in the order in which the tests were made."""
        for place, (at, _) in self.waits_for(test).items():
            heapq.heappush(self.timers, (at, 1, test["number"], place))

    def next_timer(self):
        """The first timer that is not out of date; None where nothing is waited for."""
        while self.timers:
            at, _, number, place = self.timers[0]
            if self.waits_for(self.tests[number]).get(place, (None,))[0] == at:
                return self.timers[0]
            heapq.heappop(self.timers)
        return None

    def go_off(self):
        at, _, number, place = heapq.heappop(self.timers)
        test = self.tests[number]
        _, action = self.waits_for(test)[place]
        action(test, at)
        self.set_timers(test)

    def tell(self, test, stage, at):
        """A row of `deadlines`. Choice: each stage is told once of a test."""
        test["told"].add(stage)
        self.row("deadlines", test, kind="test", stage=stage, due_at=test["due_at"], state=test["state"], at=at,
                 target_minutes=test["target"].minutes, machine_id=test["machine_id"])

    def tell_hold(self, test, at):
        stage = "breached" if "at_risk" in test["held"] else "at_risk"
        test["held"].add(stage)
        test["hold_told"] = True
        self.hold_row(test, stage, max(at, self.last_at))

    def hold_row(self, test, stage, at):
        hold = self.holds.get(test["assay"])
        self.row("deadlines", test, kind="hold", stage=stage, due_at=test["collected_at"] + hold,
                 state=test["state"], at=at, target_minutes=hold / MINUTE, machine_id=test["machine_id"])

    def end_hold(self, test, at):
        if test["hold_told"] and test["state"] not in BEFORE_PROCESS:
            test["hold_told"] = False
            self.hold_row(test, "ended", at)

    def tell_risk(self, test, at):
        # The event that told of it may have come later.
        self.tell(test, "at_risk", max(at, self.last_at))

    def end_deadline(self, test, at):
        """Choice: it ends for those who were told that it is at risk or breached."""
        if test["told"] and "ended" not in test["told"]:
            self.tell(test, "ended", at)

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
            # Nobody waits any more for a test that is over.
            if outcome == "breached" and not is_over(test):
                self.tell(test, "breached", at)
            self.row("due", test, due_at=test["due_at"], at=at, kind="test",
                     outcome=outcome, state=state, phase=PHASES.get(state) if late else None,
                     **told_by(test["target"]))

    def abandon(self, test, at):
        # No event made it, so `transitions` does not count it.
        self.transition(test, "ABANDONED", at, implied=False)
        test["applied_at"] = at
        self.end_deadline(test, at)
        self.end_hold(test, at)


def told_by(target):
    """What a target says, as columns; null where the test has no clock."""
    names = {"target_minutes": "minutes", "target_source": "source", "target_version": "version"}
    return {name: target and getattr(target, of) for name, of in names.items()}


def noticed(event):
    before = event.get("watermark_before")
    return time_of(event) if before is None else max(time_of(event), before)


def release(machine, waiting, before):
    """Events and timers earlier than `before`, in the order (time, events before timers, position)."""
    while True:
        steps = [step[:3] for step in [waiting[0] if waiting else None, machine.next_timer()] if step]
        if not steps:
            return
        at, kind, _ = min(steps)
        if not before(at, kind):
            return
        if kind == 0:
            machine.apply(heapq.heappop(waiting)[3])
        else:
            machine.go_off()


def run(case, targets=None):
    """All rows of all relations, and the counts."""
    machine, waiting = Machine(case, targets), []
    for event in case["events"]:
        watermark = event.get("watermark_before")
        if watermark is not None:
            release(machine, waiting, lambda at, _, w=watermark: at < w)
        if watermark is not None and time_of(event) < watermark:
            machine.apply(event)
        else:
            heapq.heappush(waiting, (time_of(event), 0, event["offset"], event))
    release(machine, waiting, lambda at, kind: kind == 0 or at <= case["end"])
    return {"rows": machine.rows, "counts": machine.counts}


def narrow(result):
    """A result with the columns that cases name."""
    rows = []
    for row in result["rows"]:
        of_test = row["relation"] == "deadlines" and row["kind"] == "test"
        if row["relation"] in NARROW and not of_test:
            names = ["relation", *HEAD, *NARROW[row["relation"]].split()]
            rows.append({name: row[name] for name in names})
    return {**result, "rows": rows}


def check(paths):
    """Compares every case with the rows written by hand; the number of cases that differ."""
    wrong = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        found, expected = narrow(run(case)), case["expected"]
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
    json.dump([narrow(run(case)) for case in json.load(sys.stdin)], sys.stdout)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
