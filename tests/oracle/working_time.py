"""Working time, counted minute by minute with zoneinfo: python working_time.py PROJECT

Writes the tables calendars, holidays and labs below PROJECT/data/reference, and PROJECT/cases.ndjson:
for chance instants of 2026, many of them around the hours in which a clock changes, the working time
between two of them, and the latest instant at which the working time since the first is at most some
amount.

The clock of a zone is looked at in each minute from 2025-12-01 to 2027-06-03. A local time stands for
the first minute that shows it, and one that no minute shows for the first that shows a later time of
that day. What lies between the minutes of a span's ends is open; everything else follows by counting.
"""
import csv
import datetime
import json
import pathlib
import random
import sys
import zoneinfo

UTC = datetime.timezone.utc
BEGIN = datetime.datetime(2025, 12, 1, tzinfo=UTC)
DAYS = 550
MINUTES = DAYS * 1440
MICROS = 60_000_000
# The zones, with the minutes in which their clocks change in 2026.
ZONES = {
    "Europe/Berlin": [(3, 29, 1), (10, 25, 1)],
    "America/New_York": [(3, 8, 7), (11, 1, 6)],
    "Asia/Kolkata": [(1, 1, 0), (7, 1, 0)],
}
ROUND_THE_CLOCK = [(day, 0, 1440) for day in range(1, 8)]
OFFICE = [(day, 480, 1020) for day in range(1, 6)] + [(6, 540, 720)]
NIGHTS = [(day, 0, 360) for day in range(1, 8)] + [(day, 1320, 1440) for day in range(1, 8)]
# Ends within the hours that a Sunday's clock skips or repeats.
SUNDAYS = [(7, 60, 90), (7, 90, 135), (7, 150, 175), (7, 180, 200)]
CHANCES = 5
CASES = 40


class Clock:
    """What a zone's clock shows: the first minute of each local time, and each day's local times."""

    def __init__(self, name):
        zone, step = zoneinfo.ZoneInfo(name), datetime.timedelta(minutes=1)
        self.first, self.by_day = {}, {}
        for minute in range(MINUTES):
            local = (BEGIN + minute * step).astimezone(zone).replace(tzinfo=None)
            if local not in self.first:
                self.first[local] = minute
                self.by_day.setdefault(local.date(), []).append(local)

    def minute_of(self, day, wanted):
        """The minute that a local time stands for."""
        local = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(minutes=wanted)
        if local in self.first:
            return self.first[local]
        return self.first[min(later for later in self.by_day[local.date()] if later > local)]


def open_minutes(clock, openings, holidays):
    """A byte for each minute, 1 where it is open."""
    opened = bytearray(MINUTES)
    for day in sorted(clock.by_day)[1:-2]:
        if day in holidays:
            continue
        for weekday, opens, closes in openings:
            if day.isoweekday() == weekday:
                start, end = clock.minute_of(day, opens), clock.minute_of(day, closes)
                opened[start:end] = b"\1" * (end - start)
    return opened


def worked(opened, start, end):
    """The open microseconds between two instants, in microseconds since BEGIN."""
    if end < start:
        return -worked(opened, end, start)
    (first, skipped), (last, more) = divmod(start, MICROS), divmod(end, MICROS)
    return sum(opened[first:last]) * MICROS - opened[first] * skipped + opened[last] * more


def deadline(opened, start, working):
    """The latest instant to which no more is worked; None beyond the minutes that are known."""
    minute, at = start // MICROS, start
    while minute < MINUTES - 2 * 1440:
        end = (minute + 1) * MICROS
        if opened[minute]:
            if working < end - at:
                return at + working
            working -= end - at
        minute, at = minute + 1, end
    return None


def chance_openings(dice):
    openings = []
    for weekday in dice.sample(range(1, 8), dice.randint(2, 7)):
        cuts = sorted(dice.sample(range(0, 1441, dice.choice([1, 15, 60])), 2 * dice.randint(1, 2)))
        openings += [(weekday, *cuts[n:n + 2]) for n in range(0, len(cuts), 2)]
    dice.shuffle(openings)
    return openings


def instants(dice, changes):
    """A chance instant of 2026."""
    if dice.random() < 0.5:
        month, day, hour = dice.choice(changes)
        middle = datetime.datetime(2026, month, day, hour, tzinfo=UTC)
        at = middle + datetime.timedelta(hours=dice.uniform(-30, 30))
    else:
        at = datetime.datetime(2026, 1, 2, tzinfo=UTC) + datetime.timedelta(days=dice.uniform(0, 360))
    micros = (at - BEGIN) // datetime.timedelta(microseconds=1)
    return micros // MICROS * MICROS if dice.random() < 0.5 else micros


def text(micros):
    return (BEGIN + datetime.timedelta(microseconds=micros)).isoformat()


def time_of_day(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


def cases(dice, opened, changes):
    made = []
    while len(made) < CASES:
        start, end = instants(dice, changes), instants(dice, changes)
        if dice.random() < 0.5:
            end = start + dice.randrange(0, 4 * 1440) * MICROS
        between = worked(opened, start, end)
        # Half of them are used up at `end`, which is often a time at which it is closed.
        working = between if between >= 0 and dice.random() < 0.5 else dice.randrange(20 * 60 * MICROS)
        due = deadline(opened, start, working)
        if due is not None:
            made.append({"from": text(start), "to": text(end), "worked_us": between,
                         "working_us": working, "deadline": text(due)})
    return made


def main(project):
    dice = random.Random(20260329)
    labs, calendars, holidays, lines = [], [], [], []
    for zone, changes in ZONES.items():
        clock = Clock(zone)
        plans = [ROUND_THE_CLOCK, OFFICE, NIGHTS, SUNDAYS]
        plans += [chance_openings(dice) for _ in range(CHANCES)]
        for number, openings in enumerate(plans):
            lab = f"{zone}-{number}"
            closed = {datetime.date(2026, 1, 1) + datetime.timedelta(days=dice.randrange(365))
                      for _ in range(dice.choice([0, 5, 60]))}
            labs.append((lab, zone, lab))
            calendars += [(lab, day, time_of_day(a), time_of_day(b)) for day, a, b in openings]
            holidays += [(lab, day, "closed") for day in sorted(closed)]
            opened = open_minutes(clock, openings, closed)
            lines += [{"lab": lab, **case} for case in cases(dice, opened, changes)]
    reference = pathlib.Path(project, "data/reference")
    reference.mkdir(parents=True, exist_ok=True)
    for name, header, rows in [
            ("labs", "lab_id,tz,calendar", labs),
            ("calendars", "calendar,weekday,opens,closes", calendars),
            ("holidays", "calendar,date,name", holidays)]:
        with open(reference / f"{name}.csv", "w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([header.split(","), *rows])
    with open(pathlib.Path(project, "cases.ndjson"), "w", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main(sys.argv[1])
