//! When a place is open by its own clock: spans of each weekday, and days on which it is closed. A
//! timetable has no zone; [`Hours`](super::Hours) are a timetable in one.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Weekday};

/// The last minute of a day, as the end of a span.
pub const MIDNIGHT: u16 = 24 * 60;

/// A span of a weekday, `[opens, closes)` in minutes after midnight; `closes` is at most
/// [`MIDNIGHT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The day of the week.
    pub weekday: Weekday,
    /// When it begins.
    pub opens: u16,
    /// When it ends.
    pub closes: u16,
}

/// Opening hours of a week, and holidays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// By weekday from Monday: disjoint spans in the order of time.
    week: [Vec<(u16, u16)>; 7],
    /// Closed all day.
    holidays: BTreeSet<NaiveDate>,
}

/// Why openings make no timetable; rows are places in the openings that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTimetable {
    /// Working time would stand still, and no deadline would ever come.
    #[error("it is never open")]
    NeverOpen,
    /// A span that ends where it begins or before, or after midnight.
    #[error("span {row} ends before it begins, or after 24:00")]
    EndsFirst {
        /// The span.
        row: usize,
    },
    /// Two spans of a day share some time.
    #[error("span {row} begins before span {with} has ended")]
    Overlap {
        /// The span that begins later.
        row: usize,
        /// The one that it overlaps.
        with: usize,
    },
}

impl Timetable {
    /// A timetable of spans in any order.
    ///
    /// # Errors
    /// Everything that is wrong with the spans.
    pub fn new(
        openings: &[Opening],
        holidays: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<Timetable, Vec<WrongTimetable>> {
        let mut wrong = Vec::new();
        let mut rows: Vec<(usize, Opening)> = openings.iter().copied().enumerate().collect();
        rows.sort_by_key(|(row, opening)| (weekday(opening), opening.opens, *row));
        let mut week: [Vec<(u16, u16)>; 7] = Default::default();
        let mut last: Option<(usize, Opening)> = None;
        for (row, opening) in rows {
            if opening.closes <= opening.opens || opening.closes > MIDNIGHT {
                wrong.push(WrongTimetable::EndsFirst { row });
                continue;
            }
            let before = last.filter(|(_, before)| before.weekday == opening.weekday);
            if let Some((with, before)) = before
                && opening.opens < before.closes
            {
                wrong.push(WrongTimetable::Overlap { row, with });
                continue;
            }
            week[weekday(&opening)].push((opening.opens, opening.closes));
            last = Some((row, opening));
        }
        if openings.is_empty() {
            wrong.push(WrongTimetable::NeverOpen);
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Timetable { week, holidays: holidays.into_iter().collect() })
    }

    /// The spans of a date, in the order of time.
    pub(super) fn openings(&self, date: NaiveDate, weekday: usize) -> &[(u16, u16)] {
        if self.holidays.contains(&date) { &[] } else { &self.week[weekday] }
    }

    /// Whether any day is a holiday.
    pub fn has_holidays(&self) -> bool {
        !self.holidays.is_empty()
    }
}

fn weekday(opening: &Opening) -> usize {
    opening.weekday.num_days_from_monday() as usize
}

#[cfg(test)]
mod tests {
    use Weekday::{Mon, Tue};

    use super::*;

    fn wrong(openings: &[(Weekday, u16, u16)]) -> Vec<WrongTimetable> {
        let opening = |(weekday, opens, closes): &(Weekday, u16, u16)| Opening {
            weekday: *weekday,
            opens: *opens,
            closes: *closes,
        };
        let openings: Vec<Opening> = openings.iter().map(opening).collect();
        Timetable::new(&openings, []).err().unwrap_or_default()
    }

    #[test]
    fn spans_that_touch_or_lie_on_other_days_do_not_overlap() {
        let apart = [(Mon, 720, 1440), (Mon, 480, 720), (Tue, 0, 1440)];
        assert_eq!(wrong(&apart), []);
    }

    #[test]
    fn every_mistake_is_told() {
        let found = wrong(&[(Mon, 480, 720), (Tue, 600, 600), (Mon, 700, 800), (Tue, 1300, 1441)]);
        assert_eq!(
            found,
            [
                WrongTimetable::Overlap { row: 2, with: 0 },
                WrongTimetable::EndsFirst { row: 1 },
                WrongTimetable::EndsFirst { row: 3 },
            ]
        );
        assert_eq!(wrong(&[]), [WrongTimetable::NeverOpen]);
    }
}
