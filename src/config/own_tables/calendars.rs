//! `calendars.csv` and `holidays.csv`: opening hours by the calendars' names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{NaiveDate, Weekday};

use crate::config::csv_text::CsvCell;
use crate::config::fault::{Position, nearest, quoted};
use crate::config::values::minute_of_day;
use crate::reference::{MIDNIGHT, Opening, Timetable, WrongTimetable};

use super::sheet::{Sheet, SheetFaults, SheetRow};

/// A calendar while its rows are read.
#[derive(Debug)]
struct CalendarDraft {
    first: Position,
    openings: Vec<(Position, Opening)>,
    holidays: BTreeSet<NaiveDate>,
    /// Whether a row of it was wrong: what it lacks may be there.
    faulty: bool,
}

/// The names of all calendars, those with faults too.
pub(super) type CalendarNames = BTreeSet<String>;

/// What both tables say.
#[derive(Debug, Default)]
pub(super) struct ReadCalendars {
    pub(super) timetables: BTreeMap<String, Arc<Timetable>>,
    pub(super) names: CalendarNames,
    pub(super) said: Vec<SheetFaults>,
}

/// Reads both tables.
pub(super) fn read(
    calendars: Option<(Sheet, SheetFaults)>,
    holidays: Option<(Sheet, SheetFaults)>,
) -> ReadCalendars {
    let mut read = ReadCalendars::default();
    let mut drafts = BTreeMap::new();
    let mut of_calendars = calendars.map(|(sheet, mut said)| {
        read_openings(&sheet, &mut drafts, &mut said);
        said
    });
    read.names = drafts.keys().cloned().collect();
    if let Some((sheet, mut said)) = holidays {
        read_holidays(&sheet, &mut drafts, &read.names, &mut said);
        read.said.push(said);
    }
    if let Some(said) = &mut of_calendars {
        for (name, draft) in drafts {
            let made = finish(&name, &draft, said);
            read.timetables.extend(made.map(|made| (name, Arc::new(made))));
        }
    }
    read.said.extend(of_calendars);
    read
}

fn read_openings(
    sheet: &Sheet,
    drafts: &mut BTreeMap<String, CalendarDraft>,
    said: &mut SheetFaults,
) {
    let columns = ["calendar", "weekday", "opens", "closes"];
    if !sheet.needs(&columns, said) {
        return;
    }
    for row in sheet.rows() {
        let Some(name) = row.needed("calendar", "the calendar's name", said) else { continue };
        let draft = drafts.entry(name.text.clone()).or_insert_with(|| CalendarDraft {
            first: name.at,
            openings: Vec::new(),
            holidays: BTreeSet::new(),
            faulty: false,
        });
        let before = said.faults.count();
        let opening = opening(&row, said);
        draft.openings.extend(opening.map(|opening| (row.at("opens"), opening)));
        draft.faulty |= said.faults.count() > before;
    }
}

/// A row's span; none where both of its ends are empty, which says that the day is closed.
fn opening(row: &SheetRow<'_>, said: &mut SheetFaults) -> Option<Opening> {
    let weekday = row
        .needed("weekday", "a weekday, 1 for Monday to 7 for Sunday", said)
        .and_then(|cell| weekday(cell, said));
    let (opens, closes) = (row.filled("opens"), row.filled("closes"));
    if opens.is_none() && closes.is_none() {
        return None;
    }
    let end = |column, cell: Option<&CsvCell>, said: &mut SheetFaults| match cell {
        Some(cell) => minute(column, cell, said),
        None => {
            let remedy = "write a time as 08:00, or neither for a day that is closed";
            said.faults.push(row.at(column), format!("`{column}` is empty"), remedy);
            None
        }
    };
    let (opens, closes) = (end("opens", opens, said), end("closes", closes, said));
    Some(Opening { weekday: weekday?, opens: opens?, closes: closes? })
}

fn weekday(cell: &CsvCell, said: &mut SheetFaults) -> Option<Weekday> {
    let number = cell.text.parse::<u8>().ok().filter(|number| (1..=7).contains(number));
    let weekday = number.and_then(|number| Weekday::try_from(number - 1).ok());
    if weekday.is_none() {
        let what = format!("unknown weekday {}", quoted(&cell.text));
        said.faults.push(cell.at, what, "write 1 for Monday to 7 for Sunday");
    }
    weekday
}

fn minute(column: &str, cell: &CsvCell, said: &mut SheetFaults) -> Option<u16> {
    let minute = match cell.text.as_str() {
        "24:00" if column == "closes" => Some(MIDNIGHT),
        text => minute_of_day(text),
    };
    if minute.is_none() {
        let what = format!("`{column}` is no time of day: {}", quoted(&cell.text));
        said.faults.push(cell.at, what, "write HH:MM, from 00:00; `closes` may be 24:00");
    }
    minute
}

fn read_holidays(
    sheet: &Sheet,
    drafts: &mut BTreeMap<String, CalendarDraft>,
    names: &CalendarNames,
    said: &mut SheetFaults,
) {
    if !sheet.needs(&["calendar", "date"], said) {
        return;
    }
    for row in sheet.rows() {
        let Some(name) = row.needed("calendar", "the calendar's name", said) else { continue };
        let date = row.needed("date", "a date, as 2026-12-25", said);
        let date = date.and_then(|cell| date_of(cell, said));
        if let Some(draft) = drafts.get_mut(&name.text) {
            draft.holidays.extend(date);
            draft.faulty |= date.is_none();
        } else {
            unknown(name, names, said);
        }
    }
}

fn date_of(cell: &CsvCell, said: &mut SheetFaults) -> Option<NaiveDate> {
    let text = &cell.text;
    let date =
        if text.len() == 10 { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok() } else { None };
    if date.is_none() {
        let what = format!("there is no date {}", quoted(text));
        said.faults.push(cell.at, what, "write year, month and day, as 2026-12-25");
    }
    date
}

/// A cell that names no calendar.
pub(super) fn unknown(cell: &CsvCell, names: &CalendarNames, said: &mut SheetFaults) {
    let remedy = match nearest(&cell.text, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "add its opening hours to data/reference/calendars.csv".to_owned(),
    };
    said.faults.push(cell.at, format!("unknown calendar {}", quoted(&cell.text)), remedy);
}

/// The timetable, or what is wrong with it.
fn finish(name: &str, draft: &CalendarDraft, said: &mut SheetFaults) -> Option<Timetable> {
    let openings: Vec<Opening> = draft.openings.iter().map(|(_, opening)| *opening).collect();
    let made = Timetable::new(&openings, draft.holidays.iter().copied());
    let at = |row: usize| draft.openings.get(row).map_or(draft.first, |(at, _)| *at);
    for wrong in made.as_ref().err().into_iter().flatten() {
        match *wrong {
            WrongTimetable::NeverOpen if draft.faulty => {}
            WrongTimetable::NeverOpen => {
                let what = format!("the calendar {} has no opening hours", quoted(name));
                let remedy = "write `opens` and `closes` of at least one weekday; a lab that is \
                              always open needs no calendar";
                said.faults.push(draft.first, what, remedy);
            }
            WrongTimetable::EndsFirst { row } => {
                let remedy = "write a night as two rows: one until 24:00, and one from 00:00 of \
                              the next day";
                said.faults.push(at(row), "it closes before it opens", remedy);
            }
            WrongTimetable::Overlap { row, with } => {
                let what = format!("the span overlaps that of line {}", at(with).line);
                said.faults.push(at(row), what, "let each span begin when the other has ended");
            }
        }
    }
    if draft.holidays.is_empty() && !draft.faulty {
        let what = format!("the calendar {} has no holiday", quoted(name));
        let remedy = "add its holidays to data/reference/holidays.csv, else working time counts \
                      on them";
        said.notes.push(draft.first, what, remedy);
    }
    made.ok()
}
