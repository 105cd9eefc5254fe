"""The oracle against figures worked out by hand: python -m unittest tests/oracle/test_oracle.py."""
import datetime
import json
import pathlib
import sys
import tempfile
import unittest

import duckdb

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import oracle  # noqa: E402

LABS = "lab_id,name,tz\noslo,Oslo,Europe/Oslo\nyork,New York,America/New_York\n"
TARGETS = ("lab_id,assay,priority,patient_class,target_minutes,valid_from\n"
           ",,S,,60,\n"
           ",K,S,,30,2026-03-01T12:00:00Z\n")
REASONS = ("code,description,source,ifcc_indicator,denominator,good_percent,poor_percent\n"
           "RH,Haemolysed,HL7 0490,Pre-HemR,received,0.049,0.882\n"
           "RC,Clotted,HL7 0490,Pre-Clot,anticoagulated,60,100\n"
           "EX,Expired,HL7 0490,,,,\n")


def row(specimen, status, received, processed=None, **more):
    """One event in the row form, on 2026-03-01 unless a time says otherwise."""
    event = {"lab_id": "oslo", "specimen_id": specimen, "assay": "K", "priority": "S",
             "status": status, "received_at": at(received), **more}
    if processed:
        event["processed_at"] = at(processed)
    return event


def at(time):
    """`08:30` on 2026-03-01, or a whole timestamp as it is."""
    return time if "T" in time else f"2026-03-01T{time}:00Z"


FEED = [
    row("A", "RECEIVED", "08:00", specimen_type="EDTA"),
    row("B", "RECEIVED", "08:10", specimen_type="SERUM"),
    row("C", "RECEIVED", "08:20", specimen_type="EDTA"),
    row("D", "RECEIVED", "08:25"),
    row("D", "RECEIVED", "08:25", assay="Na"),
    # The row form's error is final: not due.
    row("D", "ERROR", "08:25", assay="Na", machine_id="M1", error_code="E2"),
    # K, stat, before the version of noon: target 60. TAT 30, 60 (exactly the target), 90 minutes.
    row("A", "COMPLETED", "08:00", "08:30", machine_id="M1", collected_at=at("07:50")),
    # The first tells of the receipt in time: the watermark before it is 08:29, a minute behind A's row.
    # That of the others is 08:44, so what was at 08:40 is told too late for windows.
    row("F", "REJECTED", "08:40", "08:45", reject_reason="RC"),
    row("F", "REJECTED", "08:40", "08:45", reject_reason="RC", assay="Na"),
    row("G", "REJECTED", "08:40", "08:50", reject_reason="EX"),
    row("B", "COMPLETED", "08:10", "09:10", machine_id="M1"),
    row("D", "ERROR", "08:25", "09:30", machine_id="M1", error_code="E1"),
    row("C", "COMPLETED", "08:20", "09:50", machine_id="M1"),
    # A negative duration: completed, its TAT not known.
    row("E", "COMPLETED", "09:55", "09:50", machine_id="M2"),
    # After noon the target of K, stat, is 30. The transition form, a day later in New York.
    {"event_type": "specimen.transition", "lab_id": "york", "specimen_id": "H", "assay": "K",
     "priority": "STAT", "event_time": "2026-03-02T05:00:00Z", "to_state": "RECEIVED"},
    {"event_type": "specimen.transition", "lab_id": "york", "specimen_id": "H", "assay": "K",
     "event_time": "2026-03-02T06:00:00Z", "to_state": "VERIFIED",
     "processed_at": "2026-03-02T05:45:00Z"},
    # First heard of when it was verified: it never completes and is never due.
    {"event_type": "specimen.transition", "lab_id": "york", "specimen_id": "I", "assay": "K",
     "event_time": "2026-03-02T06:00:00Z", "to_state": "VERIFIED",
     "received_at": "2026-03-02T05:00:00Z"},
]


class OracleTest(unittest.TestCase):
    """One feed, every table."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        base = pathlib.Path(cls.folder.name)
        for name, text in (("labs", LABS), ("targets", TARGETS), ("reject_reasons", REASONS)):
            (base / f"{name}.csv").write_text(text, encoding="utf-8")
        feed = base / "feed.ndjson"
        feed.write_text("".join(json.dumps(event) + "\n" for event in FEED), encoding="utf-8")
        oracle.compute([feed], base, base / "out")
        cls.con = duckdb.connect()
        cls.out = base / "out"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def rows(self, table, columns, where="true"):
        """Rows of a table as tuples, in the order of the columns."""
        sql = f"select {columns} from '{self.out}/{table}.parquet' where {where} order by all"
        return self.con.execute(sql).fetchall()

    def window(self, start):
        """The predicate of the window that starts then."""
        return f"window_start = '{at(start)}'::timestamp"

    def test_completions(self):
        self.assertEqual(
            self.rows("completions", "specimen_id, tat_us, tat_minutes, collect_to_receive_minutes,"
                      " target_minutes, within_target, receive_to_result_minutes,"
                      " result_to_verify_minutes, priority"),
            [("A", 1_800_000_000, 30.0, 10.0, 60.0, True, None, None, "S"),
             ("B", 3_600_000_000, 60.0, None, 60.0, True, None, None, "S"),
             ("C", 5_400_000_000, 90.0, None, 60.0, False, None, None, "S"),
             ("E", None, None, None, 60.0, True, None, None, "S"),
             ("H", 3_600_000_000, 60.0, None, 30.0, False, 45.0, 15.0, "S")])

    def test_percentiles(self):
        # From 09:00 to 10:00: 60 and 90 minutes. Type 7: p90 = 60 + 0.9 * 30.
        self.assertEqual(
            self.rows("tat_percentiles_1h", "n, p50_minutes, p75_minutes, round(p90_minutes, 9),"
                      " mean_minutes, target_minutes, within_target, within_target_rate",
                      f"lab_id = 'oslo' and phase = 'tat' and {self.window('09:00')}"),
            [(2, 75.0, 82.5, 87.0, 75.0, 60.0, 1, 0.5)])
        # 24 h up to 10:00: 30, 60, 90.
        self.assertEqual(
            self.rows("tat_percentiles_24h", "n, p50_minutes, round(p99_minutes, 9)",
                      "lab_id = 'oslo' and phase = 'tat' "
                      "and window_end = '2026-03-01T10:00:00Z'::timestamp"),
            [(3, 60.0, 89.4)])
        # 08:30 lies in the twelve windows that start from 07:35 to 08:30.
        self.assertEqual(
            self.rows("tat_percentiles_1h", "count(*), min(window_start), max(window_start)",
                      "phase = 'collect_to_receive'"),
            [(12, datetime.datetime(2026, 3, 1, 7, 35), datetime.datetime(2026, 3, 1, 8, 30))])
        self.assertEqual(
            self.rows("tat_percentiles_24h", "distinct phase, p50_minutes, target_minutes",
                      "lab_id = 'york'"),
            [("receive_to_result", 45.0, None), ("result_to_verify", 15.0, None),
             ("tat", 60.0, 30.0)])

    def test_throughput(self):
        self.assertEqual(
            self.rows("throughput_1h", "lab_id, assay, received, completed, errors, rejected",
                      self.window("08:00")),
            [("oslo", "K", 5, 1, 0, 2), ("oslo", "Na", 1, 0, 1, 1), ("york", None, 0, 0, 0, 0)])
        # Hours from the first with rows (08:00) to the last one (06:00 the next day): 23, each with
        # a row for either lab; Oslo has two in the first.
        self.assertEqual(self.rows("throughput_1h", "lab_id, count(*)", "true group by lab_id"),
                         [("oslo", 24), ("york", 23)])
        # Days by the lab's clock. Oslo's 1 March begins at 23:00Z and ends at 23:00Z; New York's
        # days from the one that holds the first record to the one with its row.
        self.assertEqual(
            self.rows("throughput_day", "lab_id, date, assay, completed, window_start, is_tile"),
            [("oslo", datetime.date(2026, 3, 1), "K", 4, datetime.datetime(2026, 2, 28, 23), True),
             ("oslo", datetime.date(2026, 3, 1), "Na", 0, datetime.datetime(2026, 2, 28, 23), True),
             ("oslo", datetime.date(2026, 3, 2), None, 0, datetime.datetime(2026, 3, 1, 23), True),
             ("york", datetime.date(2026, 3, 1), None, 0, datetime.datetime(2026, 3, 1, 5), True),
             ("york", datetime.date(2026, 3, 2), "K", 2, datetime.datetime(2026, 3, 2, 5), True)])

    def test_errors(self):
        self.assertEqual(
            self.rows("error_rates_day", "lab_id, machine_id, errors, tests, error_rate"),
            [("oslo", "M1", 2, 5, 0.4), ("oslo", "M2", 0, 1, 0.0), ("york", None, 0, 2, 0.0)])
        self.assertEqual(
            self.rows("error_codes_day", "machine_id, error_code, errors, share, rank"),
            [("M1", "E1", 1, 0.5, 1), ("M1", "E2", 1, 0.5, 1)])

    def test_rejections(self):
        # F was rejected for two tests and is one tube; received were A to F, of which E and F told with
        # their outcomes. G's receipt was told too late.
        self.assertEqual(
            self.rows("rejection_rates_day", "lab_id, rejected, received, rejection_rate, grade"),
            [("oslo", 2, 6, 2 / 6, "poor"), ("york", 0, 1, 0.0, "good")])
        # Of the tubes of which an event says RECEIVED, A to D, A and C hold an anticoagulant: clotted 1 of
        # 2 is good up to 60 %.
        self.assertEqual(
            self.rows("rejection_reasons_day", "reject_reason, rejected, share, pareto_rank,"
                      " cumulative_share, indicator, indicator_tubes, indicator_rate, grade"),
            [("EX", 1, 0.5, 1, 0.5, None, None, None, None),
             ("RC", 1, 0.5, 2, 1.0, "Pre-Clot", 2, 0.5, "good")])

    def test_breaches(self):
        # A is due at 09:00, B at 09:10, at which it is done, C at 09:20 and D (K) at 09:25, of which
        # nothing has come yet, E an hour after its receipt; F and G are rejected.
        self.assertEqual(
            self.rows("sla_breaches_day", "lab_id, due, breached, breach_rate, waiting, analytical,"
                      " verification, lost, done_late, target_minutes"),
            [("oslo", 5, 2, 0.4, 2, 0, 0, 0, 0, 60.0), ("york", 1, 1, 1.0, 1, 0, 0, 0, 0, 30.0)])
        self.assertEqual(
            self.rows("sla_breaches_1h", "due, breached", self.window("09:00")), [(4, 2)])


if __name__ == "__main__":
    unittest.main()
