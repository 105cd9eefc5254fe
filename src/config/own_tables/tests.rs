//! Tables as text in, rows, faults and notes out. Places were counted by hand.

use std::path::Path;

use chrono_tz::Tz;

use super::*;
use crate::config::Project;
use crate::config::fault::Faults;
use crate::flow::{Span, Timestamp};
use crate::reference::{CriticalStart, Reference, TargetClock, TargetStart};

fn tables(files: &[(&str, &str)]) -> (OwnTables, Vec<String>, Vec<String>) {
    let parse = |(name, text): &(&str, &str)| {
        let path = format!("{name}.csv");
        let mut faults = Faults::of(Path::new(&path));
        let table = ReferenceTable::parse(name, Path::new(&path), text.as_bytes(), &mut faults);
        table.unwrap_or_else(|| panic!("{:?}", faults.into_vec()))
    };
    let tables: Vec<ReferenceTable> = files.iter().map(parse).collect();
    let mut own = read(&tables);
    own.faults.sort();
    own.notes.sort();
    let shown = |list: &[Fault]| list.iter().map(ToString::to_string).collect();
    let (faults, notes) = (shown(&own.faults), shown(&own.notes));
    (own, faults, notes)
}

#[track_caller]
fn begin(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
    }
}

const CALENDARS: (&str, &str) =
    ("calendars", "calendar,weekday,opens,closes\ncity,1,08:00,24:00\n");
const HOLIDAYS: (&str, &str) = ("holidays", "calendar,date,name\ncity,2026-04-06,Easter Monday\n");

#[test]
fn whole_tables_are_read_as_written() {
    let (own, faults, notes) = tables(&[
        CALENDARS,
        HOLIDAYS,
        ("labs", "lab_id,tz,calendar,max_silence_min\nb,Europe/Berlin,city,7.5\nc,,,\n"),
        ("instruments", "lab_id,machine_id,heartbeat_s,calendar\nb,M1,30,city\nb,M2,,\n"),
        ("assays", "assay,discipline,loinc,max_hold_minutes\nAPTT,coagulation,14979-9,240\nK,,,\n"),
        (
            "targets",
            "lab_id,assay,priority,patient_class,target_minutes,clock,from,valid_from\n\
             b,K,S,ED,60,working,collected,2026-03-01T00:00:00Z\n,,,,90.5,,,\n",
        ),
        ("critical_targets", "assay,minutes,from\nK,15,resulted\n,45,\n"),
    ]);
    assert_eq!((faults, notes), (vec![], vec![]));
    let rows = &own.rows;
    let target = &rows.targets[0];
    assert_eq!((target.clock, target.from), (TargetClock::Working, TargetStart::Collected));
    let names = [&target.lab_id, &target.assay, &target.priority, &target.patient_class];
    assert_eq!(names.map(|name| name.as_deref().unwrap()), ["b", "K", "S", "ED"]);
    assert_eq!(target.valid_from, Timestamp::parse_rfc3339("2026-03-01T00:00:00Z"));
    let second = &rows.targets[1];
    assert_eq!((&second.lab_id, second.target_minutes), (&None, Some(90.5)));
    assert_eq!((second.clock, second.from), (TargetClock::Wall, TargetStart::Received));
    let critical: Vec<_> =
        rows.critical_targets.iter().map(|row| (row.minutes, row.from)).collect();
    let expected = [(Some(15.0), CriticalStart::Resulted), (Some(45.0), CriticalStart::Flagged)];
    assert_eq!(critical, expected);
    assert_eq!(rows.assays[0].max_hold, Some(Span(4 * Span::HOUR.0)));
    assert_eq!(rows.assays[0].loinc.as_deref(), Some("14979-9"));

    let reference = Reference::new(rows, 4.0);
    let lab = reference.labs.of("b");
    assert_eq!((lab.zone, lab.max_silence), (Tz::Europe__Berlin, Some(Span(450_000_000))));
    let open = |text| lab.hours.is_open(Timestamp::parse_rfc3339(text).unwrap());
    assert!(open("2026-03-30T23:59:59+02:00") && !open("2026-03-31T00:00:00+02:00"));
    assert!(!open("2026-04-06T12:00:00+02:00"), "a holiday");
    assert_eq!(reference.instruments.of("b", "M1").heartbeat, Some(Span(30_000_000)));
    assert_eq!(reference.instruments.of("b", "M2").heartbeat, None);
}

#[test]
fn every_mistake_of_a_calendar_is_placed() {
    let text = "calendar,weekday,opens,closes\n\
                a,1,08:00,12:00\n\
                a,1,11:30,17:00\n\
                a,2,22:00,06:00\n\
                a,8,08:00,12:00\n\
                a,Mon,08:00,12:00\n\
                a,3,8:00,24:01\n\
                a,4,,12:00\n\
                ,4,08:00,12:00\n\
                b,6,,\n\
                b,7,,\n";
    let holidays = "calendar,date,name\na,2026-02-29,Leap day\na,25.12.2026,Christmas\n\
                    aa,2026-12-25,Christmas\nnowhere,2026-12-25,Christmas\n\
                    b,2026-12-25,Christmas\n";
    let (own, faults, notes) = tables(&[("calendars", text), ("holidays", holidays)]);
    assert!(own.rows.calendars.is_empty());
    begin(
        &faults,
        &[
            "calendars.csv:3:5: the span overlaps that of line 2. ",
            "calendars.csv:4:5: it closes before it opens. write a night as two rows",
            "calendars.csv:5:3: unknown weekday `8`. write 1 for Monday to 7 for Sunday",
            "calendars.csv:6:3: unknown weekday `Mon`. write 1 for Monday",
            "calendars.csv:7:5: `opens` is no time of day: `8:00`. write HH:MM",
            "calendars.csv:7:10: `closes` is no time of day: `24:01`. write HH:MM",
            "calendars.csv:8:5: `opens` is empty. write a time as 08:00, or neither",
            "calendars.csv:9:1: `calendar` is empty. write the calendar's name",
            "calendars.csv:10:1: the calendar `b` has no opening hours. ",
            "holidays.csv:2:3: there is no date `2026-02-29`. write year, month and day",
            "holidays.csv:3:3: there is no date `25.12.2026`. write year, month and day",
            "holidays.csv:4:1: unknown calendar `aa`. add its opening hours",
            "holidays.csv:5:1: unknown calendar `nowhere`. add its opening hours",
        ],
    );
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn a_calendar_without_a_holiday_is_noted() {
    let (own, faults, notes) = tables(&[CALENDARS]);
    assert_eq!(faults, Vec::<String>::new());
    assert!(own.rows.calendars.contains_key("city"));
    begin(&notes, &["calendars.csv:2:1: the calendar `city` has no holiday. add its holidays to"]);
}

#[test]
fn labs_and_instruments_name_calendars_that_exist() {
    let (_, faults, _) = tables(&[
        CALENDARS,
        HOLIDAYS,
        ("labs", "lab_id,calendar,max_silence_min\na,ctiy,\nb,country,-5\nc,city,soon\n"),
        (
            "instruments",
            "lab_id,machine_id,heartbeat_s,calendar\na,M1,30,towns\na,M1,,\n,M2,,\na,,,\n",
        ),
    ]);
    begin(
        &faults,
        &[
            "instruments.csv:2:9: unknown calendar `towns`. add its opening hours",
            "instruments.csv:3:3: the instrument `M1` of `a` stands twice, first in line 2. ",
            "instruments.csv:4:1: `lab_id` is empty. write the laboratory",
            "instruments.csv:5:3: `machine_id` is empty. write the instrument",
            "labs.csv:2:3: unknown calendar `ctiy`. did you mean city?",
            "labs.csv:3:3: unknown calendar `country`. add its opening hours",
            "labs.csv:3:11: `max_silence_min` is below 0. write a number above 0",
            "labs.csv:4:8: `max_silence_min` is no number: `soon`. write a number",
        ],
    );
}

#[test]
fn targets_say_what_is_wrong_and_which_of_two_is_meant() {
    let targets = "lab_id,assay,priority,target_minutes,clock,from,valid_from\n\
                   ,K,,0,,,\n\
                   ,NA,,,,,\n\
                   ,CRP,,-1,,,\n\
                   ,GLU,STAT,one hour,wal,order,01.03.2026\n\
                   lab-1,PT,,60,working,,2026-03-01\n";
    let critical = "lab_id,minutes,from,vaild_from\n,0,,\n,30,flag,\n";
    let (own, faults, notes) = tables(&[("targets", targets), ("critical_targets", critical)]);
    begin(
        &faults,
        &[
            "critical_targets.csv:1:21: the column `vaild_from` is none of critical_targets.csv's. did \
             you mean valid_from?",
            "critical_targets.csv:3:5: unknown `from` `flag`. write resulted or verified or flagged",
            "targets.csv:5:11: `target_minutes` is no number: `one hour`. write a number",
            "targets.csv:5:20: unknown `clock` `wal`. did you mean wall?",
            "targets.csv:5:24: unknown `from` `order`. write received or collected",
            "targets.csv:5:30: `valid_from` is no instant: `01.03.2026`. write it as 2026-03-01T",
        ],
    );
    begin(
        &notes,
        &[
            "critical_targets.csv:2:2: `minutes` is `0`: what this row fits has no deadline. ",
            "targets.csv:2:5: `target_minutes` is `0`: what this row fits has no deadline. leave it \
             where that is meant; for SLA_HOURS, remove the row",
            "targets.csv:3:6: `target_minutes` is empty: what this row fits has no deadline. ",
            "targets.csv:4:7: `target_minutes` is `-1`: what this row fits has no deadline. ",
            "targets.csv:5:6: no test has the priority `STAT`. write S for stat",
            "targets.csv:6:14: working minutes are all minutes here: the lab `lab-1` has no calendar",
        ],
    );
    assert_eq!(own.rows.targets.len(), 5);
    let midnight = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z");
    assert_eq!(own.rows.targets[4].valid_from, midnight, "a date is its first instant");
}

#[test]
fn a_column_that_is_missing_or_misspelt_is_told() {
    let (_, faults, _) = tables(&[
        ("assays", "test,discipline\nK,chemistry\n"),
        ("calendars", "calendar,day,opens,closes\na,1,08:00,17:00\n"),
        ("instruments", "lab_id,machine\na,M1\n"),
        ("targets", "lab_id,priorty,minutes\n,S,60\n"),
    ]);
    begin(
        &faults,
        &[
            "assays.csv:1:1: assays.csv has no column `assay`. add it; docs/reference.md says",
            "calendars.csv:1:1: calendars.csv has no column `weekday`. add it",
            "instruments.csv:1:1: instruments.csv has no column `machine_id`. add it",
            "targets.csv:1:1: targets.csv has no column `target_minutes`. add it",
            "targets.csv:1:8: the column `priorty` is none of targets.csv's. did you mean priority?",
        ],
    );
}

#[test]
fn an_assay_stands_once() {
    let (_, faults, _) = tables(&[("assays", "assay,max_hold_minutes\nK,60\nK,\n,5\nNA,-1\n")]);
    begin(
        &faults,
        &[
            "assays.csv:3:1: the assay `K` stands twice, first in line 2. keep one line",
            "assays.csv:4:1: `assay` is empty. write the assay's name",
            "assays.csv:5:4: `max_hold_minutes` is below 0. write a number above 0",
        ],
    );
}

#[test]
fn the_shipped_tables_are_without_fault_and_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reading = Project::read(Some(root), None);
    assert_eq!((reading.faults, reading.project.notes), (vec![], vec![]));
    let reference = Reference::new(&reading.project.reference_rows, 4.0);
    let hours = &reference.labs.of("lab-north").hours;
    let open = |text| hours.is_open(Timestamp::parse_rfc3339(text).unwrap());
    // A Monday and a Tuesday; Norway's Whit Monday; a Saturday.
    assert!(open("2026-03-02T07:00:00+01:00") && !open("2026-03-03T18:00:00+01:00"));
    assert!(!open("2026-05-25T12:00:00+02:00"));
    assert!(open("2026-03-07T12:59:59+01:00") && !open("2026-03-07T13:00:00+01:00"));
    assert_eq!(reference.assays.max_hold("APTT"), Some(Span(4 * Span::HOUR.0)));
    let targets = &reading.project.reference_rows.targets;
    assert!(targets.iter().all(|target| target.clock == TargetClock::Wall));
    let kind = |table: &str, column: &str| {
        let mut tables = reading.project.reference.iter();
        let table = tables.find(|found| found.name == table).unwrap();
        table.rows.schema().field_with_name(column).unwrap().data_type().to_string()
    };
    for (table, column) in
        [("calendars", "weekday"), ("assays", "max_hold_minutes"), ("critical_targets", "minutes")]
    {
        assert_eq!(kind(table, column), "Int64", "{table}.{column}");
    }
    for (table, column) in
        [("holidays", "date"), ("instruments", "machine_id"), ("labs", "calendar")]
    {
        assert_eq!(kind(table, column), "Utf8", "{table}.{column}");
    }
}
