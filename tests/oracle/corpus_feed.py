"""The feed of the corpus: python corpus_feed.py OUT.ndjson writes the same events every time.

Both event forms, other kinds of events, absent and extreme values, repeats, and silences between
bursts, over the nights in which Europe's clocks go forward and back and America's go back. Nothing
is further behind than DISORDER, and what arrives as RECEIVED of the row form happened then.
"""
import datetime
import json
import random
import sys

DISORDER = 25 * 60
UTC = datetime.timezone.utc
# Bursts: start, length in hours, events that begin in an hour.
BURSTS = [
    ("2025-03-29T22:10", 4, 50),
    ("2025-03-30T21:30", 1, 60),
    ("2025-10-25T11:40", 1, 90),
    ("2025-10-25T21:20", 5, 60),
    ("2025-10-26T22:20", 2, 60),
    ("2025-10-28T04:15", 1, 90),
    ("2025-10-29T12:00", 1, 300),
    ("2025-10-30T19:50", 3, 40),
    ("2025-10-31T22:20", 2, 50),
    ("2025-11-02T03:30", 4, 60),
    ("2025-11-03T05:05", 2, 60),
    ("2025-11-04T15:00", 1, 30),
]
LABS = ["lab-north", "lab-north", "lab-west", "lab-south", "lab-east", "lab-unlisted"]
ASSAYS = ["K", "NA", "CBC", "PCR", "CRP", "Troponin T, hs", "glukose-Ø", "unknown assay"]
MACHINES = ["M1", "M2", "M3", "M-9 \"old\""]
CODES = ["E01", "E02", "E10", "it's \\ broken"]
REASONS = ["RH", "RC", "EX", "ZW", "QS"]
LOCATIONS = ["ward 1", "Ward 2", " WARD-3 ", "Ambulanse ÅS", "naïve café", "😀 unit", "a%b_c", "", "x" * 200]
CLASSES = ["ED", "inpatient", "outpatient", "GP"]
VALUES = [1e300, -1e300, 1.7976931348623157e308, 5e-324, -0.0, 0.0, 0.1, 0.2, 0.3, -273.15, 1e15,
          4.9999999999999999, 1e-300, 123456789.125, -1e-9]
SEQS = [2**62, -(2**62), 2**63 - 1, -(2**63), 0, -1, 1, 7, 1000, 2**53 + 1]
OTHERS = ["order.created", "result.critical", "critical.notified", "instrument.state", "qc.flag"]


class Feed:
    """Events with the instants at which they become known."""

    def __init__(self):
        self.dice = random.Random(20251026)
        self.events = []
        self.number = 0

    def maybe(self, share, value):
        """The value in that share of all cases, else nothing."""
        return value if self.dice.random() < share else None

    def text(self, time):
        """An instant in one of the shapes in which feeds write it."""
        micros = round(time * 1_000_000)
        at = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=micros)
        shape = self.dice.randrange(3)
        if shape == 0:
            return at.isoformat().replace("+00:00", "Z")
        zone = datetime.timezone(datetime.timedelta(hours=[-4, 2, 5.5][self.dice.randrange(3)]))
        return at.astimezone(zone).isoformat() if shape == 1 else at.isoformat()

    def emit(self, time, fields):
        """One event; now and then it comes twice."""
        self.number += 1
        event = {"event_id": self.maybe(0.9, f"e-{self.number}"), **fields}
        event = {name: value for name, value in event.items() if value is not None}
        if self.maybe(0.05, True):
            event[self.dice.choice(["reason", "recollect_of", "unit"])] = None
        known = time + self.dice.random() * DISORDER
        line = json.dumps(event, ensure_ascii=self.dice.random() < 0.5)
        self.events.append((known, self.number, line))
        if "event_id" in event and self.dice.random() < 0.04:
            self.events.append((known + self.dice.random() * 120, self.number, line))

    def common(self):
        """What both forms carry."""
        dice = self.dice
        return {
            "lab_id": dice.choice(LABS),
            "priority": dice.choice([None, "R", "R", "ROUTINE", "S", "STAT", "A", "ASAP"]),
            "patient_class": self.maybe(0.7, dice.choice(CLASSES)),
            "location": self.maybe(0.6, dice.choice(LOCATIONS)),
            "specimen_type": self.maybe(0.5, dice.choice(["EDTA", "serum", "Citrate"])),
            "profile_tat_min": self.maybe(0.1, dice.choice([0, 30, 45.5, 1e300, 90])),
            "patient_ref": self.maybe(0.5, f"p{dice.randrange(40)}"),
            "seq": self.maybe(0.8, dice.choice(SEQS) if dice.random() < 0.3 else self.number),
        }

    def minutes(self):
        """A duration in seconds: some whole minutes, some to the microsecond, some long."""
        dice = self.dice
        kind = dice.random()
        if kind < 0.4:
            return 60 * dice.randrange(1, 200)
        if kind < 0.95:
            return round(dice.lognormvariate(7.5, 0.8), 6)
        return dice.choice([0, 0.000001, 86_400 * 400, -90])

    def tube(self, time):
        """A specimen with one to three tests, in one of the two forms."""
        dice = self.dice
        common = self.common()
        specimen = f"T{self.number}"
        common["specimen_id"] = specimen
        for assay in dice.sample(ASSAYS, dice.choice([1, 1, 2, 3])):
            test = {**common, "assay": assay}
            taken = self.minutes()
            test |= {
                "machine_id": self.maybe(0.8, dice.choice(MACHINES)),
                "operator_id": self.maybe(0.6, f"O{dice.randrange(6)}"),
                "ordered_at": self.maybe(0.3, self.text(max(0, time - taken - dice.choice([3600, 7200, 1.6e9])))),
                "collected_at": self.maybe(0.5, self.text(time - taken - 600 * dice.random())),
                "auto_verified": self.maybe(0.6, dice.random() < 0.65),
                "delta_flag": self.maybe(0.3, dice.random() < 0.1),
                "repeat_no": self.maybe(0.3, dice.choice([0, 1, 2, -3, 2**40])),
            }
            if dice.random() < 0.5:
                self.row_form(time, taken, test)
            else:
                self.transitions(time, taken, test)

    def row_form(self, time, taken, test):
        """The starter kit's rows."""
        dice = self.dice
        received = time - taken
        if taken < 3600:
            first = {**test, "received_at": self.text(max(received, time - 3600)), "status": "RECEIVED"}
            first.pop("machine_id"), first.pop("operator_id")
            self.emit(min(received, time), first)
        status = dice.choices(["COMPLETED", "ERROR", "REJECTED", "CANCELLED", "IN_PROCESS"], [75, 12, 7, 3, 3])[0]
        last = {**test, "received_at": self.text(received), "processed_at": self.text(time), "status": status}
        if dice.random() < 0.03:
            last["received_at"], last["processed_at"] = last["processed_at"], None
        last["error_code"] = self.maybe(0.8, dice.choice(CODES)) if status == "ERROR" else None
        last["reject_reason"] = dice.choice(REASONS) if status == "REJECTED" else None
        last["event_type"] = self.maybe(0.5, "specimen.snapshot")
        self.emit(time, last)

    def transitions(self, time, taken, test):
        """One event for each change."""
        dice = self.dice
        form = {**test, "event_type": "specimen.transition"}
        received = time - taken
        if 0 < taken < 7200:
            at = self.text(received)
            tube = {name: value for name, value in form.items() if name not in ("machine_id", "assay")}
            self.emit(received, {**tube, "to_state": "RECEIVED", "event_time": at, "received_at": at})
        state = dice.choices(["VERIFIED", "ERROR", "REJECTED", "CANCELLED", "PUBLISHED"], [75, 12, 7, 3, 3])[0]
        last = {**form, "to_state": state, "event_time": self.text(time)}
        last["from_state"] = self.maybe(0.5, dice.choice(["RECEIVED", "IN_TRANSIT", "IN_PROCESS"]))
        last["received_at"] = self.maybe(0.9, self.text(received))
        last["processed_at"] = self.maybe(0.7, self.text(received + max(0.0, taken) * dice.random()))
        last["error_code"] = self.maybe(0.8, dice.choice(CODES)) if state == "ERROR" else None
        last["reject_reason"] = dice.choice(REASONS) if state == "REJECTED" else None
        self.emit(time, last)

    def other(self, time):
        """An event that moves no test."""
        dice = self.dice
        kind = dice.choice(OTHERS)
        event = {"event_type": kind, "lab_id": dice.choice(LABS), "event_time": self.text(time),
                 "seq": self.maybe(0.9, dice.choice(SEQS)), "reason": self.maybe(0.4, dice.choice(LOCATIONS))}
        if kind != "instrument.state":
            event |= {"specimen_id": f"T{dice.randrange(1 + self.number)}", "assay": dice.choice(ASSAYS)}
        else:
            event |= {"machine_id": dice.choice(MACHINES), "planned": self.maybe(0.7, dice.random() < 0.4),
                      "instrument_state": dice.choice(["IDLE", "RUNNING", "DOWN"])}
        if kind in ("result.critical", "qc.flag"):
            value = dice.choice(VALUES) if dice.random() < 0.3 else round(dice.gauss(5, 3), 3)
            event |= {"analyte": dice.choice(["K", "Na", "Glu"]), "value": self.maybe(0.9, value),
                      "unit": self.maybe(0.7, dice.choice(["mmol/L", "µg/dL"])),
                      "flag": self.maybe(0.7, dice.choice(["HH", "LL", "AA"])), "critical_id": f"c{self.number}"}
        if kind == "critical.notified":
            event |= {"critical_id": f"c{dice.randrange(1 + self.number)}", "read_back": dice.random() < 0.8,
                      "notified_to_role": dice.choice(["nurse", "physician"])}
        self.emit(time, event)

    def write(self, path):
        """All bursts, in the order in which they become known."""
        for start, hours, rate in BURSTS:
            begin = datetime.datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()
            for _ in range(hours * rate):
                time = begin + self.dice.random() * hours * 3600
                # On the edges of windows, to the microsecond.
                if self.dice.random() < 0.06:
                    time = round(time / 900) * 900 + self.dice.choice([0, 0, -0.000001, 0.000001])
                (self.other if self.dice.random() < 0.2 else self.tube)(time)
        self.events.sort()
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(line + "\n" for _, _, line in self.events)


if __name__ == "__main__":
    Feed().write(sys.argv[1])
