"""Targets of tests for lifecycle.py: those of a case, and those of a project's data/reference (docs/reference.md).

A target says how many minutes a test may take, what told it (`source`), since when that is valid (`version`,
empty where it is always), which minutes count (`clock`), and whether they run from collection.
"""
import collections
import csv
import datetime
import pathlib

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
NAMED = ["lab_id", "assay", "priority", "patient_class"]
DEFAULT_MINUTES = 240
MINUTE = 60_000_000
LONGEST = 2**63 - 1

Target = collections.namedtuple("Target", "minutes source version clock from_collection")


def limited(minutes):
    """0 or less, or nothing, is no deadline. Choice: no target is longer than 64 bits of microseconds."""
    return min(minutes, LONGEST / MINUTE) if minutes is not None and minutes > 0 else None


def micros(text):
    """An instant as microseconds; a date is its first instant in UTC."""
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def holds(folder):
    """How long a specimen may wait for its analysis, in microseconds, by assay (assays.csv)."""
    path = pathlib.Path(folder, "assays.csv")
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as lines:
        told = {row["assay"]: limited(float(row.get("max_hold_minutes") or 0)) for row in csv.DictReader(lines)}
    return {assay: round(minutes * MINUTE) for assay, minutes in told.items() if minutes is not None}


class Simple:
    """One target for all tests of a case, and others by priority."""

    def __init__(self, targets):
        self.default = targets.get("default_minutes")
        self.by_priority = targets.get("by_priority", {})

    def of(self, test, _at):
        minutes = limited(self.by_priority.get(test["priority"], self.default))
        return Target(minutes, "reference", "", "wall", False)


class Reference:
    """The rows of targets.csv; `default_minutes` where none fits."""

    def __init__(self, folder, default_minutes=DEFAULT_MINUTES):
        path = pathlib.Path(folder, "targets.csv")
        self.default_minutes, self.rows = default_minutes, []
        if path.exists():
            with open(path, encoding="utf-8", newline="") as lines:
                self.rows = list(csv.DictReader(lines))

    def of(self, test, at):
        """The row that names most; of these the one that names the lab, then the assay, then the priority; of
        rows that name the same, the latest that was valid at the instant. A profile's minutes come first."""
        found = self.row_of(test, at)
        profile = test["profile_tat_min"]
        return found if profile is None else found._replace(
            minutes=limited(profile), source="profile", version="")

    def row_of(self, test, at):
        best, best_rank = None, None
        for number, row in enumerate(self.rows):
            since = micros(row["valid_from"]) if row.get("valid_from") else None
            fits = all(not row.get(name) or row[name] == test[name] for name in NAMED)
            if not fits or since is not None and since > at:
                continue
            named = [bool(row.get(name)) for name in NAMED]
            rank = (sum(named), named, since if since is not None else float("-inf"), number)
            if best is None or rank > best_rank:
                best, best_rank = row, rank
        if best is None:
            return Target(limited(self.default_minutes), "default", "", "wall", False)
        minutes = float(best["target_minutes"]) if best["target_minutes"] else None
        return Target(limited(minutes), "reference", best.get("valid_from") or "",
                      best.get("clock") or "wall", best.get("from") == "collected")
